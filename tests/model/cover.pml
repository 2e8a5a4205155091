/* verify: -E -m1000000 */
/* deep: -E -m2000000 -DVISITS=3 */
/* mutants: NO_FENCE_TICK NO_FENCE_LEAVER NO_SECOND_LOOK */

/* tests/model/cover.pml - a stream link always has somebody who sees to it.
 *
 * Claim      When nothing can move any more, a thread polls the stream, or the reactor watches it.
 * Processes  an application thread, which polls some times and goes away (transport/stream/link.c);
 *            the reactor's tick (transport/stream/cover.c), which runs while the link is listed.
 * Memory     Each side stores one word and loads the other's, with a store buffer in between:
 *            the application `poller`, the tick `cover`. fence() waits until it is empty.
 * Steps      the line of C is named beside each step.
 */
#ifndef VISITS
#define VISITS 2
#endif
#define APPLICATION 0
#define REACTOR 1
#define NONE 0
#define TICK 1
#define WATCH 2 /* COVER_REACTOR */

bool poller;        /* in memory */
byte cover = TICK;
bool listed = true; /* under the reactor's lock, as all that the tick does */
bool lock;
bool away;          /* the application calls nothing any more */
chan to_poller = [1] of { bool };
chan to_cover = [1] of { byte };

proctype drain_poller()
{
    bool value;

    do
    :: atomic { to_poller?value; poller = value; value = false }
    od
}

proctype drain_cover()
{
    byte value;

    do
    :: atomic { to_cover?value; cover = value; value = 0 }
    od
}

inline activate() /* cover.c: ewi_cover_activate */
{
    atomic { !lock -> lock = true }
    if
    :: !listed -> listed = true; cover = TICK
    :: else -> skip
    fi;
    lock = false
}

proctype application()
{
    byte visits;

    do
    :: visits == VISITS -> break
    :: else ->
        visits++;
        atomic { empty(to_poller); poller = true } /* waitroom.c: exchange (V3) */
        if
        :: cover != TICK -> activate() /* link.c: drive_as_poller */
        :: else -> skip
        fi;
        to_poller!false; /* waitroom.c: store of poller (V3) */
#ifndef NO_FENCE_LEAVER
        empty(to_poller); /* link.c: G2 in stop_polling */
#endif
        if
        :: cover != TICK -> activate() /* link.c: published */
        :: else -> skip
        fi
    od;
    away = true
}

proctype tick()
{
    byte next;

    do
    :: atomic { listed && !lock -> lock = true }
        if
        :: poller -> next = NONE /* cover.c: next_cover */
        :: else -> next = WATCH
        fi;
        listed = false;
        to_cover!next; /* cover.c: set_cover */
#ifndef NO_FENCE_TICK
        empty(to_cover); /* cover.c: G1 */
#endif
#ifndef NO_SECOND_LOOK
        if
        :: next == NONE && !poller -> to_cover!WATCH /* cover.c: the poller left just now */
        :: else -> skip
        fi;
#endif
        empty(to_cover); /* giving a lock back: everybody sees what was done under it */
        lock = false
    od
}

proctype judge()
{
    timeout;
    assert(away && cover == WATCH)
}

init {
    atomic {
        run drain_poller();
        run drain_cover();
        run application();
        run tick();
        run judge()
    }
}
