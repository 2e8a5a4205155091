/* tests/fuzz/net_shell.h - a shell around a stack that keeps account of everything it hands over.
 *
 * Purpose    What a user of the stack may rely on is checked after every step: each reference comes
 *            back once, memory of a send is free exactly from `released` on, counters add up, frames
 *            fit, CLOSED is the last event, and the stack comes to rest at every instant.
 * Shape      a step is one of the functions below, then shell_settle()
 * Owner      each packet, span and frame is allocated at its very size and freed at the first moment
 *            at which the interface allows it, so that ASan sees who looks too late or too far
 * Threads    one
 * Trust      the stack is judged
 * Errors     peer_check() aborts, which the fuzzer reports
 * Invariants I1  what net.h promises to a shell and to a user.
 * Ordering   none
 * Source     transport/net/net.h
 */
#ifndef TESTS_FUZZ_NET_SHELL_H
#define TESTS_FUZZ_NET_SHELL_H

#include <errno.h>

#include "tests/fuzz/net_peer.h"
#include "transport/net/rows.h"

enum {
    SHELL_STREAMS = 24,
    SHELL_PIECES = 16,
    SHELL_TOKENS = 8,
    SHELL_BATCH = 4,
    SHELL_FRAMES = 8,
    SHELL_ROOM_BYTES = 66 * 1024,
    SHELL_SPARE_BYTES = 64, /* behind a packet: the stack may write there */
    SHELL_REST_ROUNDS = 256,
    SHELL_END_ROUNDS = 60,
};

#define SHELL_END_STEP_NS UINT64_C(130000000000) /* no timer of a connection is longer */

struct shell_packet { /* behind a reference */
    struct shell_packet *next;
    uint8_t *data;
    uint32_t charge;
};

struct shell_piece { /* accepted by send and not released */
    uint8_t *bytes;
    uint64_t end; /* of the stream */
};

struct shell_stream {
    ewi_stream handle;
    bool is_listener, is_udp, is_finished, is_closed, has_failed, knows_start;
    uint32_t flow, start;
    uint64_t sent, released, received;
    struct shell_piece piece[SHELL_PIECES];
    uint32_t pieces;
};

static struct {
    struct ewi_net *net;
    void *memory;
    struct net_config config;
    struct net_port_config port;
    uint64_t now;
    struct shell_packet *packets; /* kept by the stack */
    uint32_t packets_count;
    uint64_t packets_charge;
    struct net_rx batch[SHELL_BATCH];
    struct shell_packet *batch_packet[SHELL_BATCH]; /* NULL: without a reference */
    uint8_t *batch_data[SHELL_BATCH];
    uint32_t batch_count;
    struct shell_stream stream[SHELL_STREAMS];
    uint32_t streams;
    struct net_token token[SHELL_TOKENS];
    uint8_t *token_copy[SHELL_TOKENS];
    uint32_t tokens;
    struct net_datagram datagram;
    bool has_datagram;
    struct net_counters counted; /* by the shell: rx and tx */
    uint8_t *room; /* of all frames */
} shell;

/* ---- packets in ---- */

static inline void shell_give_batch(void)
{
    ewi_net_input(shell.net, shell.now, shell.batch, shell.batch_count);
    for (uint32_t i = 0; i < shell.batch_count; i++) {
        struct shell_packet *packet = shell.batch_packet[i];

        shell.counted.rx_packets += 1;
        if ((shell.batch[i].flags & NET_RX_KEPT) == 0) {
            free(shell.batch_data[i]);
            free(packet);
            continue;
        }
        peer_check(packet != NULL);
        packet->next = shell.packets;
        shell.packets = packet;
        shell.packets_count += 1;
        shell.packets_charge += packet->charge;
    }
    shell.batch_count = 0;
}

enum shell_how { SHELL_REF = 1, SHELL_GOOD = 2, SHELL_HOLD = 4, SHELL_TO_ALL = 8, SHELL_ODD = 16 };

/* An IP packet, or with type another frame, reaches the stack; with SHELL_HOLD, together with the
 * next one. */
static inline void shell_gives(const uint8_t *bytes, uint32_t count, uint16_t type, uint32_t how)
{
    bool is_ether = (shell.port.caps & NET_PORT_ETHERNET) != 0;
    struct net_ether ether = {.type = type};
    uint32_t link = is_ether ? NET_ETHER_BYTES : 0, slot = shell.batch_count++;
    uint32_t odd = (how & SHELL_ODD) != 0 ? 1 : 2; /* at an odd address, too */
    uint8_t *memory = malloc(odd + link + count + SHELL_SPARE_BYTES), *data = memory + odd;
    struct shell_packet *packet = (how & SHELL_REF) != 0 ? malloc(sizeof(*packet)) : NULL;
    uint32_t room = packet != NULL ? SHELL_SPARE_BYTES : 0;

    memcpy(ether.destination, stack_mac, sizeof(stack_mac));
    if ((how & SHELL_TO_ALL) != 0)
        memset(ether.destination, 0xff, sizeof(ether.destination));
    memcpy(ether.source, peer_mac, sizeof(peer_mac));
    if (is_ether)
        ewi_net_ether_build(data, &ether);
    if (count != 0)
        memcpy(data + link, bytes, count);
    if (packet == NULL) /* its end is exact */
        memory = realloc(memory, odd + link + count), data = memory + odd;
    else
        *packet = (struct shell_packet){.data = memory, .charge = link + count + 512};
    shell.counted.rx_bytes += link + count;
    shell.batch_packet[slot] = packet;
    shell.batch_data[slot] = memory;
    shell.batch[slot] = (struct net_rx){
        .data = data,
        .ref = packet,
        .bytes = link + count,
        .room = room,
        .charge = link + count + 512,
        .flags = (how & SHELL_GOOD) != 0 ? NET_RX_SUM_GOOD : 0,
    };
    if ((how & SHELL_HOLD) == 0 || shell.batch_count == SHELL_BATCH)
        shell_give_batch();
}

static inline void shell_takes_back(void *ref)
{
    struct shell_packet **at = &shell.packets, *packet;

    while (*at != NULL && *at != ref)
        at = &(*at)->next;
    peer_check(*at != NULL); /* it is ours, and came once */
    packet = *at;
    *at = packet->next;
    shell.packets_count -= 1;
    shell.packets_charge -= packet->charge;
    free(packet->data);
    free(packet);
}

static inline void shell_reclaims(uint32_t at_once)
{
    void *refs[8];
    uint32_t count;

    peer_check(at_once <= 8);
    do {
        count = ewi_net_reclaim(shell.net, refs, at_once);
        peer_check(count <= at_once);
        for (uint32_t i = 0; i < count; i++)
            shell_takes_back(refs[i]);
    } while (count == at_once && count != 0);
}

/* ---- frames out ---- */

static inline void shell_judge_frame(struct net_frame *frame)
{
    bool is_ether = (shell.port.caps & NET_PORT_ETHERNET) != 0;
    uint32_t link = is_ether ? NET_ETHER_BYTES : 0;
    struct net_ether ether = {.type = 0};

    shell.counted.tx_frames += 1;
    shell.counted.tx_bytes += frame->bytes;
    peer_check(frame->port == 0 && frame->bytes > link && frame->bytes <= frame->room_bytes);
    peer_check(!frame->finish_sum || (shell.port.caps & NET_PORT_TX_SUM) != 0);
    peer_check(frame->tso_mss == 0 || (shell.port.caps & NET_PORT_TX_TSO) != 0);
    if (frame->tso_mss == 0)
        peer_check(frame->bytes - link <= shell.port.mtu);
    else
        peer_check((uint32_t)frame->tso_mss + frame->network_bytes + frame->transport_bytes <=
                   shell.port.mtu);
    if (is_ether) {
        peer_check(ewi_net_ether_parse(frame->room, frame->bytes, &ether) == NET_OK);
        peer_check(memcmp(ether.source, stack_mac, sizeof(stack_mac)) == 0 && !ether.is_tagged);
    }
    if (!is_ether || ether.type == NET_ETHER_IP4 || ether.type == NET_ETHER_IP6)
        peer_sees(frame->room + link, frame->bytes - link, frame->finish_sum);
    else
        peer_check(ether.type == NET_ETHER_ARP);
}

/* Whether there may be more. */
static inline bool shell_outputs(uint32_t count)
{
    struct net_frame frames[SHELL_FRAMES];
    uint32_t filled;

    peer_check(count > 0 && count <= SHELL_FRAMES);
    for (uint32_t i = 0; i < count; i++)
        frames[i] = (struct net_frame){.room = shell.room + i * SHELL_ROOM_BYTES,
                                       .room_bytes = SHELL_ROOM_BYTES};
    filled = ewi_net_output(shell.net, shell.now, frames, count);
    peer_check(filled <= count);
    for (uint32_t i = 0; i < filled; i++)
        shell_judge_frame(&frames[i]);
    return filled == count;
}

/* ---- streams ---- */

static inline void shell_free_pieces(struct shell_stream *stream, uint64_t released)
{
    uint32_t gone = 0;

    while (gone < stream->pieces && stream->piece[gone].end <= released)
        free(stream->piece[gone++].bytes);
    stream->pieces -= gone;
    memmove(stream->piece, stream->piece + gone, stream->pieces * sizeof(stream->piece[0]));
}

static inline void shell_looks_released(struct shell_stream *stream)
{
    uint64_t released = 0;

    if (stream->is_finished || stream->is_listener || stream->is_udp)
        return;
    peer_check(ewi_net_released(shell.net, stream->handle, &released) == 0);
    peer_check(released >= stream->released && released <= stream->sent);
    stream->released = released;
    shell_free_pieces(stream, released);
}

static inline void shell_event(const struct stack_event *event)
{
    uint64_t index = event->user - 1000;
    struct shell_stream *stream;

    peer_check(index < shell.streams && event->bits != 0);
    stream = &shell.stream[index];
    peer_check(event->stream == stream->handle && !stream->is_closed);
    if (stream->is_finished)
        peer_check(event->bits == STACK_CLOSED);
    else
        peer_check((event->bits & STACK_CLOSED) == 0);
    if ((event->bits & STACK_CLOSED) != 0) {
        stream->is_closed = true;
        shell_free_pieces(stream, UINT64_MAX);
    }
    if ((event->bits & STACK_FAILED) != 0) {
        peer_check(ewi_net_error(shell.net, stream->handle) != 0);
        stream->has_failed = true;
    }
}

static inline void shell_events(uint32_t at_once)
{
    struct stack_event events[8];
    uint32_t count;

    peer_check(at_once <= 8);
    do {
        count = ewi_net_events(shell.net, events, at_once);
        peer_check(count <= at_once);
        for (uint32_t i = 0; i < count; i++)
            shell_event(&events[i]);
    } while (count == at_once && count != 0);
}

/* ---- what holds after every step ---- */

static inline void shell_judge_counters(void)
{
    const struct net_counters *counters = ewi_net_counters(shell.net);
    uint64_t drops = 0;

    for (uint32_t i = 0; i < NET_COUNTERS_COUNT; i++)
        if (strncmp(ewi_net_counters_name(i)->name, "drop_", 5) == 0)
            drops += ewi_net_counters_value(counters, i);
    peer_check(counters->rx_packets == shell.counted.rx_packets);
    peer_check(counters->rx_packets == counters->accepted + drops);
    peer_check(counters->rx_bytes == shell.counted.rx_bytes);
    peer_check(counters->tx_frames == shell.counted.tx_frames);
    peer_check(counters->tx_bytes == shell.counted.tx_bytes);
}

static inline void shell_judge(void)
{
    const char *broken = ewi_net_check(shell.net);

    if (broken != NULL)
        fprintf(stderr, "ewi_net_check: %s\n", broken);
    peer_check(broken == NULL);
    if (shell.batch_count == 0)
        shell_judge_counters();
    for (uint32_t i = 0; i < shell.streams; i++)
        shell_looks_released(&shell.stream[i]);
    shell_reclaims(3);
    peer_check(shell.packets_count <= shell.config.packets_max);
    peer_check(shell.packets_charge <= shell.config.rx_bytes_max);
}

/* Everything that can happen at this instant happens, and it is not endless. */
static inline void shell_rests(void)
{
    uint32_t rounds = 0;

    do {
        peer_check(rounds++ < SHELL_REST_ROUNDS);
        ewi_net_tick(shell.net, shell.now);
        while (shell_outputs(SHELL_FRAMES))
            peer_check(rounds++ < SHELL_REST_ROUNDS);
        shell_events(8);
        shell_reclaims(8);
    } while (ewi_net_deadline(shell.net) <= shell.now);
}

static inline void shell_begin(const struct net_config *config, const struct net_port_config *port)
{
    static const uint8_t seed[32] = "fuzz";
    size_t bytes = ewi_net_bytes(config);

    memset(&shell, 0, sizeof(shell));
    peer_check(bytes != 0);
    shell.config = *config;
    shell.port = *port;
    shell.now = UINT64_C(1000000000);
    shell.memory = aligned_alloc(NET_ALIGN, (bytes + NET_ALIGN - 1) / NET_ALIGN * NET_ALIGN);
    shell.room = malloc((size_t)SHELL_FRAMES * SHELL_ROOM_BYTES);
    peer_check(shell.memory != NULL && shell.room != NULL);
    memset(shell.memory, 0, bytes);
    shell.net = ewi_net_init(shell.memory, config, seed, shell.now);
    peer_check(shell.net != NULL && ewi_net_port_add(shell.net, port) == 0);
}

#endif
