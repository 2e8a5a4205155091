/* transport/net/runs.h - what is in flight: the list of segment runs of a connection.
 *
 * Purpose    One list answers: what is unacknowledged, what did the peer report by SACK, what is
 *            lost, when was each segment sent last. It is the retransmission queue, the SACK
 *            scoreboard and RACK's memory, so these can never disagree.
 * Shape      A run is consecutive segments sent at one time with one state. The runs of a
 *            connection cover [una, nxt) without gap or overlap:
 *              una                                                        nxt
 *               |  lost  |  in flight, sent again  | sacked | in flight    |
 *            A burst at one time is one run, what SACK reports is one run per block, what is lost
 *            is one run per hole. Runs in flight are also in a list by age, oldest first.
 *            positions: transport/net/seq.h.  segments of a run: segment_bytes each, the last
 *            may be shorter; of sacked and lost runs only their number is known.
 * Owner      the caller gives the memory of the pool, which connections share; indices are 32 bits,
 *            0: none. struct net_runs is 72 bytes in the connection; all zero is not valid, see
 *            ewi_net_runs_init.
 * Threads    one caller at a time for a pool and all its connections
 * Trust      the ack position and the SACK blocks are the peer's, and judged here. What is told about
 *            sending comes from our own stack.
 * Errors     EW_EAGAIN  no run for this: nothing changed, do not send now; an ACK will free some.
 *            EW_EPROTO  the peer acknowledges what was not sent; nothing changed.
 * Invariants I1  the runs are sorted, adjacent, not empty, and cover [una, nxt).
 *            I2  sacked_bytes, lost_bytes, resent_bytes and sacked_segments are the sums over runs.
 *            I3  a run is in flight, lost or sacked; in flight are exactly those in the age list,
 *                which is sorted by tx_ns.
 *            I4  a connection has at most `runs_each_max` runs; free + used = all of the pool.
 *            I5  no byte is forgotten: when runs run out, states are merged so that a byte is
 *                thought in flight (RACK and RTO look after it), never acknowledged.
 *            ewi_net_runs_check checks I1-I4; I5 is what the tests show.
 * Ordering   single threaded
 * Source     RFC 2018, RFC 2883, RFC 6675 section 4, RFC 8985 section 5.2
 */
#ifndef EWI_TRANSPORT_NET_RUNS_H
#define EWI_TRANSPORT_NET_RUNS_H

#include <assert.h>

#include "shm/base.h"
#include "transport/net/seq.h"

enum { NET_SACKS_MAX = 4 }; /* RFC 2018 section 3: as many as fit into 40 bytes of options */

enum net_run_flags {
    NET_RUN_SACKED = 1u << 0,      /* the peer says that it has it: RFC 2018 */
    NET_RUN_LOST = 1u << 1,        /* thought lost, and not sent again since */
    NET_RUN_RESENT = 1u << 2,      /* was sent more than once */
    NET_RUN_RECOVERY = 1u << 3,    /* was sent last during a recovery */
    NET_RUN_APP_LIMITED = 1u << 4, /* was sent last when the application had no more */
    NET_RUN_MIXED = 1u << 5,       /* sent at several times: tx_ns is that of the last segment */
    NET_RUN_LATE = 1u << 6         /* sent at several times, none after tx_ns */
};

struct net_run {
    uint64_t from;      /* position of its first byte */
    uint64_t tx_ns;     /* when it was sent last */
    uint64_t delivered; /* runs->delivered at that time */
    uint32_t bytes;
    uint32_t segments;
    uint32_t prev, next;   /* by position; next also links free runs */
    uint32_t older, newer; /* by tx_ns, those in flight */
    uint16_t segment_bytes;
    uint8_t flags;
};
static_assert(sizeof(struct net_run) == 56, "a run");

struct net_run_pool {
    struct net_run *run; /* [0] is never used */
    uint32_t runs_all, runs_each_max;
    uint32_t free_first, free;
    uint32_t fresh;   /* runs from here on were never used */
    uint32_t reserve; /* the last ones are for connections that have none */
    uint64_t mixed;   /* counters: segments that had to share a run with others */
    uint64_t missed;  /* SACK blocks, or edges of them, for which there was no run */
    uint64_t refused; /* sends refused with EW_EAGAIN */
};

struct net_runs { /* per connection */
    uint64_t una, nxt;  /* SND.UNA, SND.NXT */
    uint64_t fack;      /* end of the highest byte that was ever acknowledged or sacked */
    uint64_t delivered; /* bytes that reached the peer, as far as ACKs tell */
    uint32_t sacked_bytes, lost_bytes;
    uint32_t resent_bytes; /* in flight and sent more than once */
    uint32_t sacked_segments;
    uint32_t runs;
    uint32_t head, tail, oldest, newest;
    uint32_t lost_hint; /* no lost run is before this one; 0: not known */
};
static_assert(sizeof(struct net_runs) == 72, "in every connection");

/* ---- the pool ---- */

size_t ewi_net_run_pool_bytes(uint32_t runs_all);
/* memory: aligned for u64; not touched before it is needed. runs_each_max: 4 or more. */
void ewi_net_run_pool_init(struct net_run_pool *pool, void *memory, uint32_t runs_all,
                           uint32_t runs_each_max);

/* ---- a connection ---- */

void ewi_net_runs_init(struct net_runs *runs, uint64_t nxt);
/* Gives all runs back: the connection is over. */
void ewi_net_runs_fini(struct net_run_pool *pool, struct net_runs *runs);

/* Bytes thought to be on the wire; a byte sent twice and not thought lost counts once. RFC 6675's
 * pipe, PRR's pipe. */
static inline uint32_t ewi_net_runs_in_flight(const struct net_runs *runs)
{
    return (uint32_t)(runs->nxt - runs->una) - runs->sacked_bytes - runs->lost_bytes;
}

/* ---- what was sent; call it before the frame leaves, EW_EAGAIN: it must not ---- */

struct net_sent {
    uint64_t now_ns; /* never falls */
    uint32_t bytes;
    uint16_t segment_bytes; /* the largest of them */
    uint8_t flags;          /* NET_RUN_RECOVERY, NET_RUN_APP_LIMITED */
};
/* New data, [nxt, nxt + bytes). */
int ewi_net_runs_sent(struct net_run_pool *pool, struct net_runs *runs,
                      const struct net_sent *sent);
/* Old data, [from, from + bytes) within [una, nxt): a retransmission or a probe. Bytes that were sacked
 * stay so. Without a free run, all of a run that is touched counts as sent again. */
void ewi_net_runs_resent(struct net_run_pool *pool, struct net_runs *runs, uint64_t from,
                         const struct net_sent *sent);

/* ---- what an ACK says ---- */

struct net_sack { /* as on the wire, host order */
    uint32_t left, right;
};

struct net_ack {
    uint64_t position; /* SEG.ACK */
    uint64_t now_ns;
    uint64_t min_rtt_ns; /* RACK.min_RTT, for what was sent more than once */
    /* With timestamps: no segment that SEG.TSecr echoes left later. UINT64_MAX: no timestamps. */
    uint64_t sent_by_ns;
    const struct net_sack *sacks;
    uint32_t sacks_count;
};

struct net_acked {
    uint32_t acked_bytes;     /* by which una moved */
    uint32_t sacked_bytes;    /* newly reported by SACK */
    uint32_t delivered_bytes; /* newly known to have arrived, by either */
    uint32_t sacks_bad;       /* blocks that no honest peer sends */
    uint64_t dsack_from, dsack_end; /* RFC 2883; dsack_end 0: none */
    /* The segment sent last among those delivered that pass RFC 8985 section 6.2 step 2; end 0: none. */
    uint64_t newest_tx_ns, newest_end;
    uint64_t newest_delivered; /* runs->delivered when it was sent: a delivery rate */
    uint8_t newest_flags;
    bool resent;    /* some of what arrived had been sent more than once */
    bool reordered; /* a segment sent once arrived after a higher one: RFC 8985 section 6.2 step 3 */
    bool reneged;   /* RFC 2018 section 8: the first byte outstanding was sacked before */
    uint64_t rtt_ns; /* of the newest segment sent once (Karn, RFC 6298 section 3); 0: none */
};
int ewi_net_runs_ack(struct net_run_pool *pool, struct net_runs *runs, const struct net_ack *ack,
                     struct net_acked *acked);

/* ---- loss ---- */

/* This run in flight is lost. */
void ewi_net_runs_lose(struct net_run_pool *pool, struct net_runs *runs, uint32_t index);
/* The first segment outstanding is lost unless it was sacked: RFC 6582, RFC 8985 section 6.3. */
void ewi_net_runs_lose_first(struct net_run_pool *pool, struct net_runs *runs);
/* Everything in flight is lost: a timeout without RACK, RFC 5681 section 3.1. */
void ewi_net_runs_lose_all(struct net_run_pool *pool, struct net_runs *runs);
/* The same for what was sent before that time only. */
void ewi_net_runs_lose_older(struct net_run_pool *pool, struct net_runs *runs, uint64_t before_ns);
/* The peer threw away what it had sacked: all of it is lost. RFC 2018 section 8. */
void ewi_net_runs_forget_sacks(struct net_run_pool *pool, struct net_runs *runs);
/* The first range that is lost and not sent again; false: there is none. */
bool ewi_net_runs_next_lost(const struct net_run_pool *pool, struct net_runs *runs,
                            uint64_t *from, uint32_t *bytes);
/* The segment that ends at nxt, for a tail loss probe; false: nothing outstanding, or sacked. */
bool ewi_net_runs_last_segment(const struct net_run_pool *pool, const struct net_runs *runs,
                               uint64_t *from, uint32_t *bytes);
/* Is exactly one segment outstanding? */
bool ewi_net_runs_is_one_segment(const struct net_run_pool *pool, const struct net_runs *runs);

/* ---- for tests and the simulator ---- */

/* 0, or the number of the invariant (1 to 4) that does not hold. */
int ewi_net_runs_check(const struct net_run_pool *pool, const struct net_runs *runs);

#endif
