/* transport/stream/cover.h - who drives a stream link when its application is away.
 *
 * Purpose    A process that computes for a minute neither loses its channel nor stalls a peer.
 * Shape      Links that applications drive are on a list; a tick of COVER_TICK_NS looks at each.
 *            Not driven since the last tick: a thread polls it (nothing to do) or the reactor takes
 *            it over and watches the stream; the next call of the application takes it back.
 * Owner      the context
 * Threads    the list: under the reactor's lock. activate: any thread.
 * Trust      none
 * Errors     none
 * Invariants I1  without active links there is no tick.
 * Ordering   the reactor's lock; `cover` itself is a hint, checked again under the lock.
 *            G1 seq_cst fence between storing COVER_NONE and looking for a poller again  pairs with
 *            G2 seq_cst fence between leaving as poller and loading `cover`: one of the two sees
 *            the other, and the link is not left alone.
 * Source     design, section 5 (Who drives); reference/stack-interface.md, section 3
 */
#ifndef EWI_TRANSPORT_STREAM_COVER_H
#define EWI_TRANSPORT_STREAM_COVER_H

#include "shm/base.h"
#include "transport/reactor.h"

enum { COVER_TICK_NS = 1000 * 1000 };

struct stream_link;

struct stream_cover_list {
    struct reactor *reactor;
    struct source *tick;
    struct stream_link *first;
    bool ticking;
};

int ewi_cover_open(struct stream_cover_list *list, struct reactor *reactor);
void ewi_cover_close(struct stream_cover_list *list);
/* The application drives this link from now on. */
void ewi_cover_activate(ew_channel *channel);
/* The reactor has driven a link that it covers: what it waits for may have changed. */
void ewi_cover_watch(ew_channel *channel);
/* The link goes away. */
void ewi_cover_forget(struct stream_link *link);

#endif
