#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/pkt_segment.h"
#include "tests/pkt/pkt_world.h"
#include "transport/net/whole.h"

enum { IDLE_MAX = 300, BATCH = 64 }; /* IDLE: deadlines in a row at which nothing was done */

struct pkt_world pkt_world;

static struct stack_addr address(int family, int last)
{
    static const uint8_t four[3] = {192, 0, 2};                /* RFC 5737 */
    static const uint8_t six[4] = {0x20, 0x01, 0x0d, 0xb8};    /* RFC 3849 */
    struct stack_addr out = {.family = (uint8_t)family};

    memcpy(out.ip, family == 4 ? four : six, family == 4 ? sizeof(four) : sizeof(six));
    out.ip[family == 4 ? 3 : 15] = (uint8_t)last;
    return out;
}

void pkt_world_begin(const char *file, int family, struct pkt_how how)
{
    struct pkt_world *world = &pkt_world;

    memset(world, 0, sizeof(*world));
    world->file = file;
    world->family = family;
    world->how = how;
    world->now = PKT_START;
    world->mss = 1460;
    world->stack_address = address(family, 1);
    world->peer_address = address(family, 2);
    /* In the second family the peer's numbers wrap within the first bytes. */
    world->peer_iss = family == 4 ? 1000000000u : 0xffffff00u;
    ewi_net_config_for(&world->config, 16);
}

void pkt_world_start(void)
{
    struct pkt_world *world = &pkt_world;
    struct net_port_config port = {.mtu = 0};
    uint8_t seed[32];
    size_t bytes;

    if (world->net != NULL)
        return;
    for (unsigned i = 0; i < sizeof(seed); i++)
        seed[i] = pkt_byte(77, i);
    bytes = ewi_net_bytes(&world->config);
    if (bytes == 0)
        pkt_fail("script: the world's numbers are out of range");
    world->memory = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memset(world->memory, 0, bytes);
    world->net = ewi_net_init(world->memory, &world->config, seed, world->now);
    if (world->net == NULL)
        pkt_fail("ewi_net_init gave NULL");
    world->net->tcp.no_short_way = world->how.steps;
    port.mtu = (uint16_t)(world->mss + (world->family == 4 ? 40 : 60));
    world->port = ewi_net_port_add(world->net, &port);
    if (world->port < 0)
        pkt_fail("ewi_net_port_add: %d", world->port);
    if (ewi_net_address_add(world->net, world->port, &world->stack_address,
                            world->family == 4 ? 24 : 64, NET_ADDRESS_SURE) < 0)
        pkt_fail("ewi_net_address_add failed");
    pkt_pump();
    pkt_forget_frames();
    world->icmp_out = 0;
}

/* ------------------------------------------------------------------ flows */

void pkt_flow_use(struct pkt_flow *flow, bool active)
{
    uint16_t number = (uint16_t)(flow - pkt_world.flow);

    if (flow->used)
        return;
    flow->used = true;
    flow->active = active;
    flow->name = (char)('a' + number);
    flow->stack_port = active ? 0 : PKT_LISTEN_PORT;
    flow->peer_port = (uint16_t)((active ? 7000 : 40000) + number);
    flow->window = 65535;
    flow->stack_scale = flow->peer_scale = -1;
    flow->peer_iss = pkt_world.peer_iss + 777u * number;
    flow->has_peer_iss = true;
    flow->stack_iss = 0x50000000; /* until its SYN is seen */
    flow->stack_end = 1;
}

struct pkt_flow *pkt_flow_of(uint64_t user)
{
    return user >= 1 && user <= PKT_FLOWS ? &pkt_world.flow[user - 1] : NULL;
}

void pkt_flow_again(struct pkt_flow *flow, int64_t above)
{
    flow->peer_iss += flow->peer_end + (uint32_t)above;
    flow->stack_iss_before = flow->stack_iss;
    flow->has_stack_iss = flow->stack_syn = flow->peer_syn = false;
    flow->stack_times = flow->peer_times = flow->has_edge = flow->stack_fin = false;
    flow->stack_scale = flow->peer_scale = -1;
    flow->peer_end = flow->peer_fin = 0;
    flow->sent = flow->received = 0;
    flow->stack_end = 1;
    flow->stream = 0;
    flow->window = 65535;
    flow->events = 0;
}

/* ------------------------------------------------------------------ the log */

void pkt_log(const char *format, ...)
{
    struct pkt_world *world = &pkt_world;
    char *line = world->log[world->logged++ % PKT_LOG];
    va_list arguments;
    int at = snprintf(line, sizeof(world->log[0]), "%11.6f  ",
                      (double)(world->now - PKT_START) / 1e9);

    va_start(arguments, format);
    vsnprintf(line + at, sizeof(world->log[0]) - (size_t)at, format, arguments);
    va_end(arguments);
    if (pkt_trace)
        puts(line);
}

void pkt_print_log(char *out, size_t room)
{
    struct pkt_world *world = &pkt_world;
    unsigned from = world->logged > PKT_LOG ? world->logged - PKT_LOG : 0;
    size_t at = 0;

    out[0] = '\0';
    for (unsigned i = from; i < world->logged && at < room; i++)
        at += (size_t)snprintf(out + at, room - at, "    %s\n", world->log[i % PKT_LOG]);
}

/* ------------------------------------------------------------------ memory of sends */

const uint8_t *pkt_send_memory(struct pkt_flow *flow, uint32_t bytes)
{
    struct pkt_send *send;

    if (flow->send_count == PKT_SENDS)
        pkt_fail("script: more than %d sends", PKT_SENDS);
    send = &flow->sends[flow->send_count++];
    send->data = malloc(bytes);
    send->from = flow->sent;
    send->end = flow->sent + bytes;
    for (uint32_t i = 0; i < bytes; i++)
        send->data[i] = pkt_byte(pkt_side(flow, true), flow->sent + i);
    return send->data;
}

/* Only a prefix was taken; the rest may go at once. */
void pkt_send_cut(struct pkt_flow *flow, uint32_t taken)
{
    struct pkt_send *send = &flow->sends[flow->send_count - 1];
    uint8_t *shorter = NULL;

    if (taken == 0) {
        free(send->data);
        flow->send_count--;
    } else {
        (void)shorter; /* the stack holds a pointer: its memory stays where it is */
        send->end = send->from + taken;
    }
    flow->sent += taken;
}

/* What was released is gone: a stack that still reads it meets the sanitizer. */
void pkt_released(struct pkt_flow *flow)
{
    uint64_t released;

    if (flow->stream == 0 || ewi_net_released(pkt_world.net, flow->stream, &released) != 0)
        return;
    if (released > flow->sent)
        pkt_fail("released says %llu of %llu bytes", (unsigned long long)released,
                 (unsigned long long)flow->sent);
    while (flow->send_first < flow->send_count && flow->sends[flow->send_first].end <= released)
        free(flow->sends[flow->send_first++].data);
}

/* ------------------------------------------------------------------ time and the wire */

static void keep_frame(const uint8_t *bytes, uint32_t length)
{
    struct pkt_world *world = &pkt_world;
    struct pkt_packet packet;
    struct pkt_frame *frame;
    const char *wrong = pkt_parse(bytes, length, &packet);
    char text[256];

    if (wrong != NULL && strcmp(wrong, "not TCP") == 0) {
        world->icmp_out++;
        pkt_log("> something that is not TCP, %u bytes", length);
        return;
    }
    if (wrong != NULL)
        pkt_fail("the stack sent a malformed packet: %s", wrong);
    for (struct pkt_flow *flow = world->flow; flow < world->flow + PKT_FLOWS; flow++) {
        if (!flow->used ||
            (flow->peer_port != packet.destination_port &&
             flow->other_port != packet.destination_port) ||
            (flow->stack_port != 0 && flow->stack_port != packet.source_port))
            continue;
        flow->stack_port = packet.source_port;
        pkt_learn(flow, &packet, true);
        pkt_describe(flow, &packet, true, text, sizeof(text));
        pkt_log("%s", text);
        frame = malloc(sizeof(*frame) + length);
        *frame = (struct pkt_frame){.at = world->now, .bytes = length};
        memcpy(frame->data, bytes, length);
        if (flow->last != NULL)
            flow->last->next = frame;
        else
            flow->first = frame;
        flow->last = frame;
        pkt_judge(flow, &packet);
        return;
    }
    pkt_fail("the stack sent a segment that belongs to no flow of this script: ports %u -> %u",
             packet.source_port, packet.destination_port);
}

static bool output(void)
{
    struct pkt_world *world = &pkt_world;
    uint32_t room = world->mss + 100;
    uint8_t *rooms[BATCH];
    struct net_frame frames[BATCH] = {{0}};
    uint32_t count;

    for (int i = 0; i < BATCH; i++) {
        rooms[i] = malloc(room);
        frames[i].room = rooms[i];
        frames[i].room_bytes = room;
    }
    count = ewi_net_output(world->net, world->now, frames, BATCH);
    if (count > BATCH)
        pkt_fail("ewi_net_output filled %u of %d frames", count, BATCH);
    for (uint32_t i = 0; i < count; i++) {
        if (frames[i].bytes > world->mss + (world->family == 4 ? 40 : 60))
            pkt_fail("a frame of %u bytes is longer than the MTU", frames[i].bytes);
        keep_frame(rooms[i], frames[i].bytes);
    }
    for (int i = 0; i < BATCH; i++)
        free(rooms[i]);
    return count > 0;
}

static void events(void)
{
    struct pkt_world *world = &pkt_world;
    struct stack_event event[BATCH];
    uint32_t count;

    do {
        count = ewi_net_events(world->net, event, BATCH);
        for (uint32_t i = 0; i < count; i++) {
            struct pkt_flow *flow = pkt_flow_of(event[i].user);

            if (event[i].user == PKT_LISTENER) {
                world->listener_events |= event[i].bits;
                continue;
            }
            if (flow == NULL)
                pkt_fail("an event for user %llu", (unsigned long long)event[i].user);
            if (flow->closed)
                pkt_fail("an event after CLOSED: bits %x", event[i].bits);
            flow->events |= event[i].bits;
            flow->closed = (event[i].bits & STACK_CLOSED) != 0;
        }
    } while (count == BATCH);
}

static void reclaim(void)
{
    struct pkt_world *world = &pkt_world;
    void *refs[BATCH];
    uint32_t count;

    do {
        count = ewi_net_reclaim(world->net, refs, BATCH);
        for (uint32_t i = 0; i < count; i++)
            free(refs[i]);
        world->refs_back += count;
    } while (count == BATCH);
}

void pkt_pump(void)
{
    struct pkt_world *world = &pkt_world;
    const char *wrong;
    bool more;

    do {
        ewi_net_tick(world->net, world->now);
        events();
        more = output();
    } while (more);
    events();
    reclaim();
    for (struct pkt_flow *flow = world->flow; flow < world->flow + PKT_FLOWS; flow++)
        if (flow->used)
            pkt_released(flow);
    wrong = ewi_net_check(world->net);
    if (wrong != NULL)
        pkt_fail("ewi_net_check: %s", wrong);
}

static bool waits(void)
{
    for (struct pkt_flow *flow = pkt_world.flow; flow < pkt_world.flow + PKT_FLOWS; flow++)
        if (flow->first != NULL)
            return true;
    return false;
}

void pkt_advance(uint64_t until, bool until_frame)
{
    struct pkt_world *world = &pkt_world;
    unsigned logged = world->logged;
    int idle = 0;

    while (!(until_frame && waits())) {
        uint64_t deadline = ewi_net_deadline(world->net);

        if (deadline > until) {
            world->now = until;
            return;
        }
        idle = world->logged == logged ? idle + 1 : 0;
        logged = world->logged;
        if (idle > IDLE_MAX)
            pkt_fail("the stack asks to be called again and again and does nothing");
        if (deadline > world->now)
            world->now = deadline;
        pkt_pump();
    }
}

void pkt_inject(const uint8_t *bytes, uint32_t length)
{
    struct pkt_world *world = &pkt_world;
    uint32_t room = world->family == 4 ? 0 : 300; /* of the buffer, behind the packet */
    uint8_t *memory = malloc(length + room);
    struct net_rx rx = {
        .data = memory, .ref = world->how.copies ? NULL : memory, .bytes = length, .room = room,
        .charge = length + room, .port = (uint16_t)world->port,
    };

    memcpy(memory, bytes, length);
    ewi_net_input(world->net, world->now, &rx, 1);
    if ((rx.flags & NET_RX_KEPT) == 0) {
        free(memory);
    } else {
        world->refs_kept++;
        if (world->how.copies)
            pkt_fail("a packet without a reference was kept");
    }
    pkt_pump();
}

void pkt_no_frames_of(const struct pkt_flow *flow, const char *because)
{
    struct pkt_packet packet;
    char text[256];

    if (flow->first == NULL)
        return;
    pkt_parse(flow->first->data, flow->first->bytes, &packet);
    pkt_describe(flow, &packet, true, text, sizeof(text));
    pkt_fail("unexpected segment%s, at %+.3f ms: %s", because,
             ((double)flow->first->at - (double)PKT_START) / 1e6, text);
}

void pkt_no_frames(const char *because)
{
    for (struct pkt_flow *flow = pkt_world.flow; flow < pkt_world.flow + PKT_FLOWS; flow++)
        pkt_no_frames_of(flow, because);
}

struct pkt_frame *pkt_frame_take(struct pkt_flow *flow)
{
    struct pkt_frame *frame = flow->first;

    flow->first = frame->next;
    if (flow->first == NULL)
        flow->last = NULL;
    frame->next = flow->history;
    flow->history = frame;
    return frame;
}

void pkt_forget_frames(void)
{
    for (struct pkt_flow *flow = pkt_world.flow; flow < pkt_world.flow + PKT_FLOWS; flow++)
        while (flow->first != NULL)
            pkt_frame_take(flow);
}

/* ------------------------------------------------------------------ the end */

/* Every stream is reset, every token released, every timer runs out: then nothing may be left. */
void pkt_world_end(void)
{
    struct pkt_world *world = &pkt_world;

    if (world->net == NULL)
        return;
    pkt_no_frames(" at the end of the script");
    for (struct pkt_flow *flow = world->flow; flow < world->flow + PKT_FLOWS; flow++) {
        if (flow->token_count > 0)
            ewi_net_release(world->net, flow->tokens, (uint32_t)flow->token_count);
        if (flow->stream != 0 && ewi_net_finish(world->net, flow->stream, true, world->now) != 0)
            pkt_fail("end: finish of flow %c failed", flow->name);
        if (flow->stream != 0)
            flow->finished = flow->stream;
        flow->stream = 0;
        flow->stack_fin = true;
    }
    if (world->listener != 0 && ewi_net_finish(world->net, world->listener, true, world->now) != 0)
        pkt_fail("end: finish of the listener failed");
    pkt_pump();
    pkt_advance(world->now + 3600 * UINT64_C(1000000000), false);
    pkt_forget_frames();
    for (struct pkt_flow *flow = world->flow; flow < world->flow + PKT_FLOWS; flow++)
        if (flow->finished != 0 && !flow->closed)
            pkt_fail("end: flow %c got no CLOSED", flow->name);
    if (world->refs_kept != world->refs_back)
        pkt_fail("end: %llu references kept, %llu came back", (unsigned long long)world->refs_kept,
                 (unsigned long long)world->refs_back);
}
