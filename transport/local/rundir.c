#include "transport/local/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/sleep.h"
#include "transport/siphash.h"

enum {
    NAMESPACE_BYTES_MAX = 63,
    SERVICE_BYTES_MAX = 200,
    SERVICE_DIGITS = 16,
    INSTANCE_DIGITS = 32,
    RANDOM_DIGITS = 16,
    BOOT_DIGITS = 8,
    AT_INSTANCE = SERVICE_DIGITS + 1,
    AT_BOOT = AT_INSTANCE + INSTANCE_DIGITS + 1,
    AT_SUFFIX = AT_BOOT + BOOT_DIGITS,
    PID_DIGITS_MAX = 10,
    NEW_PREFIX_BYTES = 5,
    NEW_AT_BOOT = NEW_PREFIX_BYTES + RANDOM_DIGITS + 1,
    NEW_AT_SUFFIX = NEW_AT_BOOT + BOOT_DIGITS,
    BIND_TRIES = 4,
    SOCKET_MODE = 0666,
};

#define SUFFIX ".sock"
#define NEW_PREFIX ".new-"
#define LOCK_NS_MAX UINT64_C(1000000000)

static const uint8_t no_key[16]; /* a plain hash: every process has to find the same name */

/* ---- names ---- */

static void put_hex(char *out, uint64_t value, size_t digits)
{
    for (size_t i = digits; i-- > 0; value >>= 4)
        out[i] = "0123456789abcdef"[value & 15];
}

static bool is_hex(const char *text, size_t digits)
{
    for (size_t i = 0; i < digits; i++) /* zero is no digit: stops at the end of text */
        if ((text[i] < '0' || text[i] > '9') && (text[i] < 'a' || text[i] > 'f'))
            return false;
    return true;
}

/* A socket's name says of which boot it is, because a directory on disk survives one. */
static int boot_digits(char out[BOOT_DIGITS])
{
    char id[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t length;
    int error;

    if (fd < 0)
        return -errno;
    length = read(fd, id, sizeof(id));
    error = errno;
    close(fd);
    if (length <= 0)
        return length < 0 ? -error : -EIO;
    put_hex(out, ewi_siphash(no_key, id, (size_t)length), BOOT_DIGITS);
    return EW_OK;
}

int ewi_rundir_prefix(const char *namespace_name, const char *service,
                      char out[RUNDIR_PREFIX_BYTES])
{
    char both[NAMESPACE_BYTES_MAX + 1 + SERVICE_BYTES_MAX];
    size_t namespace_bytes = strlen(namespace_name);
    size_t service_bytes = strlen(service);

    if (namespace_bytes == 0 || namespace_bytes > NAMESPACE_BYTES_MAX)
        return EW_EINVAL;
    if (service_bytes == 0 || service_bytes > SERVICE_BYTES_MAX)
        return EW_EINVAL;
    memcpy(both, namespace_name, namespace_bytes + 1);
    memcpy(both + namespace_bytes + 1, service, service_bytes);
    put_hex(out, ewi_siphash(no_key, both, namespace_bytes + 1 + service_bytes), SERVICE_DIGITS);
    out[SERVICE_DIGITS] = '-';
    out[SERVICE_DIGITS + 1] = '\0';
    return EW_OK;
}

int ewi_rundir_name(const char *namespace_name, const char *service, const uint8_t instance[16],
                    char out[RUNDIR_NAME_BYTES])
{
    int result = ewi_rundir_prefix(namespace_name, service, out);

    if (result < 0)
        return result;
    for (size_t i = 0; i < 16; i++)
        put_hex(out + AT_INSTANCE + 2 * i, instance[i], 2);
    out[AT_BOOT - 1] = '-';
    memcpy(out + AT_SUFFIX, SUFFIX, sizeof(SUFFIX));
    return boot_digits(out + AT_BOOT);
}

/* Short-circuits from the left, so nothing behind the end of name is read. */
static bool has_socket_form(const char *name)
{
    return is_hex(name, SERVICE_DIGITS) && name[AT_INSTANCE - 1] == '-' &&
           is_hex(name + AT_INSTANCE, INSTANCE_DIGITS) && name[AT_BOOT - 1] == '-' &&
           is_hex(name + AT_BOOT, BOOT_DIGITS) && strcmp(name + AT_SUFFIX, SUFFIX) == 0;
}

/* A process's control socket: pid '-' 16 hex ".sock". It needs no boot part: of another boot
 * it refuses. */
static bool has_control_form(const char *name)
{
    size_t digits = strspn(name, "0123456789");

    return digits >= 1 && digits <= PID_DIGITS_MAX && name[digits] == '-' &&
           is_hex(name + digits + 1, RANDOM_DIGITS) &&
           strcmp(name + digits + 1 + RANDOM_DIGITS, SUFFIX) == 0;
}

static bool has_final_form(const char *name)
{
    return has_socket_form(name) || has_control_form(name);
}

static bool has_new_form(const char *name)
{
    return strncmp(name, NEW_PREFIX, NEW_PREFIX_BYTES) == 0 &&
           is_hex(name + NEW_PREFIX_BYTES, RANDOM_DIGITS) && name[NEW_AT_BOOT - 1] == '-' &&
           is_hex(name + NEW_AT_BOOT, BOOT_DIGITS) && strcmp(name + NEW_AT_SUFFIX, SUFFIX) == 0;
}

bool ewi_rundir_is_socket_name(const char *name)
{
    char boot[BOOT_DIGITS];

    return has_socket_form(name) && boot_digits(boot) == EW_OK &&
           memcmp(name + AT_BOOT, boot, BOOT_DIGITS) == 0;
}

int ewi_rundir_control_name(uint32_t pid, char out[RUNDIR_NAME_BYTES])
{
    uint64_t random;
    int length;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    length = snprintf(out, RUNDIR_NAME_BYTES, "%u-%016llx%s", pid, (unsigned long long)random,
                      SUFFIX);
    EWI_ASSERT(length > 0 && length < RUNDIR_NAME_BYTES);
    return EW_OK;
}

bool ewi_rundir_is_control_name(const char *name)
{
    return has_control_form(name);
}

static int make_new_name(char out[RUNDIR_NAME_BYTES])
{
    uint64_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    memcpy(out, NEW_PREFIX, NEW_PREFIX_BYTES);
    put_hex(out + NEW_PREFIX_BYTES, random, RANDOM_DIGITS);
    out[NEW_AT_BOOT - 1] = '-';
    memcpy(out + NEW_AT_SUFFIX, SUFFIX, sizeof(SUFFIX));
    return boot_digits(out + NEW_AT_BOOT);
}

int ewi_rundir_address(int directory, const char *name, struct sockaddr_un *out)
{
    int length;

    if (!has_final_form(name) && !has_new_form(name))
        return EW_EINVAL;
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    length = snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", directory, name);
    EWI_ASSERT(length > 0 && (size_t)length < sizeof(out->sun_path));
    return EW_OK;
}

/* ---- connecting ---- */

static bool is_socket(int directory, const char *name)
{
    struct stat status;

    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(status.st_mode);
}

static int make_socket(void)
{
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int connect_result(int error)
{
    switch (error) {
    case EAGAIN:
        return EW_EAGAIN;
    case ECONNREFUSED:
        return EW_EUNREACHABLE;
    case ENOENT:
        return EW_ENOTFOUND;
    case EACCES:
    case EPERM:
        return EW_EACCESS;
    default:
        return -error;
    }
}

int ewi_rundir_connect(int directory, const char *name, int *out)
{
    struct sockaddr_un address;
    int fd, result = ewi_rundir_address(directory, name, &address);

    if (result < 0)
        return result;
    if (!is_socket(directory, name))
        return EW_ENOTFOUND; /* a symbolic link included: connect(2) would follow it */
    fd = make_socket();
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        result = connect_result(errno);
        close(fd);
        return result;
    }
    *out = fd;
    return EW_OK;
}

/* ---- removing ---- */

/* flock has no deadline. Its descriptor is opened for this call, so that threads exclude
 * each other, too. */
static int lock_directory(int directory, int *out)
{
    uint64_t deadline = ewi_now_ns() + LOCK_NS_MAX;
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int pause_ms = 1;
    int error;

    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        error = errno;
        if ((error != EWOULDBLOCK && error != EINTR) || ewi_now_ns() >= deadline) {
            close(fd);
            return error == EWOULDBLOCK || error == EINTR ? EW_EAGAIN : -error;
        }
        poll(NULL, 0, pause_ms);
        pause_ms = pause_ms < 16 ? 2 * pause_ms : pause_ms;
    }
    *out = fd;
    return EW_OK;
}

/* A child made by fork meanwhile holds the same lock: closing is not enough. */
static void unlock_directory(int lock)
{
    flock(lock, LOCK_UN);
    close(lock);
}

static bool is_stale(int directory, const char *name)
{
    int fd, result = ewi_rundir_connect(directory, name, &fd);

    if (result == EW_OK)
        close(fd);
    return result == EW_EUNREACHABLE;
}

int ewi_rundir_unlink(int directory, const char *name)
{
    if (!has_final_form(name))
        return EW_EINVAL;
    if (unlinkat(directory, name, 0) < 0 && errno != ENOENT)
        return -errno;
    return EW_OK;
}

/* ---- binding ---- */

/* The file's mode is cut by the umask, and cannot be set through the socket. */
static int listen_at(int directory, const char *name, int backlog, int *out)
{
    struct sockaddr_un address;
    int fd, result = ewi_rundir_address(directory, name, &address);

    if (result < 0)
        return result;
    fd = make_socket();
    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        result = -errno;
        close(fd);
        return result;
    }
    if (fchmodat(directory, name, SOCKET_MODE, 0) < 0 || listen(fd, backlog) < 0) {
        result = -errno;
        unlinkat(directory, name, 0);
        close(fd);
        return result;
    }
    *out = fd;
    return EW_OK;
}

static int publish(int directory, const char *new_name, const char *name)
{
    return renameat2(directory, new_name, directory, name, RENAME_NOREPLACE) < 0 ? -errno : EW_OK;
}

/* The name is taken. If by a dead one, replace it. */
static int replace_stale(int directory, const char *new_name, const char *name)
{
    int lock, result = lock_directory(directory, &lock);

    if (result < 0)
        return result;
    if (is_stale(directory, name))
        unlinkat(directory, name, 0);
    result = publish(directory, new_name, name);
    unlock_directory(lock);
    return result;
}

/* -ENOENT: a sweep found the new name before it was listening; try again with another one. */
static int try_bind(int directory, const char *name, int backlog, int *out)
{
    char new_name[RUNDIR_NAME_BYTES];
    int fd = -1, result = make_new_name(new_name);

    if (result < 0)
        return result;
    result = listen_at(directory, new_name, backlog, &fd);
    if (result < 0)
        return result;
    result = publish(directory, new_name, name);
    if (result == -EEXIST)
        result = replace_stale(directory, new_name, name);
    if (result < 0) {
        unlinkat(directory, new_name, 0);
        close(fd);
        return result;
    }
    *out = fd;
    return EW_OK;
}

int ewi_rundir_bind(int directory, const char *name, int backlog, int *out,
                    char error[RUNDIR_ERROR_BYTES])
{
    int result = -ENOENT;

    if (!has_final_form(name)) {
        snprintf(error, RUNDIR_ERROR_BYTES, "'%.80s' is not the name of a socket", name);
        return EW_EINVAL;
    }
    for (int i = 0; i < BIND_TRIES && result == -ENOENT; i++)
        result = try_bind(directory, name, backlog, out);
    if (result == EW_OK)
        return EW_OK;
    if (result == -EEXIST) {
        snprintf(error, RUNDIR_ERROR_BYTES,
                 "socket %s is in use: another process listens as this instance", name);
        return EW_EINUSE;
    }
    if (result == EW_EAGAIN) {
        snprintf(error, RUNDIR_ERROR_BYTES,
                 "socket %s exists, and whether it is in use could not be found out, because "
                 "another process kept the directory locked for 1 s", name);
        return EW_EINUSE;
    }
    if (result == -EACCES || result == -EPERM || result == -EROFS) {
        snprintf(error, RUNDIR_ERROR_BYTES,
                 "cannot bind socket %s: this user may not write to the runtime directory", name);
        return EW_EACCESS;
    }
    snprintf(error, RUNDIR_ERROR_BYTES, "cannot bind socket %s: %s", name,
             strerrordesc_np(-result));
    return result;
}

/* ---- all sockets ---- */

static DIR *open_list(int directory)
{
    int error, fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list;

    if (fd < 0)
        return NULL;
    list = fdopendir(fd);
    if (list == NULL) {
        error = errno;
        close(fd);
        errno = error;
    }
    return list;
}

static bool should_sweep(int directory, const char *name, const char boot[BOOT_DIGITS])
{
    bool has_form = has_socket_form(name);
    bool is_control = has_control_form(name);

    if (!has_form && !is_control && !has_new_form(name))
        return false;
    if (!is_socket(directory, name))
        return false;
    if (is_control)
        return is_stale(directory, name);
    if (memcmp(name + (has_form ? AT_BOOT : NEW_AT_BOOT), boot, BOOT_DIGITS) != 0)
        return true;
    return is_stale(directory, name);
}

int ewi_rundir_sweep(int directory)
{
    char boot[BOOT_DIGITS];
    struct dirent *entry;
    DIR *list;
    int lock, removed = 0, result = boot_digits(boot);

    if (result < 0)
        return result;
    list = open_list(directory);
    if (list == NULL)
        return -errno;
    result = lock_directory(directory, &lock);
    if (result < 0) {
        closedir(list);
        return result;
    }
    while (removed < RUNDIR_SWEEP_MAX && (entry = readdir(list)) != NULL) {
        if (should_sweep(directory, entry->d_name, boot) &&
            unlinkat(directory, entry->d_name, 0) == 0)
            removed += 1;
    }
    unlock_directory(lock);
    closedir(list);
    return removed;
}

int ewi_rundir_list(int directory, const char *prefix,
                    bool (*visit)(void *context, const char *name), void *context)
{
    size_t prefix_bytes = prefix == NULL ? 0 : strlen(prefix);
    char boot[BOOT_DIGITS];
    struct dirent *entry;
    DIR *list;
    int result = boot_digits(boot);

    if (result < 0)
        return result;
    list = open_list(directory);
    if (list == NULL)
        return -errno;
    while ((entry = readdir(list)) != NULL) {
        const char *name = entry->d_name;

        if (has_socket_form(name) && memcmp(name + AT_BOOT, boot, BOOT_DIGITS) == 0 &&
            (prefix == NULL || strncmp(name, prefix, prefix_bytes) == 0) && !visit(context, name))
            break;
    }
    closedir(list);
    return EW_OK;
}
