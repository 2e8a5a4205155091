/* verify: -E -m1000000 */
/* deep: -E -m4000000 -DVISITS=3 */
/* mutants: TELL_BEFORE_POLLER_ZERO POLLER_ZERO_BEFORE_TELL NO_RELOOK NO_FENCE_SLEEPER NO_FENCE_KICKER NO_EPOCH NO_HANDOVER SEEN_AFTER_LOOK SLEEPERS_AFTER_COMPARE TELL_LOADS_FIRST EVENTS_NOT_COMPARED */

/* tests/model/waitroom.pml - two threads of one process sleep, one for data, one for space; two
 * threads of the peer make data and space and share one `kicked`: no wake-up is lost.
 *
 * Claim      When nothing can move any more, no thread sleeps (in poll or on the futex) although
 *            what it waits for is there, and a thread sleeps on the futex only while the other
 *            one polls (waitroom.h, I2). Up to LATES sleeps end by deadline or signal; then that
 *            thread leaves for good. There is no last look (struct waitroom_poller: look NULL).
 * Memory     Store buffers are bell.pml's subject. Here every step is atomic; that a relaxed RMW or
 *            a store orders no load behind it is modelled by the mutants NO_FENCE_SLEEPER and
 *            NO_FENCE_KICKER, whose loads come early. What is seq_cst in waitroom.c (poller,
 *            events, sleepers) is atomic in truth.
 * Steps      the line of C is named beside each step. `events` is not counted: changed[t] says
 *            whether it differs from what thread t read last, which is all that anybody asks.
 */
#ifndef DATA_ROUNDS
#define DATA_ROUNDS 2 /* records that are committed at most */
#endif
#ifndef SPACE_ROUNDS
#define SPACE_ROUNDS 1 /* times that taken is published at most */
#endif
#ifndef VISITS
#define VISITS 2 /* sleeps of each thread; then it leaves as if its time was up */
#endif
#ifndef LATES
#define LATES 1
#endif
#define KICKS_MAX 3 /* the socket's buffer */
#define EPOCH 4

/* Thread t waits for bit 1 << t: thread 0 for data, thread 1 for space. Kicker t makes it. */
bool made[2];             /* there is something that thread t has not seen */
byte word;                /* the sleep word of the sleeping process: epoch and two bits */
byte kicked;              /* struct bell in the kicking process */
byte socket;              /* kicks that wait to be read */
bool changed[2];          /* events != what thread t has read */
bool poller;              /* struct waitroom */
byte sleepers;            /* struct waitroom */
bool on_futex[2], polls[2], gone[2];
byte lates;               /* sleeps that may still end by deadline or signal */

inline raise_events()
{
    d_step { changed[0] = true; changed[1] = true }
}

inline wake_sleepers()
{
    d_step {
        if
        :: sleepers != 0 -> on_futex[0] = false; on_futex[1] = false /* futex_wake */
        :: else -> skip
        fi
    }
}

inline tell()
{
#ifdef TELL_LOADS_FIRST /* the load of sleepers passes the add to events */
    none = sleepers == 0;
    raise_events();
    if
    :: none -> none = false
    :: else -> wake_sleepers()
    fi
#else
    raise_events();  /* waitroom.c: fetch_add in tell (V1) */
    wake_sleepers()
#endif
}

/* ewi_futex_wait: the kernel compares and queues as one step. */
inline futex_compare(t)
{
    d_step {
        if
        :: !changed[t] -> on_futex[t] = true
        :: else -> skip
        fi
    }
}

inline futex_wait_end(t)
{
    if
    :: !on_futex[t] -> skip
    :: atomic { on_futex[t] && lates > 0 -> on_futex[t] = false; late = true; lates-- }
    fi
}

inline poll_until(t)
{
    if
    :: atomic { socket > 0 -> polls[t] = false; socket = 0 } /* poll, then poller->seen drains */
    :: atomic { lates > 0 -> polls[t] = false; late = true; lates-- } /* the kick stays */
    fi
}

inline sleep_in_room(t)
{
    if
    :: atomic { poller -> skip } /* waitroom.c: the exchange gives 1 (V3) */
#ifdef SLEEPERS_AFTER_COMPARE
        futex_compare(t);
        sleepers++;
#else
        sleepers++; /* waitroom.c: fetch_add, before the compare */
        futex_compare(t);
#endif
        futex_wait_end(t);
        sleepers--
    :: atomic { !poller -> poller = true } /* waitroom.c: the exchange gives 0 (V3) */
        if
#ifdef EVENTS_NOT_COMPARED
        :: atomic { true -> polls[t] = true } poll_until(t)
#else
        :: atomic { !changed[t] -> polls[t] = true } poll_until(t) /* waitroom.c: events == seen */
        :: changed[t] -> skip
#endif
        fi;
#ifdef NO_HANDOVER /* who is late just leaves */
        if
        :: late -> poller = false
        :: else -> raise_events(); poller = false; tell()
        fi
#else
#ifndef POLLER_ZERO_BEFORE_TELL
        raise_events(); /* waitroom.c: fetch_add (V1), before the role is given back */
#endif
#ifdef TELL_BEFORE_POLLER_ZERO
        wake_sleepers();
        poller = false
#else
        poller = false; /* waitroom.c: store (V3) */
        tell()
#endif
#endif
    fi
}

proctype sleeper(byte t)
{
    byte visits;
    bool late, nothing;
#ifdef TELL_LOADS_FIRST
    bool none;
#endif

    do
    :: atomic { made[t] && !late -> made[t] = false } /* found: take it, come again */
    :: atomic { late || !made[t] && visits == VISITS -> break }
    :: atomic {
            !made[t] && !late && visits < VISITS -> visits++;
#ifndef SEEN_AFTER_LOOK
            changed[t] = false /* ewi_waitroom_events (V2), before the announcement */
#endif
        }
#ifdef NO_FENCE_SLEEPER
        nothing = !made[t];
#endif
#ifdef NO_EPOCH
        word = word | (1 << t);
#else
        word = (word + EPOCH) | (1 << t); /* bell.c: compare_exchange in announce */
#endif
#ifdef NO_RELOOK
        nothing = true;
#endif
#ifndef NO_FENCE_SLEEPER
#ifndef NO_RELOOK
        nothing = !made[t]; /* bell.c: S1, then the caller looks again */
#endif
#endif
        if
        :: atomic { !nothing -> word = word & (255 - (1 << t)) } /* bell.c: retract */
        :: atomic {
                nothing -> nothing = false;
#ifdef SEEN_AFTER_LOOK
                changed[t] = false
#endif
            }
            sleep_in_room(t)
        fi
    od;
    atomic { /* bell.c: retract, when it leaves */
        word = word & (255 - (1 << t));
        visits = 0;
        late = false;
        gone[t] = true
    }
}

proctype kicker(byte t; byte rounds)
{
    byte mine;
    bool wanted, again;

    do
    :: atomic { true -> rounds = 0; break } /* what was made last may be the last for ever */
    :: rounds > 0 ->
#ifdef NO_FENCE_KICKER
        wanted = (word & (1 << t)) != 0;
        d_step { made[t] = true; rounds-- }
#else
        d_step { made[t] = true; rounds-- } /* ring.c: R1; outbox.h: T1; then bell.h: S2 */
        wanted = (word & (1 << t)) != 0;     /* bell.h: the load in is_wanted */
#endif
        if
        :: atomic { !wanted -> skip }
        :: atomic { wanted -> wanted = false; mine = word | 3 }  /* bell.c: the load in kick */
            d_step { again = (kicked == mine); kicked = mine; mine = 0 } /* bell.c: exchange */
            d_step {
                if
                :: !again && socket < KICKS_MAX -> socket++ /* bell.c: send */
                :: else -> skip                             /* bell.c: I2, or EAGAIN */
                fi;
                again = false
            }
        fi
    od
}

/* When nothing else can move: whoever sleeps has nothing to do, and somebody polls. */
proctype judge()
{
    timeout;
    assert(gone[0] || (polls[0] || on_futex[0]) && !made[0]);
    assert(gone[1] || (polls[1] || on_futex[1]) && !made[1]);
    assert(!on_futex[0] || polls[1]); /* I2 */
    assert(!on_futex[1] || polls[0])
}

init {
    atomic {
        if
        :: lates = 0
        :: lates = LATES
        fi;
        run kicker(0, DATA_ROUNDS);
        run kicker(1, SPACE_ROUNDS);
        run sleeper(0);
        run sleeper(1);
        run judge()
    }
}
