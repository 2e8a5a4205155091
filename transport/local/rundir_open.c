/* Opening a runtime directory: only one that nobody else can tamper with. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "transport/local/rundir.h"

enum { PATH_BYTES = 4096 }; /* PATH_MAX, Linux limits.h */

/* "link/" and "link/." would follow a symbolic link that "link" does not. */
static int copy_path(const char *path, char out[PATH_BYTES])
{
    size_t length = strlen(path);

    if (length == 0)
        return EW_EINVAL;
    if (length >= PATH_BYTES)
        return -ENAMETOOLONG;
    while (length > 1 && (path[length - 1] == '/' ||
                          (path[length - 1] == '.' && path[length - 2] == '/')))
        length -= 1;
    memcpy(out, path, length);
    out[length] = '\0';
    return EW_OK;
}

/* "runtime directory '/run/eastwest' <what>"; of a long path the end is shown. */
static int say(char error[RUNDIR_ERROR_BYTES], int code, const char *path, const char *what)
{
    const size_t shown = 90;
    size_t length = strlen(path);
    const char *dots = length > shown ? "..." : "";

    if (length > shown)
        path += length - shown;
    snprintf(error, RUNDIR_ERROR_BYTES, "runtime directory '%s%.90s' %.120s", dots, path, what);
    return code;
}

static int say_open_failed(const char *path, int code, char error[RUNDIR_ERROR_BYTES])
{
    char what[128];
    struct stat status;

    switch (code) {
    case ENOENT:
        return say(error, EW_ENOTFOUND, path, "does not exist: create it (mode 0700) or set "
                                              "EASTWEST_RUNTIME_DIR to one that does");
    case ELOOP:
    case ENOTDIR:
        if (lstat(path, &status) == 0 && S_ISLNK(status.st_mode))
            return say(error, EW_EACCESS, path,
                       "is a symbolic link: give the path of the directory itself");
        return say(error, EW_EACCESS, path, "is not a directory: give the path of one");
    case EACCES:
    case EPERM:
        return say(error, EW_EACCESS, path, "may not be opened by this user: give it read and "
                                            "search permission, or use another one");
    default:
        snprintf(what, sizeof(what), "cannot be opened: %s", strerrordesc_np(code));
        return say(error, -code, path, what);
    }
}

static int check_directory(int fd, const char *path, char error[RUNDIR_ERROR_BYTES])
{
    struct stat status;
    char what[128];

    if (fstat(fd, &status) < 0)
        return say_open_failed(path, errno, error);
    if (!S_ISDIR(status.st_mode))
        return say(error, EW_EACCESS, path, "is not a directory: give the path of one");
    if (status.st_uid != geteuid() && status.st_uid != 0) {
        snprintf(what, sizeof(what), "belongs to uid %u, not to uid %u or root, whom we trust: "
                 "chown it or use another one", status.st_uid, geteuid());
        return say(error, EW_EACCESS, path, what);
    }
    if (status.st_mode & S_IWOTH) {
        snprintf(what, sizeof(what), "is writable for everybody (mode %04o), who could replace "
                 "sockets in it: chmod o-w it or use another one", status.st_mode & 07777u);
        return say(error, EW_EACCESS, path, what);
    }
    return EW_OK;
}

/* The umask may have left a directory that cannot even be opened. By descriptor, because the name
 * may mean something else by now. */
static int undo_umask(const char *path)
{
    char link[40];
    int result, fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    result = chmod(link, 0700) < 0 ? -errno : EW_OK;
    close(fd);
    return result;
}

/* A directory that somebody else just made stays as it is. */
static int make_directory(const char *path, char error[RUNDIR_ERROR_BYTES])
{
    char what[128];
    int result;

    if (mkdir(path, 0700) == 0) {
        result = undo_umask(path);
        return result < 0 ? say_open_failed(path, -result, error) : EW_OK;
    }
    if (errno == EEXIST)
        return EW_OK;
    if (errno == ENOENT)
        return say(error, EW_ENOTFOUND, path, "cannot be created, because its parent is missing: "
                                              "create that first");
    if (errno == EACCES || errno == EPERM || errno == EROFS)
        return say(error, EW_EACCESS, path, "does not exist and may not be created by this user: "
                                            "let somebody create it who may, or use another one");
    snprintf(what, sizeof(what), "cannot be created: %s", strerrordesc_np(errno));
    return say(error, -errno, path, what);
}

static int open_directory(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int ewi_rundir_open(const char *path, bool create, int *out, char error[RUNDIR_ERROR_BYTES])
{
    char copy[PATH_BYTES];
    int fd, result = copy_path(path, copy);

    if (result == EW_EINVAL)
        return say(error, result, "", "has an empty path: give the path of a directory");
    if (result < 0)
        return say(error, result, path, "has a path longer than 4095 bytes: use a shorter one");
    fd = open_directory(copy);
    if (fd < 0 && errno == ENOENT && create) {
        result = make_directory(copy, error);
        if (result < 0)
            return result;
        fd = open_directory(copy);
    }
    if (fd < 0)
        return say_open_failed(copy, errno, error);
    result = check_directory(fd, copy, error);
    if (result < 0) {
        close(fd);
        return result;
    }
    *out = fd;
    return EW_OK;
}
