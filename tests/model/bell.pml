/* verify: -E -m1000000 */
/* deep: -E -m2000000 -DMESSAGES=5 -DCAPACITY=2 */
/* mutants: NO_FENCE_SLEEPER NO_FENCE_KICKER NO_RELOOK NO_EPOCH KICKED_BEFORE_WANTED NO_REANNOUNCE LATE_DRAIN */

/* tests/model/bell.pml - two processes, one sleep word each: no wake-up is lost.
 *
 * Claim      When nothing can move any more, the receiver does not sleep while a record is
 *            committed, and the sender does not sleep while there is room. So whenever something
 *            is committed (or taken) and the other side sleeps, a kick is pending or comes.
 * Processes  sender (shm/ring.c: commits; wants space), receiver (publishes taken; wants data).
 * Memory     TSO made explicit: each process has a FIFO of its own stores; a store goes there, a
 *            load looks there first, fence() waits until it is empty. Announce and retract are
 *            compare-exchange and fetch_and in C; here they are plain buffered stores, which is
 *            weaker than x86 and as weak as relaxed RMWs elsewhere. Acquire and release are free.
 * Steps      -> the line of C is named beside each step.
 */
#ifndef MESSAGES
#define MESSAGES 3
#endif
#ifndef CAPACITY
#define CAPACITY 1
#endif
#define KICKS_MAX 2 /* the socket's buffer; full: send() gives EAGAIN, one is pending */
#define DEPTH 5     /* of a store buffer */

#define SENDER 0
#define RECEIVER 1
#define DATA 1
#define SPACE 2
#define BITS 3
#define EPOCH 4

/* Shared words: index 0 committed (ring headers), 1 taken, 2 the sender's sleep word, 3 the
 * receiver's. Only one process stores each (outbox.h, I1). */
#define COMMITTED 0
#define TAKEN 1
#define WORD(p) (2 + (p))

byte memory[4];
chan buffer[2] = [DEPTH] of { byte, byte }; /* word, value */
byte newest[8];    /* what process p itself sees of its own words: newest[4 * p + word] */
byte socket[2];    /* kicks that wait in the socket of process p */
byte kicked[2];    /* struct bell: the peer's word that p answered last */
bool polls[2];     /* p sleeps in poll(2) */
bool done[2];

inline store(p, word, value)
{
    atomic {
        nfull(buffer[p]);
        buffer[p]!word, value;
        newest[4 * p + word] = value
    }
}

inline fence(p)
{
    empty(buffer[p])
}

#define OWN(p, word) newest[4 * (p) + (word)] /* store-to-load forwarding */

/* The memory takes the oldest store of p, at any time. */
proctype drain(byte p)
{
    byte word, value;

    do
    :: atomic {
            buffer[p]?word, value;
            memory[word] = value;
            word = 0;
            value = 0
        }
    od
}

inline announce(p, wants)
{
#ifdef NO_EPOCH
    store(p, WORD(p), OWN(p, WORD(p)) | wants);
#else
    store(p, WORD(p), (OWN(p, WORD(p)) + EPOCH) | wants); /* bell.c: compare_exchange in announce */
#endif
#ifndef NO_FENCE_SLEEPER
    fence(p) /* bell.c: S1 */
#endif
}

inline retract(p, wants)
{
    store(p, WORD(p), OWN(p, WORD(p)) & (255 - wants)) /* bell.c: fetch_and in retract */
}

inline kick_if_wanted(p, wants)
{
#ifdef KICKED_BEFORE_WANTED /* the epoch is marked as answered before anybody asked */
    word = memory[WORD(1 - p)] & (255 - BITS);
    before = kicked[p];
    kicked[p] = word | 1;
#endif
#ifndef NO_FENCE_KICKER
    fence(p); /* bell.h: S2 in is_wanted */
#endif
    if
    :: (memory[WORD(1 - p)] & wants) != 0 -> /* bell.h: the load of peers in is_wanted */
#ifndef KICKED_BEFORE_WANTED
        atomic {
            word = memory[WORD(1 - p)] & (255 - BITS); /* bell.c: the load in kick */
            before = kicked[p]                         /* bell.c: exchange of kicked */
            kicked[p] = word | 1
        }
#endif
        if
        :: before == (word | 1) -> skip /* bell.c: I2, return */
        :: else -> /* bell.c: send */
            atomic {
                if
                :: socket[1 - p] < KICKS_MAX -> socket[1 - p]++
                :: else -> skip /* EAGAIN */
                fi
            }
        fi
    :: else -> skip
    fi;
    word = 0;
    before = 0
}

/* poll(2), then drain the socket. */
inline poll_and_drain(p)
{
    polls[p] = true;
    atomic {
        socket[p] > 0;
        socket[p] = 0;
        polls[p] = false
    }
}

proctype sender()
{
    byte word, before, sent, limit;

    /* any number of messages, so that each may be the last one that kicks */
    select (limit : 1 .. MESSAGES);
    do
    :: sent == limit -> break
    :: else ->
        if
        :: sent - memory[TAKEN] < CAPACITY -> skip /* ring.c: reserve after outbox T2 */
        :: else ->
            announce(SENDER, SPACE);
again:
#ifndef NO_RELOOK
            if
            :: sent - memory[TAKEN] < CAPACITY ->
                retract(SENDER, SPACE);
                goto room
            :: else -> skip
            fi;
#endif
#ifdef LATE_DRAIN
            socket[SENDER] = 0; /* eats the kick for what came after the look */
#endif
            poll_and_drain(SENDER);
#ifdef NO_REANNOUNCE
            goto again
#else
            goto next
#endif
        fi;
room:
        sent++;
        store(SENDER, COMMITTED, sent); /* ring.c: R1 in store_header */
        kick_if_wanted(SENDER, DATA);
next:
        skip
    od;
    done[SENDER] = true
}

proctype receiver()
{
    byte word, before, got;

    do
    :: memory[COMMITTED] > got -> /* ring.c: R2 in peek */
        got++;
        store(RECEIVER, TAKEN, got); /* outbox.h: T1 */
        kick_if_wanted(RECEIVER, SPACE)
    :: else ->
        announce(RECEIVER, DATA);
again:
#ifndef NO_RELOOK
        if
        :: memory[COMMITTED] > got ->
            retract(RECEIVER, DATA);
            goto next
        :: else -> skip
        fi;
#endif
#ifdef LATE_DRAIN
        socket[RECEIVER] = 0;
#endif
        poll_and_drain(RECEIVER);
#ifdef NO_REANNOUNCE
        goto again;
#endif
next:
        skip
    od
}

/* When nothing else can move: whoever sleeps has nothing to do. */
proctype judge()
{
    timeout;
    assert(done[SENDER] || !polls[SENDER] || memory[COMMITTED] - memory[TAKEN] == CAPACITY);
    assert(done[SENDER] || polls[SENDER]);
    assert(polls[RECEIVER] && memory[TAKEN] == memory[COMMITTED])
}

init {
    atomic {
        run drain(SENDER);
        run drain(RECEIVER);
        run sender();
        run receiver();
        run judge()
    }
}
