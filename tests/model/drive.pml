/* verify: -E -m1000000 */
/* deep: -E -m4000000 -DROUNDS=2 -DARRIVALS=3 */
/* mutants: LOOK_BEFORE_GIVE TRY_BEFORE_RING COMMIT_AFTER_RING PUMP_BEFORE_EXCHANGE NO_LAST_LOOK TELL_AFTER_GIVE STALE_POLLER */

/* tests/model/drive.pml - threads of one process drive one stream link: nothing is left undone.
 *
 * Claim      When nothing can move any more, no bell is left, all that was committed was handed to
 *            the stack, and the receiver sleeps in poll only while its inbox and the stack are empty.
 * Processes  two senders, who commit and ring (transport/stream/link.c, ring, with both bells); a
 *            receiver, who polls (drive_as_poller); the peer, whose bytes arrive.
 * Memory     Giving the drive lock back is a plain store (docs/adr/0010): it waits in a store buffer
 *            of its own until it drains, or until that thread changes another word by a locked
 *            instruction. All else is atomic; what a weaker order would let pass is a mutant.
 * Steps      the line of C is named beside each step.
 */
#ifndef ROUNDS
#define ROUNDS 1 /* messages of each sender */
#endif
#ifndef ARRIVALS
#define ARRIVALS 2
#endif
#define RECEIVER 2

bool state;         /* drive_lock */
bool giving[3];     /* the store that gives it back has not reached the memory */
bool bells;
byte committed, pumped;
byte socket;        /* bytes that have arrived */
byte inbox;         /* ... and were stored */
bool poller, polls; /* struct waitroom; the receiver is in poll(2) */
bool changed;       /* events != what the receiver has read */

proctype drain(byte p)
{
    do
    :: atomic { giving[p] -> giving[p] = false; state = false }
    od
}

inline give(p)
{
    giving[p] = true /* lock.h: L2 */
}

inline pump_out()
{
    seen = committed; /* pump.c: prepare */
    atomic { pumped = (seen > pumped -> seen : pumped); seen = 0 }
}

inline ring(p)
{
#ifdef TRY_BEFORE_RING /* D1 is no acquire: the lock is looked at before the bell rings */
    got = !state;
    atomic {
        if
        :: got -> !state; state = true
        :: else -> skip
        fi
    }
    atomic { !giving[p]; bells = true };
#else
    atomic { !giving[p]; bells = true }; /* link.c: fetch_or in ring (D1) */
#ifdef COMMIT_AFTER_RING
    skip
#endif
    atomic { got = !state; state = true }; /* lock.h: ewi_lock_try (L1) */
#endif
    do
    :: !got -> break
    :: got ->
#ifdef STALE_POLLER
        reads = !stale;
#else
        reads = !poller; /* link.c: has_poller in pump, under the lock */
#endif
#ifdef PUMP_BEFORE_EXCHANGE
        pump_out();
        bells = false;
#else
        bells = false; /* link.c: exchange in ring (D2) */
#endif
        atomic {
            if
            :: reads && socket > 0 -> socket--; inbox++; progress = true
            :: else -> skip
            fi
        }
#ifndef PUMP_BEFORE_EXCHANGE
        pump_out();
#endif
#ifndef TELL_AFTER_GIVE
        if
        :: progress -> changed = true; progress = false /* link.c: note_progress in ring */
        :: else -> skip
        fi;
#endif
        give(p);
#ifdef NO_LAST_LOOK
        break
#else
        atomic { /* link.c: fetch_or of nothing (D2): behind the store that gives the lock back */
#ifndef LOOK_BEFORE_GIVE
            !giving[p];
#endif
            got = bells
        }
        if
        :: got -> atomic { got = !state; state = true }
        :: else -> skip
        fi
#endif
    od;
#ifdef TELL_AFTER_GIVE
    if
    :: progress -> changed = true; progress = false
    :: else -> skip
    fi;
#endif
    got = false;
    reads = false
}

proctype sender(byte p)
{
    byte rounds, seen;
    bool got, reads, progress, stale;

    do
    :: rounds == ROUNDS -> break
    :: else ->
        rounds++;
#ifdef STALE_POLLER
        stale = poller;
#endif
#ifdef COMMIT_AFTER_RING
        ring(p);
        committed++
#else
        committed++; /* send.c: the commit, then committed of the link */
        ring(p)
#endif
    od
}

inline drive_as_poller()
{
    atomic { !state -> state = true } /* link.c: ewi_lock_enter */
    bells = false;                    /* link.c: exchange in drive_as_poller (D2) */
    atomic {
        if
        :: socket > 0 -> socket--; inbox++; found = true
        :: else -> skip
        fi
    }
    pump_out();
    give(RECEIVER);
    ring(RECEIVER) /* link.c: bells that rang meanwhile */
}

proctype receiver()
{
    byte seen;
    bool got, reads, progress, found, stale;

    do
    :: atomic { inbox > 0 -> inbox-- }
    :: atomic { inbox == 0 -> changed = false } /* wait.c: ewi_waitroom_events (V2) */
        if
        :: inbox > 0 -> skip /* wait.c: is_ready */
        :: else ->
            poller = true; /* waitroom.c: exchange (V3) */
            stale = true;
            drive_as_poller(); /* link.c: look */
            if
            :: found || changed -> skip
            :: else ->
                polls = true;
                atomic { socket > 0 -> polls = false }
                drive_as_poller() /* link.c: seen */
            fi;
            found = false;
            poller = false
        fi
    od
}

proctype peer()
{
    byte arrivals;

    do
    :: arrivals < ARRIVALS -> atomic { arrivals++; socket++ }
    :: true -> break
    od
}

proctype judge()
{
    timeout;
    assert(!bells);
    assert(pumped == committed);
    assert(polls && inbox == 0 && socket == 0)
}

init {
    atomic {
        run drain(0);
        run drain(1);
        run drain(RECEIVER);
        run sender(0);
        run sender(1);
        run receiver();
        run peer();
        run judge()
    }
}
