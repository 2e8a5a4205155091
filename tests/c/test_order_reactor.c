/* Is every release paired with its acquire, in the reactor? As test_order_shm.c. The file is included, so
 * that the very functions can be called without the mutex that hides what they order. */
#include "tests/c/order_base.h"
#include "transport/reactor.c"

static struct reactor reactor;
static int told;
static struct source *source;

static void see_it(void *object, uint32_t events, uint64_t now_ns)
{
    const int *number = object;

    (void)now_ns;
    CHECK_EQ(events, EPOLLIN);
    CHECK_EQ(*number, 1);
    tell_left_is_done();
}

static void add_a_source(void)
{
    plain = 1;
    CHECK_EQ(ewi_reactor_add(&reactor, told, EPOLLIN, see_it, &plain, &source), EW_OK);
    await_left(); /* it was seen */
}

/* With a deadline: the thread sanitizer knows of epoll_wait that it orders, of epoll_pwait2 it does not. */
static void run_what_it_finds(void)
{
    struct epoll_event events[REACTOR_EVENTS];
    int count = 0;

    while (count <= 0)
        count = wait_for_events(&reactor, events, ewi_now_ns() + NS_PER_S);
    run_events(&reactor, events, count);
}

/* catches: the increment in ewi_reactor_add, or the load in run_events relaxed */
static void who_runs_an_event_sees_its_source(void)
{
    reactor = (struct reactor){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
    told = eventfd(1, EFD_CLOEXEC);
    CHECK(reactor.epoll_fd >= 0 && told >= 0);
    beside(add_a_source, run_what_it_finds);
    close(told);
    close(reactor.epoll_fd);
    free(source);
}

int main(void)
{
    RUN(who_runs_an_event_sees_its_source);
    return 0;
}
