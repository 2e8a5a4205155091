/* How the reactor waits for a time: transport/reactor.c. The file is included, so that the very function can
 * be called, in a process in which the kernel refuses the call for short times. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/wait.h>

#include "tests/c/harness.h"
#include "transport/reactor.c"

static const uint64_t SHORT_NS = 300 * 1000;

/* Waits so long with nothing to see; returns whether only milliseconds are used from now on. */
static bool wait_once(void)
{
    struct reactor reactor = {.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    struct epoll_event events[REACTOR_EVENTS];
    uint64_t until = ewi_now_ns() + SHORT_NS;

    CHECK(reactor.epoll_fd >= 0);
    CHECK_EQ(wait_for_events(&reactor, events, until), 0);
    CHECK(ewi_now_ns() >= until);
    CHECK_EQ(wait_for_events(&reactor, events, 0), 0); /* it is over */
    close(reactor.epoll_fd);
    return reactor.only_ms;
}

static void refuse(int code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* catches: an error that is taken for no event, so that the thread runs until the time has come */
static void milliseconds_do_where_short_times_are_refused(void)
{
    static const int codes[] = {ENOSYS, EPERM}; /* an old kernel; a container that does not know the call */

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        int status;
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            refuse(codes[i]);
            CHECK(wait_once());
            _exit(0);
        }
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static void a_short_time_is_over_when_it_was_asked_for(void)
{
    (void)wait_once(); /* in milliseconds, before Linux 5.11 */
}

int main(void)
{
    RUN(a_short_time_is_over_when_it_was_asked_for);
    RUN(milliseconds_do_where_short_times_are_refused);
    return 0;
}
