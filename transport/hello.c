#include "transport/hello.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "transport/error.h"
#include "transport/proof.h"

enum { NS_PER_S = 1000 * 1000 * 1000 };

int ewi_random(void *out, size_t bytes)
{
    if (getrandom(out, bytes, 0) == (ssize_t)bytes) /* up to 256 bytes are never short */
        return EW_OK;
    return ewi_fail_os(-errno, "getrandom");
}

int ewi_hello_fill(const ew_context *context, const struct dial *dial, struct hello *out)
{
    *out = (struct hello){.version = WIRE_VERSION,
                          .version_min = WIRE_VERSION,
                          .features = WIRE_FEATURES_KNOWN,
                          .intent = (uint8_t)dial->intent,
                          .pid = (uint32_t)getpid(),
                          .message_bytes_max = context->message_bytes_max,
                          .limit = context->inbox_bytes};
    snprintf(out->namespace_name, sizeof(out->namespace_name), "%s", context->namespace_name);
    snprintf(out->service, sizeof(out->service), "%s", dial->service);
    snprintf(out->protocol, sizeof(out->protocol), "%s", dial->protocol);
    if (dial->instance != NULL)
        memcpy(out->instance, dial->instance, sizeof(out->instance));
    if (dial->intent == WIRE_RESUME) {
        memcpy(out->channel, dial->move->channel->id, sizeof(out->channel));
        return ewi_random(out->nonce, sizeof(out->nonce));
    }
    if (dial->intent != WIRE_OPEN)
        return EW_OK;
    out->generation = 1;
    if (ewi_random(out->channel, sizeof(out->channel)) != EW_OK ||
        ewi_random(out->secret, sizeof(out->secret)) != EW_OK)
        return EW_EBUG;
    return ewi_random(out->nonce, sizeof(out->nonce));
}

static int refused(const struct dial *dial, const uint8_t *bytes, uint32_t length)
{
    char text[WIRE_TEXT_BYTES_MAX + 1];
    int code = ewi_wire_get_refuse(bytes, length, text);

    if (dial->move != NULL)
        dial->move->said = false; /* it has not moved */
    return ewi_fail(code, "%s refused: %s", dial->address, text[0] != '\0' ? text : "(no reason)");
}

/* The answer to a RESUME for a channel that has ended there. */
static int ended(const struct dial *dial, const uint8_t *bytes, uint32_t length)
{
    if (length != WIRE_FINAL_BYTES)
        return ewi_fail(EW_EPROTO, "%s did not answer as an Eastwest listener does", dial->address);
    dial->move->said = false; /* it has not moved */
    dial->move->final_taken = ewi_wire_get_u64(bytes + RECORD_HEADER_BYTES);
    return ewi_fail(EW_EEND, "%s has ended the channel", dial->address);
}

int ewi_hello_judge(const struct dial *dial, const struct hello *said, const uint8_t *bytes,
                    uint32_t length, struct hello *out, char *facts)
{
    struct record record = {0};
    int code;

    if (length >= RECORD_HEADER_BYTES)
        record = ewi_record_decode(ewi_wire_get_header(bytes));
    if (record.kind == RECORD_REFUSE)
        return refused(dial, bytes, length);
    if (record.kind == RECORD_FINAL && said->intent == WIRE_RESUME)
        return ended(dial, bytes, length);
    code = ewi_wire_get_hello(bytes, length, RECORD_WELCOME, out, facts);
    if (code == EW_EVERSION)
        return ewi_fail(code, "%s speaks versions %u to %u, this library %u", dial->address,
                        out->version_min, out->version, WIRE_VERSION);
    if (code != EW_OK)
        return ewi_fail(code, "%s did not answer as an Eastwest listener does", dial->address);
    if (said->intent == WIRE_QUERY)
        return EW_OK;
    if (strcmp(out->service, said->service) != 0 ||
        strcmp(out->namespace_name, said->namespace_name) != 0 ||
        memcmp(out->channel, said->channel, sizeof(out->channel)) != 0 ||
        out->generation != said->generation || out->message_bytes_max == 0) /* I1 */
        return ewi_fail(EW_EPROTO, "%s answered for something else", dial->address);
    if (dial->instance != NULL && memcmp(out->instance, dial->instance, 16) != 0)
        return ewi_fail(EW_EUNREACHABLE, "%s is another instance of %s", dial->address,
                        dial->service);
    return EW_OK;
}

int ewi_hello_resume(const struct dial *dial, struct hello *out, uint8_t bytes[WIRE_HELLO_BYTES])
{
    static const uint8_t no_nonce[16];
    struct move *move = dial->move;
    ew_channel *channel = move->channel;
    struct wait wait = dial->wait;
    struct lock *session_lock;
    int code;

    wait.deadline_ns = ewi_min_u64(wait.deadline_ns, ewi_now_ns() + MOVE_NS);
    code = ewi_freeze_await(channel, wait);
    if (code != EW_OK)
        return ewi_fail(code, "the channel is in use and did not come to rest");
    if (atomic_load_explicit(&channel->shut, memory_order_relaxed) == CHANNEL_CLOSED || /* a value */
        ewi_channel_link_state(channel) != LINK_UP) /* from here on its end waits for our locks */
        return ewi_fail(EW_ECLOSED, "the channel ended while it was dialled");
    session_lock = ewi_move_session_lock(channel);
    if (session_lock != NULL)
        ewi_lock_enter(session_lock);
    code = ewi_move_settle(channel);
    if (code == EW_OK && move->local)
        code = ewi_move_fill(move, channel->writer.freed);
    if (code == EW_OK) {
        out->generation = ewi_session_dial(&channel->session);
        ewi_move_say(move, channel->writer.freed, out);
    }
    if (session_lock != NULL)
        ewi_lock_give(session_lock);
    channel->ops->settle(channel); /* a bell that rang meanwhile was left to us */
    if (code != EW_OK)
        return code;
    ewi_wire_put_hello(bytes, RECORD_HELLO, out);
    ewi_proof_put(bytes, channel->session.secret, no_nonce);
    move->said = true;
    move->answer_by_ns = ewi_now_ns() + MOVE_ANSWER_NS;
    return EW_OK;
}

int ewi_hello_resumed(const struct dial *dial, const struct hello *said, const uint8_t *bytes)
{
    ew_channel *channel = dial->move->channel;

    if (!ewi_proof_holds(bytes, channel->session.secret, said->nonce))
        return ewi_fail(EW_EPROTO, "%s does not know the channel's secret", dial->address);
    return EW_OK;
}

/* Once our RESUME is out its answer matters more than the caller's patience: if we left now, the peer
 * might go over to a link that is gone. */
static struct wait wait_of(const struct dial *dial)
{
    if (dial->move != NULL && dial->move->said)
        return (struct wait){.deadline_ns = dial->move->answer_by_ns};
    return dial->wait;
}

int ewi_hello_await(int fd, short events, const struct dial *dial)
{
    struct wait wait = wait_of(dial);
    int ready;

    do {
        struct pollfd wanted[] = {{.fd = fd, .events = events},
                                  {.fd = dial->cancel_fd, .events = POLLIN}};
        uint64_t left = ewi_wait_left(wait, ewi_now_ns());
        struct timespec timeout = {.tv_sec = (time_t)(left / NS_PER_S),
                                   .tv_nsec = (long)(left % NS_PER_S)};

        ready = ppoll(wanted, 2, left == EWI_NEVER ? NULL : &timeout, wait.sigmask);
        if (ready > 0 && wanted[1].revents != 0)
            return ewi_fail(EW_ECLOSED, "the channel was closed here");
    } while (ready < 0 && dial->move != NULL && dial->move->said);
    if (ready > 0)
        return EW_OK;
    if (ready == 0)
        return ewi_fail(EW_ETIMEOUT, "%s did not answer in time", dial->address);
    return ewi_fail(EW_EINTR, "interrupted while waiting for %s", dial->address);
}

void ewi_query_fill(const struct hello *welcome, const char *facts, uint64_t began_ns,
                    ew_query_info *out)
{
    *out = (ew_query_info){.channels = welcome->channels,
                           .message_bytes_max = welcome->message_bytes_max,
                           .pid = welcome->pid,
                           .rtt_ns = (int64_t)(ewi_now_ns() - began_ns)};
    memcpy(out->instance, welcome->instance, sizeof(out->instance));
    snprintf(out->namespace_name, sizeof(out->namespace_name), "%s", welcome->namespace_name);
    snprintf(out->service, sizeof(out->service), "%s", welcome->service);
    snprintf(out->protocol, sizeof(out->protocol), "%s", welcome->protocol);
    snprintf(out->facts, sizeof(out->facts), "%s", facts);
}
