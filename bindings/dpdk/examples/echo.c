/* An echo server on our own TCP/IP.
 *
 *   ew_example_echo PLUGIN.so PORT "device=af_packet:iface=veth1
 *   address=10.77.0.1/24"
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bindings/dpdk/examples/loop.h"

enum { ROOM_BYTES = 64 * 1024 };

/* What the peer has not room for yet. A connection that has some is not read from: the peer's sender has
 * to wait, so nothing here grows. */
struct echo {
    size_t from, to;
    uint8_t bytes[ROOM_BYTES];
};

static void end(struct loop *loop, ewi_stream stream, struct echo *echo, bool reset)
{
    loop->ops->finish(loop->stack, stream, reset, loop_now());
    free(echo);
}

/* True: nothing is left. */
static bool put_out(struct loop *loop, ewi_stream stream, struct echo *echo)
{
    while (echo->from < echo->to) {
        const struct stack_span rest = {echo->bytes + echo->from, echo->to - echo->from};
        int64_t sent = loop->ops->send(loop->stack, stream, &rest, 1);

        if (sent < 0)
            return false; /* -EAGAIN, or the stream is over and the next receive says so */
        echo->from += (size_t)sent;
    }
    return true;
}

static void serve(struct loop *loop, ewi_stream stream, struct echo *echo)
{
    const struct stack_room room = {echo->bytes, ROOM_BYTES};

    while (put_out(loop, stream, echo)) {
        int64_t got = loop->ops->recv_into(loop->stack, stream, &room, 1);

        if (got == -EAGAIN) {
            loop->ops->watch(loop->stack, stream, STACK_READABLE);
            return;
        }
        if (got <= 0) {
            end(loop, stream, echo, got < 0);
            return;
        }
        echo->from = 0;
        echo->to = (size_t)got;
    }
    loop->ops->watch(loop->stack, stream, STACK_WRITABLE);
}

static void welcome(struct loop *loop)
{
    for (;;) {
        struct echo *echo = calloc(1, sizeof(*echo));
        ewi_stream stream;

        if (echo == NULL)
            return; /* they wait in the backlog */
        if (loop->ops->accept(loop->stack, loop->listener, (uint64_t)(uintptr_t)echo, &stream) != 0) {
            free(echo);
            return;
        }
        serve(loop, stream, echo);
    }
}

static void handle(struct loop *loop, const struct stack_event *event)
{
    struct echo *echo = (struct echo *)(uintptr_t)event->user;

    if (event->bits & STACK_CLOSED)
        return; /* the connection's memory went when it was finished */
    if (event->bits & STACK_ACCEPT)
        welcome(loop);
    else if (event->bits & STACK_FAILED)
        end(loop, event->stream, echo, true);
    else
        serve(loop, event->stream, echo);
}

int main(int argc, char **argv)
{
    struct loop loop;

    if (argc != 4) {
        fprintf(stderr, "usage: ew_example_echo PLUGIN.so PORT SETTINGS\n");
        return 2;
    }
    loop_open(&loop, argv[1], argv[3]);
    loop_listen(&loop, argv[2]);
    loop_run(&loop, handle);
    return 0;
}
