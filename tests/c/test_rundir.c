/* tests/c/test_rundir.c - transport/local/rundir: which directory is safe, what names look like. */
#include "tests/c/rundir_base.h"

/* ---- the directory ---- */

/* The code, the path and the way out have to be in the text. */
static void check_refused(const char *path, bool create, int want, const char *part)
{
    int fd = -7;

    CHECK_EQ(ewi_rundir_open(path, create, &fd, error), want);
    CHECK_EQ(fd, -7);
    if (strstr(error, part) == NULL)
        fprintf(stderr, "    have \"%s\", want \"...%s...\"\n", error, part);
    CHECK(strstr(error, part) != NULL);
    CHECK(strstr(error, ": ") != NULL);
}

/* catches: mkdir whose mode the umask cut, or a mode wider than 0700 */
static void missing_directory_is_made_with_mode_0700_under_any_umask(void)
{
    char path[PATH_BYTES];
    struct stat status;
    mode_t before = umask(0777);
    int fd;

    path_of(path, "made");
    CHECK_EQ(ewi_rundir_open(path, true, &fd, error), EW_OK);
    umask(before);
    CHECK_EQ(fstat(fd, &status), 0);
    CHECK_EQ(status.st_mode & 07777, 0700);
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
}

static void missing_directory_is_said(void)
{
    char path[PATH_BYTES];

    path_of(path, "absent");
    check_refused(path, false, EW_ENOTFOUND, "does not exist: create it");
    path_of(path, "absent/deeper");
    check_refused(path, true, EW_ENOTFOUND, "its parent is missing");
    check_refused("", true, EW_EINVAL, "empty path");
}

/* catches: O_NOFOLLOW left out, and the same through "link/" and "link/." */
static void symbolic_link_is_refused(void)
{
    char path[PATH_BYTES];

    path_of(path, "link");
    CHECK_EQ(symlink(base, path), 0);
    check_refused(path, true, EW_EACCESS, "is a symbolic link");
    path_of(path, "link/");
    check_refused(path, true, EW_EACCESS, "is a symbolic link");
    path_of(path, "link//.//");
    check_refused(path, true, EW_EACCESS, "is a symbolic link");
}

static void file_is_refused(void)
{
    char path[PATH_BYTES];

    path_of(path, "file");
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    check_refused(path, true, EW_EACCESS, "is not a directory");
    path_of(path, "file/below");
    check_refused(path, true, EW_EACCESS, "is not a directory");
}

/* catches: the sticky bit taken for protection */
static void world_writable_directory_is_refused(void)
{
    char path[PATH_BYTES];
    int fd;

    path_of(path, "open");
    CHECK_EQ(mkdir(path, 0700), 0);
    CHECK_EQ(chmod(path, 0777), 0);
    check_refused(path, true, EW_EACCESS, "chmod o-w");
    CHECK_EQ(chmod(path, 01777), 0);
    check_refused(path, true, EW_EACCESS, "mode 1777");
    CHECK_EQ(chmod(path, 0775), 0);
    CHECK_EQ(ewi_rundir_open(path, false, &fd, error), EW_OK);
    close(fd);
}

/* catches: the owner not looked at, or real and effective uid mixed up. Needs root. */
static void directory_of_another_user_is_refused(void)
{
    char path[PATH_BYTES];
    int fd;

    if (geteuid() != 0)
        return;
    path_of(path, "foreign");
    CHECK_EQ(mkdir(path, 0755), 0);
    CHECK_EQ(chown(path, 12345, 12345), 0);
    check_refused(path, true, EW_EACCESS, "belongs to uid 12345");
    CHECK_EQ(chmod(base, 0755), 0);
    CHECK_EQ(seteuid(12345), 0);
    CHECK_EQ(ewi_rundir_open(path, false, &fd, error), EW_OK);
    close(fd);
    CHECK_EQ(ewi_rundir_open(base, false, &fd, error), EW_OK); /* root's */
    close(fd);
    path_of(path, "not-mine");
    check_refused(path, true, EW_EACCESS, "may not be created by this user");
    CHECK_EQ(seteuid(0), 0);
    path_of(path, "private");
    CHECK_EQ(mkdir(path, 0700), 0);
    CHECK_EQ(seteuid(12345), 0);
    check_refused(path, false, EW_EACCESS, "may not be opened by this user");
    CHECK_EQ(seteuid(0), 0);
}

/* catches: sun_path overflowing or cut at 108 bytes; an error text cut before the way out */
static void path_longer_than_200_bytes_works(void)
{
    char path[PATH_BYTES], part[121], name[RUNDIR_NAME_BYTES];
    int fd, listener, client;

    memset(part, 'd', 120);
    part[120] = '\0';
    snprintf(path, sizeof(path), "%s/%s", base, part);
    CHECK_EQ(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/%s/%s", base, part, part);
    check_refused(path, false, EW_ENOTFOUND, "that does");
    CHECK(strlen(path) > 200);
    CHECK_EQ(ewi_rundir_open(path, true, &fd, error), EW_OK);
    name_of("pricing", instance, name);
    CHECK_EQ(ewi_rundir_bind(fd, name, BACKLOG, &listener, error), EW_OK);
    CHECK_EQ(ewi_rundir_connect(fd, name, &client), EW_OK);
    close(client);
    close(listener);
    close(fd);
}

/* ---- names ---- */

/* catches: a namespace glued to a service without a separator, another hash than other versions
 * have; upper-case digits. The digits: openssl mac SIPHASH, zero key, size 8, read backwards. */
static void name_says_service_instance_and_boot(void)
{
    char a[RUNDIR_NAME_BYTES], b[RUNDIR_NAME_BYTES], prefix[RUNDIR_PREFIX_BYTES];

    CHECK_EQ(ewi_rundir_name("ab", "c", instance, a), EW_OK);
    CHECK_EQ(strlen(a), 63);
    CHECK(strncmp(a + 16, "-abcd00000000000000000000000000ef-", 34) == 0);
    CHECK(strcmp(a + 58, ".sock") == 0);
    CHECK(ewi_rundir_is_socket_name(a));
    CHECK_EQ(ewi_rundir_prefix("default", "pricing", prefix), EW_OK);
    CHECK(strcmp(prefix, "cea64161d52dff0b-") == 0);
    CHECK_EQ(ewi_rundir_prefix("ab", "c", prefix), EW_OK);
    CHECK_EQ(strlen(prefix), 17);
    CHECK(strncmp(a, prefix, 17) == 0);
    CHECK_EQ(ewi_rundir_name("a", "bc", instance, b), EW_OK);
    CHECK(strncmp(a, b, 16) != 0);
    CHECK(strcmp(a + 16, b + 16) == 0);
}

static void lengths_of_names_are_checked(void)
{
    char service[202], prefix[RUNDIR_PREFIX_BYTES];

    memset(service, 's', 201);
    service[201] = '\0';
    CHECK_EQ(ewi_rundir_prefix("default", service, prefix), EW_EINVAL);
    CHECK_EQ(ewi_rundir_prefix("default", service + 1, prefix), EW_OK);
    CHECK_EQ(ewi_rundir_prefix(service + 137, "x", prefix), EW_EINVAL);
    CHECK_EQ(ewi_rundir_prefix(service + 138, service + 1, prefix), EW_OK);
    CHECK_EQ(ewi_rundir_prefix("", "x", prefix), EW_EINVAL);
    CHECK_EQ(ewi_rundir_prefix("default", "", prefix), EW_EINVAL);
}

/* catches: a name of another boot listed, a prefix of a name accepted, reading behind its end */
static void only_names_of_this_boot_and_form_are_socket_names(void)
{
    char name[RUNDIR_NAME_BYTES];

    name_of("pricing", instance, name);
    name[50] = name[50] == '0' ? '1' : '0';
    CHECK(!ewi_rundir_is_socket_name(name)); /* the boot part */
    for (size_t i = 0; i < 63; i++) {
        char *cut;

        name_of("pricing", instance, name);
        name[i] = 'G';
        CHECK(!ewi_rundir_is_socket_name(name));
        name_of("pricing", instance, name);
        cut = strndup(name, i);
        CHECK(cut != NULL && !ewi_rundir_is_socket_name(cut));
        free(cut);
    }
    CHECK(!ewi_rundir_is_socket_name("../../../etc/passwd"));
}

/* catches: a name with a slash leaving the directory */
static void what_is_not_a_socket_name_is_never_touched(void)
{
    int fd = open_fresh(), out;

    CHECK_EQ(ewi_rundir_bind(fd, "../x.sock", BACKLOG, &out, error), EW_EINVAL);
    CHECK_EQ(ewi_rundir_connect(fd, "x", &out), EW_EINVAL);
    CHECK_EQ(ewi_rundir_unlink(fd, "."), EW_EINVAL);
    close(fd);
}

int main(void)
{
    rundir_begin();
    RUN(missing_directory_is_made_with_mode_0700_under_any_umask);
    RUN(missing_directory_is_said);
    RUN(symbolic_link_is_refused);
    RUN(file_is_refused);
    RUN(world_writable_directory_is_refused);
    RUN(directory_of_another_user_is_refused);
    RUN(path_longer_than_200_bytes_works);
    RUN(name_says_service_instance_and_boot);
    RUN(lengths_of_names_are_checked);
    RUN(only_names_of_this_boot_and_form_are_socket_names);
    RUN(what_is_not_a_socket_name_is_never_touched);
    rundir_end();
    return 0;
}
