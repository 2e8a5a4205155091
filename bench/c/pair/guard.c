/* What keeps the two processes of a pair together, and ends them: see pair.h, I1 and I2. */
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>

#include "bench/c/pair/pair.h"

enum { MEET_SPIN_NS = 50000, MEET_LOOKS = 64 };

static struct { /* for the handlers of signals */
    const struct pair *pair;
    char complaint[PAIR_WHY_BYTES]; /* if there is no progress; "": nothing is going on */
    uint64_t progress;
    int stuck, ticks;
} guard;

/* ---- words ---- */

_Noreturn static void stop(int status, const char *format, va_list list)
{
    char line[PAIR_WHY_BYTES * 2];

    vsnprintf(line, sizeof(line), format, list);
    fprintf(stderr, "pair: %s\n", line);
    _exit(status);
}

_Noreturn void pair_refuse(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    stop(2, format, list);
}

_Noreturn void pair_fail(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    stop(1, format, list);
}

const char *pair_text(const char *format, ...)
{
    static char text[PAIR_WHY_BYTES];
    va_list list;

    va_start(list, format);
    vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    return text;
}

const char *pair_kernel(void)
{
    static struct utsname name;

    DUO_CHECK(uname(&name) == 0);
    return pair_text("%s %s", name.sysname, name.release);
}

/* ---- meeting ---- */

static bool has_come(const struct pair_come *other, uint32_t meeting)
{
    return (int32_t)(atomic_load_explicit(&other->value, memory_order_acquire) - meeting) >= 0;
}

void pair_meet(struct pair *pair)
{
    const int side = pair->duo.is_peer ? 1 : 0;
    struct pair_come *mine = &pair->shared->come[side], *other = &pair->shared->come[1 - side];
    const uint32_t meeting = ++pair->meetings;
    uint64_t until_ns = duo_ns() + MEET_SPIN_NS;

    atomic_store_explicit(&mine->value, meeting, memory_order_release);
    syscall(SYS_futex, &mine->value, FUTEX_WAKE, 1, NULL, NULL, 0);
    for (uint32_t looks = 1; !has_come(other, meeting); looks++) {
        uint32_t seen;

        ewi_relax();
        if (looks % MEET_LOOKS != 0 || duo_ns() < until_ns)
            continue;
        seen = atomic_load_explicit(&other->value, memory_order_acquire);
        if ((int32_t)(seen - meeting) < 0) /* a signal, or another value meanwhile: look again */
            syscall(SYS_futex, &other->value, FUTEX_WAIT, seen, NULL, NULL, 0);
    }
}

const char *pair_agree(struct pair *pair, const char *why)
{
    char(*said)[PAIR_WHY_BYTES] = pair->shared->why;

    snprintf(said[pair->duo.is_peer ? 1 : 0], PAIR_WHY_BYTES, "%s", why != NULL ? why : "");
    pair_meet(pair);
    why = said[0][0] != '\0' ? said[0] : said[1][0] != '\0' ? said[1] : NULL;
    if (why != NULL)
        why = pair_text("%s", why);
    pair_meet(pair); /* nobody writes before both have read */
    return why;
}

/* ---- the guard ---- */

static void complain(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written;
    _exit(1);
}

static void on_tick(int number)
{
    (void)number;
    if (++guard.ticks > PAIR_LIFE_S / PAIR_TICK_S)
        complain("pair: an hour is over\n");
    guard.stuck = guard.pair->progress == guard.progress && guard.complaint[0] != '\0'
                      ? guard.stuck + 1
                      : 0;
    guard.progress = guard.pair->progress;
    if (guard.stuck >= PAIR_STUCK_S / PAIR_TICK_S + (guard.pair->duo.is_peer ? 2 : 0))
        complain(guard.complaint); /* the client first: one line is enough */
}

/* The server is gone before its time; if it went by itself it has said why. */
static void on_child(int number)
{
    siginfo_t info = {0};

    (void)number;
    if (waitid(P_PID, (id_t)guard.pair->duo.peer, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid == 0)
        return;
    if (info.si_code != CLD_EXITED)
        complain("pair: the server was killed\n");
    _exit(info.si_status != 0 ? info.si_status : 1);
}

void pair_guard(const struct pair *pair)
{
    const struct itimerval every = {.it_interval = {.tv_sec = PAIR_TICK_S},
                                    .it_value = {.tv_sec = PAIR_TICK_S}};
    const struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    const struct sigaction child = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};

    guard.pair = pair;
    alarm(0); /* the same timer */
    DUO_CHECK(sigaction(SIGALRM, &tick, NULL) == 0);
    DUO_CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
    if (pair->duo.is_peer)
        return;
    DUO_CHECK(sigaction(SIGCHLD, &child, NULL) == 0);
    on_child(SIGCHLD); /* it may be gone already */
}

void pair_watch(const struct pair *pair, const char *what)
{
    guard.complaint[0] = '\0';
    guard.stuck = 0;
    if (what != NULL)
        snprintf(guard.complaint, sizeof(guard.complaint),
                 "pair: %s, %s, %s of %zu B: %d s without progress\n", pair->system->name,
                 pair->duo.is_peer ? "server" : "client", what, pair->order.bytes,
                 PAIR_STUCK_S);
}
