/* transport/net/tcp_parts.h - what the files of TCP call of each other.
 *
 * Purpose    One segment on its way through the steps of RFC 9293 section 3.10.7, and the moves on a
 *            connection that more than one file needs.
 * Shape      see transport/net/tcp.h for who does what. A function that may end the connection says
 *            so by false: nothing but the pool's slot is valid then.
 * Owner      tcp.h
 * Threads    one caller at a time
 * Trust      net_segment: its header was parsed, nothing else was judged
 * Errors     none of its own
 * Invariants those of tcp.h
 * Ordering   single threaded
 * Source     RFC 9293
 */
#ifndef EWI_TRANSPORT_NET_TCP_PARTS_H
#define EWI_TRANSPORT_NET_TCP_PARTS_H

#include <errno.h>

#include "transport/net/whole.h"

#define NET_MS UINT64_C(1000000)
#define NET_S  UINT64_C(1000000000)
#define NET_NO_SPAN_NS UINT64_C(5000000)   /* look for a span again after so long */
#define NET_DELAYED_ACK_NS UINT64_C(45000000) /* Linux, and we, wait 40 ms for a second segment */
#define NET_PERSIST_NS UINT64_C(200000000) /* the first probe of a closed window is not before that */

enum {
    NET_SLOT_LISTENER = 1 << 30, /* bits 31, 30 of a handle's slot: 0 a connection, 2 UDP */
    NET_SLOT_KIND = 3u << 30,
    NET_MSS_DEFAULT4 = 536, /* RFC 9293 section 3.7.1 (MUST-15) */
    NET_MSS_DEFAULT6 = 1220,
    NET_TURN_FRAMES = 16,   /* of one connection before the next has its turn */
};

struct net_segment {
    struct net_tcp tcp;
    struct net_arrived *arrived;
    uint64_t hash; /* of the tuple, for the tables */
    uint64_t seq, ack;
    uint8_t *text;
    uint32_t bytes;
};

static inline uint64_t ewi_net_segment_end(const struct net_segment *segment)
{
    return segment->seq + segment->bytes + ((segment->tcp.flags & NET_TCP_SYN) ? 1 : 0) +
           ((segment->tcp.flags & NET_TCP_FIN) ? 1 : 0);
}

/* ---- small things ---- */

static inline struct net_conn *ewi_net_conn(struct ewi_net *net, uint32_t index)
{
    return ewi_net_pool_at(&net->tcp.conns, index);
}

static inline uint32_t ewi_net_conn_index(const struct ewi_net *net, const struct net_conn *conn)
{
    return (uint32_t)((size_t)((const uint8_t *)conn - net->tcp.conns.objects.base) /
                      sizeof(struct net_conn));
}

static inline struct net_trouble *ewi_net_conn_trouble(struct ewi_net *net,
                                                       const struct net_conn *conn)
{
    return conn->trouble == NET_NONE ? NULL : ewi_net_pool_at(&net->tcp.troubles, conn->trouble);
}

static inline const struct net_settings *ewi_net_conn_settings(const struct ewi_net *net,
                                                               const struct net_conn *conn)
{
    return ewi_net_settings_at(&net->tcp.settings, conn->settings);
}

/* A deadline as a tick of 1.024 us, rounded up; 0 means none, so that tick is one late. */
static inline uint32_t ewi_net_tcp_tick_of(uint64_t ns)
{
    uint32_t tick = (uint32_t)((ns + 1023) >> NET_TICK_BITS);

    return tick == 0 ? 1 : tick;
}

static inline uint64_t ewi_net_tcp_tick_ns(uint32_t tick, uint64_t now)
{
    return ewi_net_seq_unwrap(now >> NET_TICK_BITS, tick) << NET_TICK_BITS;
}

static inline bool ewi_net_tcp_is_due(uint32_t tick, uint64_t now)
{
    return tick != 0 && ewi_net_tcp_tick_ns(tick, now) <= now;
}

enum { NET_SLOW_BITS = 20 };

static inline uint32_t ewi_net_tcp_slow_of(uint64_t ns)
{
    uint32_t slow = (uint32_t)((ns + (1u << NET_SLOW_BITS) - 1) >> NET_SLOW_BITS);

    return slow == 0 ? 1 : slow;
}

static inline uint64_t ewi_net_tcp_slow_ns(uint32_t slow, uint64_t now)
{
    return ewi_net_seq_unwrap(now >> NET_SLOW_BITS, slow) << NET_SLOW_BITS;
}

static inline uint32_t ewi_net_tcp_ms(uint64_t now)
{
    return (uint32_t)(now / NET_MS);
}

/* The timestamp clock of a connection: RFC 7323 section 5.4, with an offset of its own. */
static inline uint32_t ewi_net_conn_time(const struct ewi_net *net, const struct net_conn *conn)
{
    return ewi_net_tcp_ms(net->now) + conn->ts_offset;
}

/* RFC 7323 section 3.2 */
static inline void ewi_net_tcp_put_times(struct net_tcp *tcp, uint32_t time, uint32_t echo)
{
    tcp->has |= NET_TCP_HAS_TIMES;
    tcp->time = time;
    tcp->time_echo = echo;
}

/* In every segment of a connection that agreed on them. */
static inline void ewi_net_conn_put_times(const struct ewi_net *net, const struct net_conn *conn,
                                          struct net_tcp *tcp)
{
    if (conn->flags & NET_CONN_TIMES)
        ewi_net_tcp_put_times(tcp, ewi_net_conn_time(net, conn), conn->ts_recent);
}

static inline bool ewi_net_conn_is_synchronized(const struct net_conn *conn)
{
    return conn->state >= NET_TCP_ESTABLISHED;
}

/* SND.WND's greatest value so far: RFC 9293 section 3.8.6.2.1, RFC 5961 section 5.2. A SYN's is never
 * scaled; what is noted is then a little more. */
static inline uint64_t ewi_net_conn_widest(const struct net_conn *conn)
{
    return (uint64_t)conn->snd_wnd_max << conn->send_scale;
}

static inline void ewi_net_conn_note_window(struct net_conn *conn, uint16_t window, bool of_syn)
{
    uint32_t scaled = window;

    if (of_syn)
        scaled = ((uint32_t)window + (1u << conn->send_scale) - 1) >> conn->send_scale;
    conn->snd_wnd_max = (uint16_t)ewi_max_u32(conn->snd_wnd_max, scaled);
}

/* Position of our FIN, if one was queued. */
static inline bool ewi_net_conn_fin_sent(const struct net_conn *conn)
{
    return (conn->flags & NET_CONN_FIN_QUEUED) != 0 && conn->runs.nxt > conn->queue.end;
}

static inline bool ewi_net_conn_fin_acked(const struct net_conn *conn)
{
    return (conn->flags & NET_CONN_FIN_QUEUED) != 0 && conn->runs.una > conn->queue.end;
}

static inline const struct net_rtt_limits *ewi_net_limits(const struct net_settings *settings)
{
    static const struct net_rtt_limits *const limits[] = {&ewi_net_rtt_fabric, &ewi_net_rtt_spin,
                                                          &ewi_net_rtt_rfc};

    return limits[settings->timeouts];
}

static inline const struct net_rtt_limits *ewi_net_conn_limits(const struct ewi_net *net,
                                                               const struct net_conn *conn)
{
    return ewi_net_limits(ewi_net_conn_settings(net, conn));
}

static inline uint64_t ewi_net_conn_rto(const struct ewi_net *net, const struct net_conn *conn)
{
    uint64_t rto = ewi_net_rtt_rto(&conn->rtt, ewi_net_conn_limits(net, conn));

    /* The floor of the fabric is below what a peer may wait with an ACK for less than two segments. */
    if (ewi_net_conn_settings(net, conn)->timeouts != NET_TIMEOUTS_FABRIC ||
        conn->runs.nxt - conn->runs.una >= 2u * conn->mss)
        return rto;
    return ewi_max_u64(rto, ewi_net_rtt_smoothed(&conn->rtt) + NET_DELAYED_ACK_NS);
}

/* ---- tcp_state.c ---- */

struct net_conn_birth {
    const struct net_tuple *tuple;
    uint64_t hash;
    uint32_t iss, ts_offset;
    uint8_t settings; /* one user of it goes to the connection */
    uint8_t state;
};
/* NULL: full, counted. In the table, in `state`, its own SYN at iss not sent. */
struct net_conn *ewi_net_conn_new(struct ewi_net *net, const struct net_conn_birth *birth);
void ewi_net_conn_move(struct net_conn *conn, enum net_tcp_state to);
/* To CLOSED: nothing is sent or awaited any more. error 0: an orderly end. What was received stays
 * readable until the user finishes. */
void ewi_net_conn_close(struct ewi_net *net, struct net_conn *conn, int error);
/* The same, and a RST goes to the peer (RFC 9293 section 3.10.5). */
void ewi_net_conn_reset(struct ewi_net *net, struct net_conn *conn, int error);
void ewi_net_conn_time_wait(struct ewi_net *net, struct net_conn *conn);
/* The user is gone and CLOSED was told, or need not be. */
void ewi_net_conn_free(struct ewi_net *net, struct net_conn *conn);
void ewi_net_conn_free_received(struct ewi_net *net, struct net_conn *conn);
void ewi_net_conn_raise(struct ewi_net *net, struct net_conn *conn, uint32_t bits);
/* The connection, taken out of the pool of troubles; NULL: none left, counted. */
struct net_trouble *ewi_net_conn_need_trouble(struct ewi_net *net, struct net_conn *conn);
/* Give it back if nothing in it matters any more. */
void ewi_net_conn_drop_trouble(struct ewi_net *net, struct net_conn *conn);
void ewi_net_conn_readyup(struct ewi_net *net, struct net_conn *conn);
void ewi_net_conn_unready(struct ewi_net *net, struct net_conn *conn);
void ewi_net_conn_park(struct ewi_net *net, struct net_conn *conn, uint32_t hop);
/* Nobody answers for the next hop, or there is no route. What has no data is lost, as behind any router; data
 * are tried again by the timer that backs off and counts towards R2: RFC 9293 section 3.8.3 (MUST-20). So
 * nobody is asked for oftener than TCP repeats itself. False: SYN_SENT, the connection is over. */
bool ewi_net_conn_no_way(struct ewi_net *net, struct net_conn *conn);
/* The last thing after anything happened: timers, and is there something to send? */
void ewi_net_conn_settle(struct ewi_net *net, struct net_conn *conn);

/* ---- tcp_option.c: what a SYN says and what we say ---- */

/* The payload of a full segment on this path, before options: RFC 6691, RFC 9293 section 3.7.1. */
uint16_t ewi_net_tcp_mss_of(uint8_t family, uint16_t mtu);
uint8_t ewi_net_tcp_scale_for(const struct net_settings *settings);
/* The path's MTU as it is known now; sets mss and tells congestion control. */
void ewi_net_conn_set_mtu(struct ewi_net *net, struct net_conn *conn, uint16_t mtu);
/* The peer's SYN: options that both want are agreed. */
void ewi_net_conn_agree(struct ewi_net *net, struct net_conn *conn, const struct net_tcp *syn);
/* Our SYN or SYN-ACK: the options. */
void ewi_net_conn_offer(struct ewi_net *net, const struct net_conn *conn, struct net_tcp *syn);

/* ---- tcp_ack.c, tcp_loss.c ---- */

/* Step 5 in a synchronized state, SEG.ACK <= SND.NXT. False: the connection is over. */
bool ewi_net_conn_ack(struct ewi_net *net, struct net_conn *conn, const struct net_segment *segment);
/* The short way of an ACK of everything in flight on a connection where nothing was lost or is late, see
 * tcp_input.c; *events is to be raised. False: not so simple, nothing changed. */
bool ewi_net_conn_ack_all(struct ewi_net *net, struct net_conn *conn, const struct net_tcp *tcp,
                          uint32_t *events);
/* What the ACK tells about losses. una_before: SND.UNA before it. */
void ewi_net_conn_loss_ack(struct ewi_net *net, struct net_conn *conn,
                           const struct net_segment *segment, const struct net_acked *acked,
                           uint64_t una_before, bool is_duplicate);
void ewi_net_conn_loss_timer(struct ewi_net *net, struct net_conn *conn); /* reordering */
/* What the recovery that is over did stays: no duplicate was reported in time. */
void ewi_net_conn_stay(struct ewi_net *net, struct net_conn *conn);
void ewi_net_conn_loss_timeout(struct ewi_net *net, struct net_conn *conn);
/* Bytes that may be in flight now, and whether the next retransmission may leave. */
uint32_t ewi_net_conn_limit(struct ewi_net *net, const struct net_conn *conn);
void ewi_net_conn_arm_probe(struct ewi_net *net, struct net_conn *conn);
/* The peer's marks: RFC 3168 section 6.1.2, at most once per window of data. */
void ewi_net_conn_marked(struct net_conn *conn, uint64_t una_before);

/* ---- tcp_text.c ---- */

/* Steps 6 to 8. False: the connection is over. */
bool ewi_net_conn_text(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment);
/* The short way of text that begins at RCV.NXT, lies in the window and has a reference; nothing came too
 * early. events: to be raised besides. */
void ewi_net_conn_text_in_order(struct ewi_net *net, struct net_conn *conn,
                                const struct net_segment *segment, uint32_t events);
/* The right edge that we may offer now; never left of rcv_edge. */
uint64_t ewi_net_conn_edge(const struct ewi_net *net, const struct net_conn *conn);
/* The field of the segment that leaves now; what it offers is kept (I2 of tcp.h). */
uint16_t ewi_net_conn_window(struct ewi_net *net, struct net_conn *conn);
/* The window of our SYN, which is never scaled. */
uint32_t ewi_net_conn_first_window(const struct ewi_net *net, const struct net_conn *conn);
/* Bytes were read: must the peer hear of the larger window? */
void ewi_net_conn_was_read(struct ewi_net *net, struct net_conn *conn);
void ewi_net_conn_ack_now(struct net_conn *conn);
/* An ACK for a segment that was no good; dataless ones are limited. */
void ewi_net_conn_challenge(struct ewi_net *net, struct net_conn *conn, bool has_text);
void ewi_net_conn_duplicate(struct ewi_net *net, struct net_conn *conn,
                            const struct net_segment *segment);

/* ---- tcp_timer.c ---- */

void ewi_net_conn_rearm(struct ewi_net *net, struct net_conn *conn);
/* rto_at: the nearest of the next timeout and the end of the user's patience (RFC 5482). */
void ewi_net_conn_arm_timeout(struct ewi_net *net, struct net_conn *conn, uint64_t wait);
/* How long data, or a byte that the window has no room for, has been waiting. */
uint64_t ewi_net_conn_stuck_for(const struct ewi_net *net, const struct net_conn *conn);
/* Since the peer was last heard: right up to 26 days, and then at least that until 52 have passed. */
uint64_t ewi_net_conn_unheard(const struct ewi_net *net, const struct net_conn *conn);
void ewi_net_conn_start_keepalive(struct ewi_net *net, struct net_conn *conn);

/* ---- tcp_listen.c ---- */

void ewi_net_listen_input(struct ewi_net *net, uint32_t listener, struct net_segment *segment,
                          uint32_t least_iss);
void ewi_net_half_input(struct ewi_net *net, uint32_t half, struct net_segment *segment);
void ewi_net_half_timers(struct ewi_net *net);
void ewi_net_half_give(struct ewi_net *net, uint32_t half);
/* The listener's halves and connections that nobody accepted are gone. */
void ewi_net_listen_end(struct ewi_net *net, uint32_t listener);
uint32_t ewi_net_listener_for(struct ewi_net *net, const struct net_arrived *arrived,
                              uint16_t local_port);
const struct net_settings *ewi_net_listener_settings(struct ewi_net *net, uint32_t listener);
/* Steps of tcp_input.c for a connection that a half-open one has just become. */
void ewi_net_conn_input(struct ewi_net *net, struct net_conn *conn, struct net_segment *segment);

/* ---- tcp_user.c ---- */

/* NULL: stale, finished or not accepted. */
struct net_conn *ewi_net_conn_find(struct ewi_net *net, ewi_stream stream);
struct net_listener *ewi_net_listener_find(struct ewi_net *net, ewi_stream stream, uint32_t *index);

/* ---- tcp_info.c ---- */

void ewi_net_conn_info(struct ewi_net *net, const struct net_conn *conn, struct net_tcp_info *out);

/* ---- tcp_reply.c ---- */

bool ewi_net_tcp_reply(struct ewi_net *net, const struct net_tuple *tuple, struct net_tcp *tcp,
                       uint8_t settings, uint8_t traffic_class);
/* An ACK that cannot wait for the connection's turn. */
void ewi_net_conn_ack_by_slot(struct ewi_net *net, struct net_conn *conn);
/* RFC 9293 section 3.10.7.1: nobody has this connection. */
void ewi_net_tcp_refuse(struct ewi_net *net, const struct net_segment *segment);

#endif
