/* tests/c/test_rundir_sockets.c - transport/local/rundir: who gets a name, and who loses it. */
#include <errno.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "tests/c/rundir_base.h"

enum { BINDERS = 8 };

/* What a process that was killed leaves: a name, and nobody behind it. */
static void leave_stale(int directory, const char *name)
{
    int listener;

    CHECK_EQ(ewi_rundir_bind(directory, name, BACKLOG, &listener, error), EW_OK);
    close(listener);
}

/* catches: a mode that the umask cut; a blocking or inherited descriptor; a left-over new name */
static void bound_socket_listens_with_mode_0666(void)
{
    int fd = open_fresh(), listener, client, accepted, type;
    char name[RUNDIR_NAME_BYTES];
    socklen_t bytes = sizeof(type);
    struct stat status;
    mode_t before = umask(0777);

    name_of("pricing", instance, name);
    CHECK_EQ(ewi_rundir_bind(fd, name, BACKLOG, &listener, error), EW_OK);
    umask(before);
    CHECK_EQ(fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW), 0);
    CHECK_EQ(status.st_mode, S_IFSOCK | 0666);
    CHECK_EQ(count_files(fd), 1);
    CHECK_EQ(accept4(listener, NULL, NULL, 0), -1);
    CHECK_EQ(errno, EAGAIN);
    CHECK_EQ(ewi_rundir_connect(fd, name, &client), EW_OK);
    accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(accepted >= 0);
    CHECK_EQ(getsockopt(client, SOL_SOCKET, SO_TYPE, &type, &bytes), 0);
    CHECK_EQ(type, SOCK_SEQPACKET);
    CHECK_EQ(fcntl(client, F_GETFD), FD_CLOEXEC);
    CHECK_EQ(fcntl(listener, F_GETFD), FD_CLOEXEC);
    CHECK(fcntl(client, F_GETFL) & O_NONBLOCK);
    CHECK_EQ(ewi_rundir_unlink(fd, name), EW_OK);
    CHECK_EQ(ewi_rundir_unlink(fd, name), EW_OK);
    CHECK_EQ(ewi_rundir_connect(fd, name, &client), EW_ENOTFOUND);
    close(accepted);
    close(client);
    close(listener);
    close(fd);
}

/* catches: EADDRINUSE for ever after a kill -9 */
static void stale_socket_is_replaced(void)
{
    int fd = open_fresh(), listener, client;
    char name[RUNDIR_NAME_BYTES];

    name_of("pricing", instance, name);
    leave_stale(fd, name);
    CHECK_EQ(ewi_rundir_connect(fd, name, &client), EW_EUNREACHABLE);
    CHECK_EQ(ewi_rundir_bind(fd, name, BACKLOG, &listener, error), EW_OK);
    CHECK_EQ(ewi_rundir_connect(fd, name, &client), EW_OK);
    CHECK_EQ(count_files(fd), 1);
    close(client);
    close(listener);
    close(fd);
}

/* catches: a live socket stolen; one with a full queue taken for dead */
static void live_socket_is_left_alone(void)
{
    int fd = open_fresh(), listener, second = -7, client, result;
    int clients[16], count = 0;
    char name[RUNDIR_NAME_BYTES];

    name_of("pricing", instance, name);
    CHECK_EQ(ewi_rundir_bind(fd, name, 1, &listener, error), EW_OK);
    CHECK_EQ(ewi_rundir_bind(fd, name, 1, &second, error), EW_EINUSE);
    CHECK_EQ(second, -7);
    CHECK(strstr(error, "in use") != NULL);
    while ((result = ewi_rundir_connect(fd, name, &client)) == EW_OK && count < 16)
        clients[count++] = client;
    CHECK_EQ(result, EW_EAGAIN);
    CHECK_EQ(ewi_rundir_bind(fd, name, 1, &second, error), EW_EINUSE);
    CHECK_EQ(ewi_rundir_sweep(fd), 0);
    CHECK_EQ(count_files(fd), 1);
    while (count > 0)
        close(clients[--count]);
    close(listener);
    close(fd);
}

/* catches: waiting for the lock without a limit, or without looking at it */
static void lock_held_by_another_ends_a_replacement_within_seconds(void)
{
    int fd = open_fresh(), holder, listener;
    char name[RUNDIR_NAME_BYTES];

    name_of("pricing", instance, name);
    leave_stale(fd, name);
    holder = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQ(flock(holder, LOCK_EX), 0);
    CHECK_EQ(ewi_rundir_bind(fd, name, BACKLOG, &listener, error), EW_EINUSE);
    CHECK(strstr(error, "locked") != NULL);
    CHECK_EQ(ewi_rundir_sweep(fd), EW_EAGAIN);
    CHECK_EQ(count_files(fd), 1);
    name_of("pricing", other_instance, name); /* a free name needs no lock */
    CHECK_EQ(ewi_rundir_bind(fd, name, BACKLOG, &listener, error), EW_OK);
    close(listener);
    close(holder);
    CHECK_EQ(ewi_rundir_sweep(fd), 2);
    close(fd);
}

/* A child: wait for the start, bind, say how it went, keep the socket until the end. */
static void bind_in_child(int fd, const char *name, int start, int verdict, int end)
{
    int listener, result;
    char byte;

    CHECK_EQ(read(start, &byte, 1), 0);
    result = ewi_rundir_bind(fd, name, BACKLOG, &listener, error);
    CHECK_EQ(write(verdict, &result, sizeof(result)), sizeof(result));
    CHECK_EQ(read(end, &byte, 1), 0);
    _exit(0);
}

static int winners_of_race(int fd, const char *name, bool with_sweep)
{
    int start[2], verdict[2], end[2], winners = 0, result, status;

    CHECK(pipe(start) == 0 && pipe(verdict) == 0 && pipe(end) == 0);
    for (int i = 0; i < BINDERS; i++) {
        if (fork() == 0) {
            close(start[1]);
            close(end[1]);
            bind_in_child(fd, name, start[0], verdict[1], end[0]);
        }
    }
    close(start[1]);
    close(verdict[1]);
    for (int i = 0; with_sweep && i < 20; i++)
        CHECK(ewi_rundir_sweep(fd) >= 0);
    for (int i = 0; i < BINDERS; i++) {
        CHECK_EQ(read(verdict[0], &result, sizeof(result)), sizeof(result));
        CHECK(result == EW_OK || result == EW_EINUSE);
        winners += result == EW_OK;
    }
    CHECK_EQ(ewi_rundir_connect(fd, name, &result), EW_OK);
    close(result);
    CHECK_EQ(count_files(fd), 1);
    close(end[1]);
    for (int i = 0; i < BINDERS; i++)
        CHECK(wait(&status) > 0 && status == 0);
    close(start[0]);
    close(verdict[0]);
    close(end[0]);
    return winners;
}

/* catches: a socket taken for stale between its bind and its listen; look and unlink without
 * the lock; two winners */
static void of_eight_binders_exactly_one_wins(void)
{
    char name[RUNDIR_NAME_BYTES];

    name_of("pricing", instance, name);
    for (int round = 0; round < 30; round++) {
        int fd = open_fresh();

        CHECK_EQ(winners_of_race(fd, name, false), 1); /* a free name */
        CHECK_EQ(winners_of_race(fd, name, false), 1); /* a stale one: the children are gone */
        CHECK_EQ(winners_of_race(fd, name, true), 1);
        close(fd);
    }
}

static void make_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    CHECK(fd >= 0);
    close(fd);
}

static bool exists(int directory, const char *name)
{
    struct stat status;

    return fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A dead socket with any name at all. */
static void leave_foreign(int directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", directory, name);
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

/* catches: anything removed but our own dead sockets */
static void sweep_removes_dead_sockets_and_leaves_the_rest(void)
{
    int fd = open_fresh(), listener;
    char live[RUNDIR_NAME_BYTES], dead[RUNDIR_NAME_BYTES], file[RUNDIR_NAME_BYTES];
    char link[RUNDIR_NAME_BYTES], target[PATH_BYTES];

    name_of("live", instance, live);
    CHECK_EQ(ewi_rundir_bind(fd, live, BACKLOG, &listener, error), EW_OK);
    name_of("dead", instance, dead);
    leave_stale(fd, dead);
    name_of("file", instance, file);
    make_file(fd, file);
    make_file(fd, "notes.txt");
    leave_foreign(fd, "other.sock");
    leave_foreign(fd, "proc-1-2.sock");
    name_of("link", instance, link);
    path_of(target, "run/other.sock");
    CHECK_EQ(symlinkat(target, fd, link), 0);

    CHECK_EQ(ewi_rundir_connect(fd, link, &listener), EW_ENOTFOUND);
    CHECK_EQ(ewi_rundir_sweep(fd), 1);
    CHECK(!exists(fd, dead));
    CHECK(exists(fd, live) && exists(fd, file) && exists(fd, "notes.txt"));
    CHECK(exists(fd, "other.sock") && exists(fd, "proc-1-2.sock") && exists(fd, link));
    close(listener);
    close(fd);
}

/* catches: sockets of an earlier boot kept, or asked instead of judged by name */
static void sweep_removes_sockets_of_another_boot_and_half_made_ones(void)
{
    int fd = open_fresh(), listener;
    char name[RUNDIR_NAME_BYTES], half[RUNDIR_NAME_BYTES];

    name_of("pricing", instance, name);
    name[50] = name[50] == '0' ? '1' : '0';
    CHECK_EQ(ewi_rundir_bind(fd, name, BACKLOG, &listener, error), EW_OK); /* even a live one */
    snprintf(half, sizeof(half), ".new-0123456789abcdef-%.8s.sock", name + 50);
    leave_foreign(fd, half);
    name_of("pricing", instance, name);
    snprintf(half, sizeof(half), ".new-0123456789abcdef-%.8s.sock", name + 50);
    leave_foreign(fd, half);
    CHECK_EQ(ewi_rundir_sweep(fd), 3);
    CHECK_EQ(count_files(fd), 0);
    name[50] = name[50] == '0' ? '1' : '0';
    make_file(fd, name); /* no socket, so none of ours */
    CHECK_EQ(ewi_rundir_sweep(fd), 0);
    CHECK_EQ(count_files(fd), 1);
    close(listener);
    close(fd);
}

/* catches: a sweep without a bound */
static void one_sweep_removes_at_most_256(void)
{
    int fd = open_fresh();
    char name[RUNDIR_NAME_BYTES];
    uint8_t id[16] = {0};

    for (int i = 0; i < 300; i++) {
        id[0] = (uint8_t)i;
        id[1] = (uint8_t)(i >> 8);
        name_of("pricing", id, name);
        leave_stale(fd, name);
    }
    CHECK_EQ(ewi_rundir_sweep(fd), 256);
    CHECK_EQ(ewi_rundir_sweep(fd), 44);
    CHECK_EQ(ewi_rundir_sweep(fd), 0);
    close(fd);
}

struct seen {
    char first[RUNDIR_NAME_BYTES];
    int count, count_max;
};

static bool note(void *context, const char *name)
{
    struct seen *seen = context;

    if (seen->count++ == 0)
        snprintf(seen->first, sizeof(seen->first), "%s", name);
    return seen->count < seen->count_max;
}

/* catches: a prefix ignored, a name of another boot or a half-made socket shown, no way to stop */
static void list_gives_the_names_of_this_boot_with_a_prefix(void)
{
    int fd = open_fresh();
    char name[RUNDIR_NAME_BYTES], prefix[RUNDIR_PREFIX_BYTES];
    struct seen seen = {.count_max = 100};

    name_of("orders", instance, name);
    make_file(fd, name);
    name[50] = name[50] == '0' ? '1' : '0';
    make_file(fd, name);
    make_file(fd, "notes.txt");
    name_of("pricing", other_instance, name);
    make_file(fd, name);
    CHECK_EQ(ewi_rundir_prefix("default", "pricing", prefix), EW_OK);
    CHECK_EQ(ewi_rundir_list(fd, prefix, note, &seen), EW_OK);
    CHECK_EQ(seen.count, 1);
    CHECK(strcmp(seen.first, name) == 0);
    seen.count = 0;
    CHECK_EQ(ewi_rundir_list(fd, NULL, note, &seen), EW_OK);
    CHECK_EQ(seen.count, 2);
    seen = (struct seen){.count_max = 1};
    CHECK_EQ(ewi_rundir_list(fd, NULL, note, &seen), EW_OK);
    CHECK_EQ(seen.count, 1);
    close(fd);
}

/* catches: a text without the reason when the directory may not be written */
static void directory_without_write_permission_is_said(void)
{
    int fd = open_fresh(), listener;
    char name[RUNDIR_NAME_BYTES];

    if (geteuid() == 0) {
        CHECK_EQ(fchmod(fd, 0755), 0);
        CHECK_EQ(seteuid(12345), 0);
    } else {
        CHECK_EQ(fchmod(fd, 0500), 0);
    }
    name_of("pricing", instance, name);
    CHECK_EQ(ewi_rundir_bind(fd, name, BACKLOG, &listener, error), EW_EACCESS);
    CHECK(strstr(error, "may not write") != NULL);
    if (getuid() == 0)
        CHECK_EQ(seteuid(0), 0);
    close(fd);
}

int main(void)
{
    rundir_begin();
    RUN(bound_socket_listens_with_mode_0666);
    RUN(stale_socket_is_replaced);
    RUN(live_socket_is_left_alone);
    RUN(lock_held_by_another_ends_a_replacement_within_seconds);
    RUN(of_eight_binders_exactly_one_wins);
    RUN(sweep_removes_dead_sockets_and_leaves_the_rest);
    RUN(sweep_removes_sockets_of_another_boot_and_half_made_ones);
    RUN(one_sweep_removes_at_most_256);
    RUN(list_gives_the_names_of_this_boot_with_a_prefix);
    RUN(directory_without_write_permission_is_said);
    rundir_end();
    return 0;
}
