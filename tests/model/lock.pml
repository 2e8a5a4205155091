/* verify: -E -m1000000 */
/* deep: -E -m4000000 -DROUNDS=3 */
/* mutants: NO_FENCE_ALL COUNT_AFTER_FENCE WAITERS_BEFORE_STATE NO_SECOND_TRY */

/* tests/model/lock.pml - the lock whose holder pays nothing: nobody sleeps while it is free.
 *
 * Claim      When nothing can move any more, every thread has had the lock as often as it wanted.
 * Memory     Giving back is a plain store in a store buffer, then a load of `waiters` that may pass
 *            it (x86 does that). membarrier(2) empties the buffers of all threads.
 * Steps      the line of C is named beside each step.
 */
#ifndef ROUNDS
#define ROUNDS 2
#endif
#define THREADS 2

bool state;
byte waiters;
bool giving[THREADS]; /* the store of 0 has not reached the memory */
bool sleeps[THREADS];

proctype drain(byte p)
{
    do
    :: atomic { giving[p] -> giving[p] = false; state = false }
    od
}

inline wake_one()
{
    d_step { /* lock.h: ewi_futex_wake */
        if
        :: sleeps[0] -> sleeps[0] = false
        :: else -> sleeps[1] = false
        fi
    }
}

inline give(p)
{
#ifdef WAITERS_BEFORE_STATE /* L4 is gone: the compiler may swap the two */
    some = waiters != 0;
    giving[p] = true;
#else
    giving[p] = true;    /* lock.h: store of state (L2), the signal fence (L4) */
    some = waiters != 0; /* lock.h: load of waiters (L4) */
#endif
    if
    :: some -> some = false; atomic { !giving[p] -> wake_one() } /* a system call: a full fence */
    :: else -> skip
    fi
}

inline fence_all_threads() /* lock.c: membarrier: every thread's buffer is empty at some moment */
{
#ifndef NO_FENCE_ALL
    !giving[0];
    !giving[1]
#else
    skip
#endif
}

inline take(p)
{
    atomic { !giving[p]; got = !state; state = true } /* lock.h: L1, a locked instruction */
    if
    :: got -> skip
    :: else ->
#ifdef COUNT_AFTER_FENCE
        fence_all_threads();
        waiters++;
#else
        waiters++; /* lock.c: L3 */
        fence_all_threads();
#endif
        do
        :: atomic { got = !state; state = true } /* lock.c: ewi_lock_try */
            if
            :: got -> break
            :: else ->
                atomic { /* lock.c: futex wait: the kernel compares and queues in one step */
                    if
                    :: state -> sleeps[p] = true
                    :: else -> skip
                    fi
                }
                !sleeps[p]
            fi
#ifdef NO_SECOND_TRY
            ;
            atomic { got = true; break }
#endif
        od;
        waiters-- /* lock.c: L3 */
    fi;
    got = false
}

byte inside, done;

proctype thread(byte p)
{
    byte rounds;
    bool got, some;

    do
    :: rounds == ROUNDS -> break
    :: else ->
        rounds++;
        take(p);
        inside++;
        assert(inside == 1);
        inside--;
        give(p)
    od;
    done++
}

proctype judge()
{
    timeout;
    assert(done == THREADS)
}

init {
    atomic {
        run drain(0);
        run drain(1);
        run thread(0);
        run thread(1);
        run judge()
    }
}
