/* What does one message take, with both ends in one thread? Counts only: see bench/c/count.h.
 *
 *   shm BYTES      ew_channel_send at one end, ew_channel_recv at the other, over shared memory
 *   stream BYTES   the same over a stream that is a list of bytes: framing, session,
 *                  acknowledgments. A channel talks to itself there: what it sends it receives.
 */
#include "bench/c/count.h"
#include "bench/c/duo.h"
#include "tests/c/sink_base.h"

enum { BYTES_MAX = 16 * 1024, STREAM_RING = 256 * 1024, WIRE_BYTES = 2 * STREAM_RING };

static uint8_t source[BYTES_MAX], sink[BYTES_MAX];

/* ---- over shared memory ---- */

struct ends {
    char dir[32];
    ew_context *context;
    ew_channel *near, *far;
};

static void open_ends(struct ends *ends)
{
    const ew_context_options options = {.wait = EW_WAIT_BLOCK};
    const ew_listen_options listen = {.service = "count", .runtime_dir = ends->dir};
    const int64_t timeout_ns = INT64_C(60000000000);
    ew_connect_options connect = {.service = "count", .timeout_ns = timeout_ns};
    ew_listener *listener;
    ew_listener_info info;

    snprintf(ends->dir, sizeof(ends->dir), "/tmp/eastwest-count-XXXXXX");
    DUO_CHECK(mkdtemp(ends->dir) != NULL);
    DUO_CHECK(ew_context_open(&options, &ends->context) == EW_OK);
    DUO_CHECK(ew_listen(ends->context, &listen, &listener) == EW_OK);
    DUO_CHECK(ew_listener_get_info(listener, &info) == EW_OK);
    connect.address = info.local_address;
    DUO_CHECK(ew_connect(ends->context, &connect, &ends->near) == EW_OK);
    DUO_CHECK(ew_listener_accept(listener, timeout_ns, NULL, &ends->far) == EW_OK);
    ew_listener_free(listener);
    duo_remove_dir(ends->dir);
}

static void close_ends(struct ends *ends)
{
    ew_channel_abort(ends->near);
    ew_channel_abort(ends->far);
    ew_channel_free(ends->near);
    ew_channel_free(ends->far);
    ew_context_close(ends->context);
}

static void pass(ew_channel *from, ew_channel *to, size_t bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        size_t got = 0;

        DUO_CHECK(ew_channel_send(from, source, bytes, 0, NULL) == EW_OK);
        DUO_CHECK(ew_channel_recv(to, sink, sizeof(sink), &got, 0, NULL) == EW_OK && got == bytes);
    }
}

static void count_shm(size_t bytes, uint64_t count)
{
    struct ends ends;

    open_ends(&ends);
    pass(ends.near, ends.far, bytes, count / COUNT_WARM_SHARE);
    count_mark();
    pass(ends.near, ends.far, bytes, count);
    count_mark();
    close_ends(&ends);
}

/* ---- over a stream ---- */

static int64_t speak(struct ewi_stack *stack, ewi_stream handle, const struct stack_span *spans,
                     uint32_t count)
{
    int64_t taken = 0;

    (void)stack, (void)handle;
    if (wire.from == wire.to)
        wire.from = wire.to = 0;
    for (uint32_t i = 0; i < count; i++) {
        DUO_CHECK(wire.to + spans[i].bytes <= WIRE_BYTES);
        say(spans[i].base, spans[i].bytes);
        taken += (int64_t)spans[i].bytes;
    }
    return taken;
}

static void open_stream(void)
{
    static const struct stack_ops echo = {.recv_into = give, .send = speak, .break_off = nothing};

    DUO_CHECK((wire.bytes = malloc(WIRE_BYTES)) != NULL);
    begin(false);
    stream->ops = &echo;
    free(channel->writer.bytes);
    ewi_ring_writer_init(&channel->writer, calloc(1, STREAM_RING), STREAM_RING, 0);
    ewi_ring_reader_init(&stream->out, channel->writer.bytes, STREAM_RING, 0, 0);
    channel->record_bytes_max = channel->writer.record_bytes_max;
}

static void count_stream(size_t bytes, uint64_t count)
{
    open_stream();
    pass(channel, channel, bytes, count / COUNT_WARM_SHARE);
    count_mark();
    pass(channel, channel, bytes, count);
    count_mark();
    end();
    free(wire.bytes);
}

int main(int argc, char **argv)
{
    if (argc < 4 || argc % 2 != 0 || strcmp(argv[1], "--count") != 0) {
        fprintf(stderr, "usage: %s --count WORK N [WORK N...]\n", argv[0]);
        return 2;
    }
    for (int i = 2; i < argc; i += 2) {
        const char *space = strchr(argv[i], ' ');
        size_t bytes = space != NULL ? strtoul(space + 1, NULL, 10) : 0;
        bool is_shm = strncmp(argv[i], "shm ", 4) == 0;

        if (bytes == 0 || bytes > BYTES_MAX || (!is_shm && strncmp(argv[i], "stream ", 7) != 0)) {
            fprintf(stderr, "no work '%s'\n", argv[i]);
            return 2;
        }
        (is_shm ? count_shm : count_stream)(bytes, strtoull(argv[i + 1], NULL, 10));
    }
    return 0;
}
