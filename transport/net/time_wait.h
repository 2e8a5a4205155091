/* transport/net/time_wait.h - connections in TIME-WAIT, in as little as they need.
 *
 * Purpose    A connection that is over has to answer for two segment lifetimes: its name, four
 *            numbers, and its place in a queue; the rest of it is free again.
 * Shape      struct net_time_wait: 64 bytes in a pool, found by a table of its own with the hash of
 *            all tables. All wait equally long, so the queue by age is the queue by expiry; one that
 *            starts again goes to its end. Ages are in ticks of 2^18 ns and wrap after 13 days.
 * Owner      the caller owns the memory; an index is valid until remove, expire or add
 * Threads    one caller at a time; nothing blocks or allocates
 * Trust      segments are hostile: without the sequence number of the last FIN nobody prolongs a
 *            record, and nobody can end one with a RST. The limit for challenges is each record's
 *            own, so that it tells nobody about other connections.
 * Errors     EW_EINUSE  the tuple is there.
 *            EW_EFULL   the table is crowded (see table.h). A full pool is no error: the oldest goes
 *                       early, counted in `early`.
 * Invariants I1  the queue is in the order in which records were added or started again.
 *            I2  a record lives at least duration_ns, unless it is removed or goes early, and at most
 *                two ticks longer if expire is called in time.
 * Ordering   single threaded
 * Source     RFC 9293 sections 3.6.1 (MUST-13, MAY-2), 3.10.7.4; RFC 6191 section 2; RFC 1337
 *            section 3; RFC 5961 sections 4, 5, 7; RFC 7323 sections 3.2, 5
 */
#ifndef EWI_TRANSPORT_NET_TIME_WAIT_H
#define EWI_TRANSPORT_NET_TIME_WAIT_H

#include <assert.h>

#include "transport/net/header_tcp.h"
#include "transport/net/pool.h"
#include "transport/net/table.h"

/* Our own timestamp clock has ticked for certain, and so has the peer's. */
#define NET_TIME_WAIT_REUSE_NS UINT64_C(1000000000)

enum {
    NET_TIME_WAIT_TICK_BITS = 18,
    NET_TIME_WAIT_CHALLENGES = 10, /* of one record in 2^30 ns */
};

struct net_time_wait {
    struct net_tuple tuple;
    uint32_t snd_nxt, rcv_nxt; /* behind both FINs */
    uint32_t ts_recent;        /* of the peer, for the echo */
    uint32_t ts_offset;        /* of our timestamps */
    uint16_t window;           /* as in the header */
    uint8_t has_times;         /* timestamps were in use */
    uint8_t traffic_class, hop_limit;
    uint8_t challenges; /* answered in the second `challenged`; these two are not the caller's */
    uint16_t challenged;
};
static_assert(sizeof(struct net_time_wait) == 64, "a cache line");

struct net_time_wait_line { /* place in the queue */
    uint32_t older, newer;
    uint32_t tag;   /* upper half of the hash */
    uint32_t since; /* ticks */
};

struct net_time_waits {
    struct net_pool pool;
    struct net_table table;
    struct net_time_wait_line *line;
    uint32_t oldest, newest;
    uint64_t duration_ns; /* 2 MSL; may be changed at any time, and holds for all at once */
    uint64_t now;         /* the last one given */
    uint64_t early;       /* records let go before their time, because the pool was full */
    uint64_t limited;     /* segments ignored that were to be challenged: too many of them */
};

/* 0: out of range. capacity: 1 .. NET_ROWS_MAX */
size_t ewi_net_time_waits_bytes(uint32_t capacity);
/* memory: ewi_net_time_waits_bytes() of it, aligned to NET_ALIGN. duration_ns: at most an hour. */
void ewi_net_time_waits_init(struct net_time_waits *waits, void *memory, uint32_t capacity,
                             uint64_t duration_ns);

/* NET_NONE: not there. */
uint32_t ewi_net_time_wait_find(const struct net_time_waits *waits, uint64_t hash,
                                const struct net_tuple *tuple);
static inline const struct net_time_wait *ewi_net_time_wait_at(const struct net_time_waits *waits,
                                                               uint32_t index)
{
    return ewi_net_pool_at(&waits->pool, index);
}
int ewi_net_time_wait_add(struct net_time_waits *waits, uint64_t hash,
                          const struct net_time_wait *values, uint64_t now);
void ewi_net_time_wait_remove(struct net_time_waits *waits, uint32_t index);
/* Lets go of those whose time is over, at most so many; how many they were. */
uint32_t ewi_net_time_wait_expire(struct net_time_waits *waits, uint64_t now, uint32_t most);
/* When to call expire; NET_NEVER. */
uint64_t ewi_net_time_wait_next(const struct net_time_waits *waits);

enum net_time_wait_verdict {
    NET_TW_IGNORE,
    NET_TW_ACK,       /* the peer's FIN came again: acknowledge it; the time has started again */
    NET_TW_CHALLENGE, /* not acceptable: an ACK, at most NET_TIME_WAIT_CHALLENGES of them a second */
    NET_TW_OPEN,      /* a SYN that may open the connection anew: remove the record, then listen */
};

/* The ACK is <SEQ=snd_nxt><ACK=rcv_nxt>. *least_isn is set by OPEN: our ISN must not be before it.
 * segment: as a listener would take it, so without HAS_TIMES if it would not take timestamps.
 * RST never counts here, whatever its number: RFC 1337 section 3 (fix F1). */
enum net_time_wait_verdict ewi_net_time_wait_segment(struct net_time_waits *waits, uint32_t index,
                                                     const struct net_tcp *segment,
                                                     uint32_t payload_bytes, uint64_t now,
                                                     uint32_t *least_isn);
/* May a connect take this tuple now? It may when both incarnations have timestamps (with_times: the new
 * one will offer them) and our clock has moved since: then PAWS refuses what is left of the old one.
 * Remove the record then; the ISN must not be before *least_isn, ts_offset must stay. */
bool ewi_net_time_wait_may_reuse(const struct net_time_waits *waits, uint32_t index, bool with_times,
                                 uint64_t now, uint32_t *least_isn);

#endif
