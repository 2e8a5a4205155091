/* verify: -E -m100000 */
/* deep: -E -m1000000 -DKICKS=3 */
/* mutants: TAKE_BEFORE_READ MARK_AFTER_WRITE */

/* tests/model/kick.pml - many kicks, one wake-up, and none is lost.
 *
 * Claim      When nothing can move any more, the reactor has seen all that was left for it.
 * Processes  two threads, who leave something and kick (transport/shell/kick.h); the reactor, who takes
 *            the kick, looks, and sleeps until the descriptor is readable.
 * Memory     Atomic: what a weaker order would let pass, N1 and N2 relaxed, is left to the thread sanitizer
 *            (tests/c/test_order_shell.c).
 * Steps      the line of C is named beside each step.
 */
#ifndef KICKS
#define KICKS 2 /* of each thread */
#endif

bool marked, readable;
byte left, seen;

proctype kicker()
{
    byte kicks;
    bool was;

    do
    :: kicks == KICKS -> break
    :: else ->
        kicks++;
        left++;
#ifdef MARK_AFTER_WRITE
        was = marked;
        if
        :: !was -> readable = true; marked = true
        :: else -> skip
        fi
#else
        atomic { was = marked; marked = true } /* ewi_kick_ring: N1 */
        if
        :: !was -> readable = true /* ewi_kick_write */
        :: else -> skip
        fi
#endif
        ;was = false
    od
}

proctype reactor()
{
    do
    :: readable -> /* poll(wait_fd) */
        if
        :: !marked -> skip
        :: else ->
#ifdef TAKE_BEFORE_READ
            marked = false;
            readable = false
#else
            if
            :: atomic { readable -> readable = false } /* ewi_kick_read */
                marked = false /* N2 */
            :: atomic { !readable -> skip }
            fi
#endif
        fi;
        seen = left /* what poll and the reactor do then */
    od
}

proctype judge()
{
    timeout;
    assert(seen == left)
}

init {
    atomic {
        run kicker();
        run kicker();
        run reactor();
        run judge()
    }
}
