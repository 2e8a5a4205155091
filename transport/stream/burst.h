/* transport/stream/burst.h - sends that follow one another closely leave together.
 *
 * Purpose    A send of a small message over the kernel's TCP is a system call of some microseconds. A
 *            sender that does nothing but send is bound by it; one that waits for an answer needs it.
 * Shape      After BURST_DIRECT sends in a row, each closer to the last than half of what a system call
 *            takes, with nothing else asked of the link in between (waiting for room does not count), a
 *            record stays in the ring: until BURST_BYTES_MAX are there, or the application receives,
 *            waits or closes, or BURST_NS are over (1 ms where epoll takes no shorter times) and the
 *            reactor, once awake, sends. The list is not the cover's, which may have thousands of links
 *            of which none holds anything. Whose mutex is taken, or who has no memory for a deadline, is
 *            not asked: then the record leaves at once.
 * Owner      the link; the list of those that wait for the reactor belongs to the context
 * Threads    holds, rung: under the channel's send lock. over: any. The list: the reactor's lock.
 * Trust      none of it comes from outside
 * Errors     none
 * Invariants I1  a record is held only while the reactor has been asked.
 *            I2  a stack of ours, whose send is no system call, never holds a record.
 * Ordering   B1 release exchange of `asked` by the sender, after the record was committed,  pairs with
 *            B2 acquire exchange by the reactor, before it sends: whoever finds it set has been seen.
 * Source     docs/adr/0022-bursts.md
 */
#ifndef EWI_TRANSPORT_STREAM_BURST_H
#define EWI_TRANSPORT_STREAM_BURST_H

#include "shm/base.h"
#include "transport/reactor.h"

enum {
    BURST_DIRECT = 8,              /* sends */
    BURST_NS = 50 * 1000,
    BURST_BYTES_MAX = 16 * 1024,   /* or a quarter of the ring */
    BURST_RECORD_BYTES_MAX = 1024, /* a longer one gains little */
    BURST_COST_NS_MIN = 1000,      /* of a send; a cheaper one is not worth it */
    BURST_COST_NS_MAX = 10 * 1000, /* what took longer was interrupted */
};

struct stream_link;

struct stream_burst_list {
    struct reactor *reactor;
    struct source *source;
    struct stream_link *first;
};

struct stream_burst {
    bool possible;             /* since the link began (I2) */
    _Atomic uint32_t in_a_row; /* direct sends; other threads only set it to 0, a hint */
    _Atomic bool asked;        /* the reactor will send: B1, B2 */
    uint64_t ended_ns;         /* the last send; this and below: under the send lock */
    uint64_t blocked_ns;       /* how long senders of the channel had waited for room by then */
    uint64_t cost_ns;          /* of the last direct one */
    uint64_t position;         /* of the writer after the last send */
    uint64_t rung;             /* ... and when the link was last rung by a send */
    struct stream_link *next;  /* in the list; this and below: under the reactor's lock */
    bool listed, gone;
};

int ewi_burst_open(struct stream_burst_list *list, struct reactor *reactor);
void ewi_burst_close(struct stream_burst_list *list);
/* Records were committed. True: they wait for others; false: ring, then say so. */
bool ewi_burst_holds(ew_channel *channel, uint64_t now_ns);
void ewi_burst_rung(ew_channel *channel, uint64_t began_ns, uint64_t now_ns);
/* Something else is asked of the link: whoever sends next may wait for an answer. True: there may be records
 * that are held. */
bool ewi_burst_over(ew_channel *channel);
/* The link goes away. */
void ewi_burst_forget(struct stream_link *link);

#endif
