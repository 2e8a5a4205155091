#include "bindings/python/message_wait.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const double NS_PER_S = 1e9;
static const double TIMEOUT_S_MAX = 9e9; /* 285 years; below INT64_MAX nanoseconds */

enum thread_role { ROLE_UNKNOWN, ROLE_MAIN, ROLE_OTHER };
static _Thread_local enum thread_role thread_role; /* gettid(2) costs more than a call */

static void forget_role(void)
{
    thread_role = ROLE_UNKNOWN; /* in a child the thread that forked is the main thread */
}

int ewi_message_wait_init(void)
{
    static bool registered; /* under the GIL; handlers stay for the life of the process */

    if (!registered && pthread_atfork(NULL, NULL, forget_role) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    registered = true;
    return 0;
}

/* The thread that the kernel prefers for signals of the process, and that runs Python handlers. */
static bool on_main_thread(void)
{
    if (thread_role == ROLE_UNKNOWN)
        thread_role = gettid() == getpid() ? ROLE_MAIN : ROLE_OTHER;
    return thread_role == ROLE_MAIN;
}

static bool refuse_timeout(PyObject *seconds, const char *why)
{
    PyErr_Format(PyExc_ValueError, "timeout of %R seconds: %s", seconds, why);
    return false;
}

bool ewi_message_timeout(PyObject *seconds, int64_t *timeout_ns)
{
    double value;

    if (seconds == Py_None) {
        *timeout_ns = WAIT_FOREVER;
        return true;
    }
    value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Clear();
            return refuse_timeout(seconds, "too long; None waits forever");
        }
        if (PyErr_ExceptionMatches(PyExc_TypeError))
            PyErr_Format(PyExc_TypeError, "timeout must be a number of seconds or None, not %R",
                         (PyObject *)Py_TYPE(seconds));
        return false;
    }
    if (isnan(value) || value < 0)
        return refuse_timeout(seconds, "must be 0 or more");
    if (value > TIMEOUT_S_MAX)
        return refuse_timeout(seconds, "too long; None waits forever");
    *timeout_ns = (int64_t)ceil(value * NS_PER_S); /* a tiny wait is not "do not wait" */
    return true;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t ewi_message_until(int64_t timeout_ns)
{
    int64_t now;

    if (timeout_ns < 0)
        return INT64_MAX;
    now = now_ns();
    return timeout_ns < INT64_MAX - now ? now + timeout_ns : INT64_MAX;
}

int64_t ewi_message_left(int64_t until_ns)
{
    int64_t left_ns;

    if (until_ns == INT64_MAX)
        return WAIT_FOREVER;
    left_ns = until_ns - now_ns();
    return left_ns > 0 ? left_ns : 0;
}

int64_t ewi_message_poll(struct message_call *call, int64_t timeout_ns, const void *sigmask)
{
    struct pollfd watched = {.fd = call->fd, .events = POLLIN};
    struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000),
                               .tv_nsec = (long)(timeout_ns % 1000000000)};
    int ready = ppoll(&watched, 1, timeout_ns < 0 ? NULL : &timeout, sigmask);

    if (ready < 0)
        return errno == EINTR ? EW_EINTR : -errno;
    if (ready == 0)
        return EW_ETIMEOUT;
    return (watched.revents & POLLNVAL) != 0 ? -EBADF : EW_OK;
}

/* Block what can be handled later. A fault of this thread itself cannot wait. */
static void block_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t all;

    sigfillset(&all);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

/* Last look at tripped handlers, then what must directly precede the run. */
static int64_t make_ready(struct message_call *call, bool masked)
{
    if (masked && PyErr_CheckSignals() != 0) /* came after the caller's look */
        return MESSAGE_RAISED;
    return call->prepare != NULL ? call->prepare(call) : EW_OK;
}

/* The call itself: without the GIL and, if masked, with signals blocked but for the sleep (I1). */
static int64_t run_once(struct message_call *call, int64_t timeout_ns, bool masked)
{
    sigset_t before;
    int64_t result;

    if (masked)
        block_signals(&before);
    result = make_ready(call, masked);
    if (result == EW_OK) {
        PyThreadState *thread = PyEval_SaveThread();

        result = call->run(call, timeout_ns, masked ? &before : NULL);
        if (masked)
            pthread_sigmask(SIG_SETMASK, &before, NULL);
        PyEval_RestoreThread(thread);
    } else if (masked) {
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return result;
}

int64_t ewi_message_wait(struct message_call *call, int64_t until_ns)
{
    bool on_main = on_main_thread();
    bool masked = on_main && !(call->spins && call->repeatable);
    int64_t slice_ns = !call->repeatable ? WAIT_SLICE_LONG_NS
                       : call->spins     ? WAIT_SLICE_SPIN_NS
                                         : WAIT_SLICE_NS;

    while (PyErr_CheckSignals() == 0) {
        int64_t left_ns = ewi_message_left(until_ns);
        bool sliced = on_main && (left_ns < 0 || left_ns > slice_ns);
        int64_t result;

        if (left_ns == 0)
            return EW_ETIMEOUT;
        result = run_once(call, sliced ? slice_ns : left_ns, masked);
        if (result != EW_EINTR && !(sliced && result == EW_ETIMEOUT))
            return result;
        if (!(call->spins && call->repeatable) && slice_ns < INT64_MAX / 2)
            slice_ns *= 2; /* I2 */
    }
    return MESSAGE_RAISED;
}
