/* transport/net/tcp.h - connections, listeners, half-open connections: what TCP keeps.
 *
 * Purpose    The state of TCP, and the calls by which the other layers drive it.
 * Shape      struct net_conn     an open connection; idle it is all there is
 *            struct net_trouble  what it needs beside while something is lost or out of order
 *            struct net_half     a SYN that was answered: the SYN queue
 *            struct net_listener somebody who waits for SYNs
 *            Who does what:
 *              tcp_input.c   finds whom a segment is for; SYN_SENT; steps 1 to 4 of an arrival
 *              tcp_ack.c     step 5: what an ACK says about the window and about what was sent
 *              tcp_loss.c    recovery: what is lost, when to retransmit, was it needed
 *              tcp_text.c    steps 6 to 8: text, FIN; what we owe the peer
 *              tcp_output.c  which segment is next; builds frames
 *              tcp_timer.c   deadlines
 *              tcp_state.c   the only place that changes `state`; the end of a connection
 *              tcp_listen.c  SYN queue, cookies, accept
 *              tcp_reply.c   segments without a connection: RST, SYN-ACK, TIME_WAIT's ACK
 *              tcp_user.c    user calls;  tcp_settings.c  options;  tcp_info.c  what users see
 *              tcp_icmp.c    what routers say;  tcp_option.c  what SYNs agree;  tcp_check.c
 *            Positions (u64): transport/net/seq.h. Ticks (u32): ewi_net_tcp_tick_of().
 * Owner      the stack; a conn holds packets (received), spans (to be sent) and runs (in flight)
 * Threads    one caller at a time
 * Trust      segments and ICMP messages are hostile
 * Errors     counters; what a user sees is net.h's
 * Invariants I1  state changes only along tcp_state.c's table of legal moves.
 *            I2  rcv_edge never moves left: a window once offered is never taken back.
 *            I3  a conn in the table has a tuple nobody else there has; a conn that is not CLOSED and
 *                not TIME_WAIT is in the table.
 *            I4  flags say in which lists a conn is: READY, PARKED.
 *            I5  no deadline is missed: the wheel's is at or before the nearest of the five here.
 * Ordering   single threaded
 * Source     RFC 9293; the others are named where they are used
 */
#ifndef EWI_TRANSPORT_NET_TCP_H
#define EWI_TRANSPORT_NET_TCP_H

#include "transport/net/block.h"
#include "transport/net/cc.h"
#include "transport/net/dupack.h"
#include "transport/net/events.h"
#include "transport/net/ip.h"
#include "transport/net/listeners.h"
#include "transport/net/net.h"
#include "transport/net/ports.h"
#include "transport/net/prr.h"
#include "transport/net/rack.h"
#include "transport/net/reorder.h"
#include "transport/net/rtt.h"
#include "transport/net/send_queue.h"
#include "transport/net/settings.h"
#include "transport/net/table.h"
#include "transport/net/time_wait.h"
#include "transport/net/undo.h"
#include "transport/net/wheel.h"

enum net_conn_flags {
    NET_CONN_READY = 1u << 0,      /* in the list of those that may have a segment to send */
    NET_CONN_PARKED = 1u << 1,     /* waits for a neighbour's address */
    NET_CONN_ACK_NOW = 1u << 2,    /* an ACK is due at once */
    NET_CONN_ACK_LATER = 1u << 3,  /* ... when ack_at comes, or with data */
    NET_CONN_PROBE = 1u << 4,      /* send an old byte's worth of nothing: persist, keepalive */
    NET_CONN_TLP = 1u << 5,        /* a tail loss probe is to be sent */
    NET_CONN_FORCE = 1u << 6,      /* one retransmission leaves whatever cwnd says */
    NET_CONN_SYN = 1u << 7,        /* our SYN has to be sent (again) */
    NET_CONN_TIMES = 1u << 8,      /* timestamps were agreed */
    NET_CONN_SACK = 1u << 9,       /* SACK was agreed */
    NET_CONN_SCALED = 1u << 10,    /* window scaling was agreed */
    NET_CONN_ECN = 1u << 11,       /* ECN was agreed */
    NET_CONN_ECE = 1u << 12,       /* tell the peer of marks, until CWR */
    NET_CONN_CWR = 1u << 13,       /* tell the peer that we reduced */
    NET_CONN_CE = 1u << 14,        /* DCTCP: the last packet was marked */
    NET_CONN_FIN_QUEUED = 1u << 15, /* the user shut down: a FIN follows the last byte */
    NET_CONN_FIN_SEEN = 1u << 16,  /* the peer's FIN was reached */
    NET_CONN_FINISHED = 1u << 17,  /* the user is gone; CLOSED is all that is left to tell */
    NET_CONN_PENDING = 1u << 18,   /* not accepted yet */
    NET_CONN_IN_TABLE = 1u << 19,
    NET_CONN_CWND_LIMITED = 1u << 20, /* cwnd stopped the last sending */
    NET_CONN_SYN_RESENT = 1u << 21,
    NET_CONN_SEND_NEW = 1u << 22,  /* F-RTO: up to two new segments before anything is sent again */
    NET_CONN_WRITE_WAIT = 1u << 24, /* send() had no room: WRITABLE is news */
    NET_CONN_PUSH = 1u << 25,      /* cork or SWS was overruled by time */
    NET_CONN_ECE_SYN = 1u << 26,   /* the SYN that is to be sent asks for ECN */
    NET_CONN_TELL_WAY = 1u << 27,  /* progress is news for the neighbour: about once a second */
    NET_CONN_PASSIVE = 1u << 28,   /* opened by the peer's SYN: look.h tells */
    NET_CONN_SPAN_WAIT = 1u << 30, /* send() found no span: hold_at looks again */
    NET_CONN_FULL_GOOD = 1u << 29, /* full segments got through on this path */
};

/* In the order of heat. Text in order is judged, appended and settled within 256 bytes (asserted below); what
 * also acknowledges, and what is sent, need most of the others.
 * Measured, call by call: docs/reference/performance.md.
 *   bytes  from .. to                what touches it
 *     32   queue, before its end     an ACK of new data, and what is sent
 *    256   queue.end .. rack.tlp_end text in order
 *    170   the rest of u .. mss      an ACK of new data, and what is sent
 *     30   mss_peer .. challenges    the user's calls, losses, birth and end */
struct net_conn {
    struct net_send_queue queue; /* `end` is its last field */
    struct net_tuple tuple;
    struct net_timer timer;
    uint32_t flags;
    uint8_t state;            /* enum net_tcp_state */
    uint8_t recovery;         /* enum net_tcp_recovery */
    uint8_t settings;
    uint8_t send_scale;
    uint64_t rcv_nxt;
    uint32_t rcv_edge;        /* right edge of the window that we offered, as on the wire */
    uint32_t acked_to;        /* Last.ACK.sent, RFC 7323 section 4.3, as on the wire */
    uint32_t snd_wnd;         /* from SND.UNA */
    uint32_t snd_wl1;         /* as on the wire */
    uint16_t snd_wnd_max;     /* the widest ever offered, as on the wire: to be scaled */
    uint16_t path_mtu;
    uint16_t rcv_mss;         /* the largest segment that came, for delayed ACKs */
    uint8_t retries;          /* timeouts in a row, probes without an answer */
    uint8_t soft_error;       /* errno */
    uint32_t ts_recent;
    uint32_t rto_at, aux_at, ack_at, hold_at; /* ticks, 0: none */
    uint32_t life_at;         /* slow ticks, 0: none */
    uint32_t heard_at;        /* slow ticks */
    uint32_t progress_at;     /* slow ticks: SND.UNA moved, or there was nothing to wait for */
    /* received, not read */
    uint32_t first, last;     /* packets */
    uint32_t first_skip;      /* bytes of the first that were read */
    uint32_t readable, charged;
    uint32_t trouble;         /* or NET_NONE */
    uint32_t next, prev;      /* in the list of ready, of parked, or of those to be accepted */
    uint8_t receive_scale;
    uint8_t aux;              /* enum net_aux: what aux_at is for */
    uint8_t watch;            /* enum stack_event_bits that are reported, low 8 bits */
    uint8_t error;            /* errno */
    uint32_t iss;
    struct net_runs runs;
    union {
        struct net_rack rack;     /* with SACK; `tlp_end` is its first field */
        struct net_dupack dupack; /* without */
    } u;
    struct net_rtt rtt;
    struct net_cc cc;
    uint32_t ts_offset;
    uint32_t small_end;       /* of the last segment that was not full, as on the wire */
    uint32_t ecn_end;         /* no second reduction for marks before this is acknowledged */
    uint32_t sent_at;         /* slow ticks, of the last data */
    uint16_t mss;             /* payload of a full segment now, options taken off */
    uint16_t mss_peer;        /* what its SYN said: RFC 6691 */
    uint32_t irs;
    union {
        uint64_t user;
        struct { /* until accepted */
            uint32_t listener, accept_next;
        };
    };
    uint32_t hop;             /* that it is parked on */
    uint32_t resent;          /* segments */
    uint16_t timeouts, undone;
    uint16_t challenge_at;    /* second in which `challenges` were counted */
    uint8_t challenges;
};

enum {
    NET_CONN_HOT_BYTES = offsetof(struct net_conn, u.rack.tlp_end) + sizeof(uint64_t) -
                         offsetof(struct net_conn, queue.end)
};
static_assert(NET_CONN_HOT_BYTES <= 256, "text in order");

enum net_aux { NET_AUX_NONE, NET_AUX_REORDER, NET_AUX_PROBE, NET_AUX_LOOK_BACK };

struct net_trouble {
    struct net_reorder reorder;
    struct net_undo undo;
    struct net_prr prr;
    struct net_frto frto;
    uint64_t recovery_end;    /* SND.NXT when it began */
    uint64_t fin_at;          /* position of a FIN that came before the bytes ahead of it; 0: none */
    uint64_t resent_ns;       /* the first that was sent again in this recovery; 0: nothing yet */
    uint64_t undo_until;      /* recovery is over: DSACK may still say that it was needless, until that
                               * is acknowledged; 0: no */
    uint8_t frto_rounds;      /* new segments that F-RTO may still send */
    uint32_t inflate;         /* without SACK: bytes that duplicates say have left */
};

struct net_half {
    struct net_tuple tuple;
    struct net_timer timer;
    uint64_t sent_ns;         /* the SYN-ACK, first time */
    uint32_t iss, irs, ts_recent, ts_offset;
    uint32_t listener;
    uint32_t window;          /* offered in the SYN-ACK */
    uint16_t mss;
    uint8_t scale, has;       /* of the SYN: enum net_tcp_has */
    uint8_t settings, retries;
    bool ecn;
    uint8_t challenges;
};

struct net_listener {
    struct net_listen listen;
    uint32_t first, last;     /* conns to be accepted */
    uint32_t waiting, backlog;
    uint32_t halves;
    uint8_t settings;
    uint64_t user;
};

struct net_tcp_all {
    struct net_pool conns, listeners, halves, troubles;
    struct net_table conn_table, half_table;
    struct net_wheel conn_wheel, half_wheel;
    struct net_time_waits time_waits;
    struct net_listeners listening;
    struct net_events events; /* conns, then listeners */
    struct net_run_pool runs;
    struct net_span_pool spans;
    struct net_reorder_pool reorder;
    struct net_ports ports;
    struct net_settings_table settings;
    uint32_t ready_first, ready_last;
    uint8_t table_key[16], isn_key[16], cookie_key[16], times_key[16];
    uint32_t squeeze_next;    /* whose bytes out of order are given up next */
    uint64_t resets_at;       /* rate limit of RSTs */
    uint32_t resets;
    uint64_t cookie_until;    /* SYN cookies were sent: ACKs may bring them until then */
    uint64_t short_ways;      /* segments that needed none of the steps of RFC 9293 one by one */
    bool no_short_way;        /* for the test that compares the two */
};

struct net_tcp_places {
    void *conns, *listeners, *halves, *troubles;
    void *conn_table, *half_table, *time_waits, *listening, *events, *runs, *spans, *reorder;
};

void ewi_net_tcp_place(struct net_block *block, const struct net_config *config,
                       struct net_tcp_places *places);
void ewi_net_tcp_init(struct ewi_net *net, const struct net_tcp_places *places);
void ewi_net_tcp_input(struct ewi_net *net, struct net_arrived *arrived);
void ewi_net_tcp_tick(struct ewi_net *net);
uint64_t ewi_net_tcp_deadline(const struct ewi_net *net);
uint32_t ewi_net_tcp_output(struct ewi_net *net, struct net_frame *frames, uint32_t count);
uint32_t ewi_net_tcp_events(struct ewi_net *net, struct stack_event *events, uint32_t count);
/* The neighbour that these connections (a list, as ewi_net_way_parked holds it) waited for answers, or
 * was given up. */
void ewi_net_tcp_way_changed(struct ewi_net *net, uint32_t parked, bool is_ready);
/* An ICMP error quotes a segment of ours. False: not believed. */
bool ewi_net_tcp_icmp(struct ewi_net *net, const struct net_tuple *tuple,
                      const struct net_icmp_told *told);
/* As ewi_net_check. */
const char *ewi_net_tcp_check(struct ewi_net *net);

#endif
