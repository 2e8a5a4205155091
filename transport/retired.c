#include "transport/retired.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "transport/channel/channel.h"
#include "transport/process.h"

enum { JUNK_BYTES = 4096, JUNK_ROUNDS = 16 };

struct retired {
    ew_context *context;
    ew_channel *channel;   /* NULL: it has ended */
    struct retired *older; /* of the same channel */
    struct source *source; /* the deadline, and of a socket its hang-up */
    int fd;                /* -1: a stream */
    struct context_stack *on;
    ewi_stream stream;
    struct stream_user *user;
};

static void unlink_from_channel(struct retired *retired)
{
    struct retired **at;

    if (retired->channel == NULL)
        return;
    for (at = &retired->channel->retired; *at != retired; at = &(*at)->older)
        ;
    *at = retired->older;
}

static void end(struct retired *retired)
{
    ew_context *context = retired->context;

    unlink_from_channel(retired);
    ewi_reactor_remove(context->reactor, retired->source);
    if (retired->fd >= 0)
        ewi_process_close_fd(retired->fd);
    else
        ewi_stream_finish(retired->on, retired->stream, retired->user, true);
    free(retired);
    ewi_context_give(context);
}

static void on_hang_up_or_deadline(void *object, uint32_t events, uint64_t now_ns)
{
    (void)events, (void)now_ns;
    end(object);
}

static void on_stream(void *object, uint32_t bits, uint64_t now_ns)
{
    struct retired *retired = object;
    uint8_t junk[JUNK_BYTES];
    const struct stack_room room = {junk, sizeof(junk)};

    (void)bits, (void)now_ns;
    for (int round = 0; round < JUNK_ROUNDS; round++) {
        int64_t got = retired->on->ops->recv_into(retired->on->stack, retired->stream, &room, 1);

        if (got == -EAGAIN)
            return;
        if (got <= 0) {
            end(retired);
            return;
        }
    }
}

/* I2 */
static void make_room(ew_channel *channel)
{
    struct retired *each = channel->retired;
    int count;

    for (count = 1; each != NULL && count < RETIRED_MAX; count++)
        each = each->older;
    if (each != NULL)
        end(each);
}

static struct retired *create(ew_channel *channel, int fd, uint32_t events)
{
    struct retired *retired = calloc(1, sizeof(*retired));
    ew_context *context = channel->context;

    if (retired == NULL)
        return NULL;
    retired->context = context;
    retired->fd = fd;
    ewi_reactor_lock(context->reactor); /* no event before it is complete */
    if (ewi_reactor_add(context->reactor, fd, events, on_hang_up_or_deadline, retired,
                        &retired->source) != EW_OK) {
        ewi_reactor_unlock(context->reactor);
        free(retired);
        return NULL;
    }
    ewi_context_take(context);
    make_room(channel);
    retired->channel = channel;
    retired->older = channel->retired;
    channel->retired = retired;
    ewi_reactor_set_deadline(context->reactor, retired->source, ewi_now_ns() + context->retired_ns);
    ewi_reactor_unlock(context->reactor);
    return retired;
}

void ewi_retired_leave(ew_channel *channel)
{
    ewi_reactor_lock(channel->context->reactor);
    for (struct retired *each = channel->retired; each != NULL; each = each->older)
        each->channel = NULL;
    channel->retired = NULL;
    ewi_reactor_unlock(channel->context->reactor);
}

void ewi_retire_socket(ew_channel *channel, int fd)
{
    if (create(channel, fd, EPOLLET) == NULL) /* EPOLLHUP comes unasked */
        ewi_process_close_fd(fd);
}

void ewi_retire_stream(ew_channel *channel, struct context_stack *on, ewi_stream stream,
                       struct stream_user *user)
{
    ew_context *context = channel->context;
    struct retired *retired;

    ewi_reactor_lock(context->reactor);
    retired = create(channel, -1, 0);
    if (retired == NULL) {
        ewi_stream_finish(on, stream, user, true);
    } else {
        retired->on = on;
        retired->stream = stream;
        retired->user = user;
        ewi_stream_user_set(on, user, on_stream, retired);
        on->ops->watch(on->stack, stream, STACK_READABLE);
    }
    ewi_reactor_unlock(context->reactor);
}
