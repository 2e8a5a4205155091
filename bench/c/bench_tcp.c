/* What does our TCP path add to a raw TCP socket with the same wait policy, 64 B, on loopback?
 *
 *   raw-spin    TCP_NODELAY, both sides receive without blocking until the bytes are there
 *   ours-spin   ew_channel_* over kernel TCP, wait policy spin
 *   raw-block   TCP_NODELAY, both sides block in recv
 *   ours-block  ew_channel_* over kernel TCP, wait policy block
 *
 * Value of a round: the median round trip, in nanoseconds.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "bench/c/duo.h"

enum { MESSAGE_BYTES = 64, TRIPS = 2000, TRIPS_WARM = 200, SPIN_LOOKS_MAX = 1 << 26 };

struct bench {
    struct duo duo;
    int sock;
    bool spin;
    ew_channel *channel;
    uint8_t message[MESSAGE_BYTES];
};

/* ---- raw ---- */

static void raw_recv(struct bench *bench)
{
    int flags = bench->spin ? MSG_DONTWAIT : 0;
    int looks = 0;

    for (size_t have = 0; have < MESSAGE_BYTES;) {
        ssize_t now = recv(bench->sock, bench->message + have, MESSAGE_BYTES - have, flags);

        DUO_CHECK(now > 0 || (now < 0 && errno == EAGAIN && ++looks < SPIN_LOOKS_MAX));
        if (now > 0)
            have += (size_t)now;
    }
}

static void raw_trip(struct bench *bench)
{
    if (bench->duo.is_peer)
        raw_recv(bench);
    DUO_CHECK(send(bench->sock, bench->message, MESSAGE_BYTES, MSG_NOSIGNAL) == MESSAGE_BYTES);
    if (!bench->duo.is_peer)
        raw_recv(bench);
}

static int raw_open(struct duo *duo)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t at_bytes = sizeof(at);
    int listener = -1, sock, on = 1;

    if (duo->is_peer) {
        DUO_CHECK((listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
        DUO_CHECK(bind(listener, (struct sockaddr *)&at, at_bytes) == 0);
        DUO_CHECK(listen(listener, 1) == 0);
        DUO_CHECK(getsockname(listener, (struct sockaddr *)&at, &at_bytes) == 0);
        memcpy(duo->shared->text, &at, sizeof(at));
        duo_meet(duo);
        DUO_CHECK((sock = accept(listener, NULL, NULL)) >= 0);
        close(listener);
    } else {
        duo_meet(duo);
        memcpy(&at, duo->shared->text, sizeof(at));
        DUO_CHECK((sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
        DUO_CHECK(connect(sock, (struct sockaddr *)&at, at_bytes) == 0);
    }
    DUO_CHECK(setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    duo_meet(duo);
    return sock;
}

/* ---- ours ---- */

static void channel_recv(struct bench *bench)
{
    size_t bytes;

    DUO_CHECK(ew_channel_recv(bench->channel, bench->message, MESSAGE_BYTES, &bytes, -1, NULL) ==
              EW_OK);
}

static void channel_trip(struct bench *bench)
{
    if (bench->duo.is_peer)
        channel_recv(bench);
    DUO_CHECK(ew_channel_send(bench->channel, bench->message, MESSAGE_BYTES, -1, NULL) == EW_OK);
    if (!bench->duo.is_peer)
        channel_recv(bench);
}

/* ---- rounds ---- */

static void measure(struct bench *bench, const char *name, int round,
                    void (*trip)(struct bench *bench))
{
    struct duo_case *of = duo_case(&bench->duo, name);
    uint32_t *samples = duo_samples(of, TRIPS);
    static uint32_t sorted[TRIPS];
    uint64_t before;

    duo_meet(&bench->duo);
    for (int i = 0; i < TRIPS_WARM; i++)
        trip(bench);
    before = duo_ticks();
    for (int i = 0; i < TRIPS; i++) {
        uint64_t now;

        trip(bench);
        now = duo_ticks();
        samples[i] = (uint32_t)(now - before);
        before = now;
    }
    memcpy(sorted, samples, sizeof(sorted));
    of->value[round] = duo_median_ns(&bench->duo, sorted, TRIPS);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    ew_context *contexts[2];
    ew_channel *channels[2];

    duo_start(&bench.duo, argc, argv, 15, 5);
    duo_pin(&bench.duo);
    bench.sock = raw_open(&bench.duo);
    for (int i = 0; i < 2; i++) {
        contexts[i] = duo_context(i == 0 ? EW_WAIT_SPIN : EW_WAIT_BLOCK);
        channels[i] = duo_channel(&bench.duo, contexts[i], "tcp://127.0.0.1:0");
    }
    for (int round = 0; round < bench.duo.rounds; round++) {
        bench.spin = true;
        bench.channel = channels[0];
        measure(&bench, "raw-spin", round, raw_trip);
        measure(&bench, "ours-spin", round, channel_trip);
        bench.spin = false;
        bench.channel = channels[1];
        measure(&bench, "raw-block", round, raw_trip);
        measure(&bench, "ours-block", round, channel_trip);
    }
    duo_meet(&bench.duo);
    for (int i = 0; i < 2; i++) {
        ew_channel_abort(channels[i]);
        ew_channel_free(channels[i]);
        ew_context_close(contexts[i]);
    }
    duo_stop(&bench.duo);
    duo_print(&bench.duo, "tcp", "ns");
    return 0;
}
