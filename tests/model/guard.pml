/* verify: -E -m1000000 */
/* deep: -E -m4000000 -DARRIVALS=3 */
/* mutants: NO_LOOK NO_LAST_LOOK NO_BELL NO_TICK */

/* tests/model/guard.pml - threads sleep around our TCP/IP: nobody sleeps over what has arrived.
 *
 * Claim      When nothing can move any more, each application has received all that was for it.
 * Processes  two applications, each with a stream of its own, which receive, and sleep when there is
 *            nothing (transport/shell/user.c, sleep.c); the reactor, which polls, arms and sleeps; the
 *            wire, which brings packets. The reactor's look at the carrier, which would mend all
 *            after a while, is left out.
 * Memory     All words but the device's are the guard's, whose own order is lock.pml's.
 * Steps      the line of C is named beside each step.
 */
#ifndef ARRIVALS
#define ARRIVALS 2 /* for the first stream; the second has one */
#endif
#define FOR(s) (s == 0 -> ARRIVALS : 1)
#define REACTOR 2
#define NOBODY 3

bool guard;
byte ring[2];      /* packets on the device, for each stream */
byte readable[2];  /* arrived at the stream */
byte received[2];
bool armed, devbell;
byte home = NOBODY; /* in whose set the device's descriptor is, and told of */
byte watcher = NOBODY;
bool sleeping[2], bell[2];
bool driven, timer;

inline enter()
{
    atomic { !guard -> guard = true }
}

inline awake() /* sleep.c: ewi_shell_awake */
{
    d_step { watcher = NOBODY; armed = false; devbell = false; home = NOBODY }
}

inline rouse(s) /* sleep.c: ewi_shell_rouse */
{
#ifndef NO_BELL
    if
    :: sleeping[s] && readable[s] != 0 -> sleeping[s] = false; bell[s] = true
    :: else -> skip
    fi
#else
    skip
#endif
}

inline drive() /* drive.c: receive, distribute */
{
    d_step {
        readable[0] = readable[0] + ring[0];
        readable[1] = readable[1] + ring[1];
        ring[0] = 0;
        ring[1] = 0;
        rouse(0);
        rouse(1)
    }
}

inline arm_device(who) /* sleep.c: arm_device; ok: nothing was there */
{
    home = who;
    armed = true;
#ifdef NO_LAST_LOOK
    ok = true
#else
    atomic {
        ok = (ring[0] + ring[1] == 0);
        if
        :: !ok -> awake()
        :: else -> skip
        fi
    }
#endif
}

inline hush(s) /* sleep.c: ewi_shell_hush */
{
    d_step {
        sleeping[s] = false;
        bell[s] = false;
        if
        :: watcher == s -> watcher = NOBODY; armed = false; devbell = false; home = NOBODY
        :: else -> skip
        fi
    }
}

inline leave() /* drive.c: ewi_shell_leave */
{
#ifndef NO_TICK
    timer = true;
#endif
    driven = true
}

inline receive(s) /* user.c: shell_recv_into */
{
    if
    :: atomic { /* only the wire moves beside the guard, and a drive looks at it once */
            !guard ->
            hush(s);
            if
            :: readable[s] == 0 -> awake(); drive()
            :: else -> skip
            fi;
            received[s] = received[s] + readable[s];
            readable[s] = 0;
            leave()
        }
    :: guard -> skip /* whoever drives brings it */
    fi
}

proctype application(byte s)
{
    bool ok, ready;

    do
    :: received[s] == FOR(s) -> break
    :: else ->
        receive(s);
        if
        :: received[s] == FOR(s) -> break
        :: else -> skip
        fi;
        enter(); /* sleep.c: ewi_shell_stream_arm */
        atomic {
            hush(s);
#ifdef NO_LOOK /* recv_into has just found nothing */
            ready = false
#else
            drive();
            ready = readable[s] != 0
#endif
        }
        if
        :: ready -> skip
        :: !ready && armed && watcher != NOBODY -> sleeping[s] = true /* another watches for us */
        :: !ready && !(armed && watcher != NOBODY) ->
            awake();
            arm_device(s);
            if
            :: ok -> watcher = s; sleeping[s] = true
            :: else -> ready = true /* once more: ARM_TRIES */
            fi
        fi;
        atomic { guard = false; ok = false }
        if
        :: ready -> ready = false
        :: else -> bell[s] || (devbell && home == s) /* poll(stream_fd) */
        fi
    od
}

proctype reactor()
{
    bool ok, ready;

    do
    :: timer || (devbell && home == REACTOR) -> /* poll(wait_fd) */
        ready = true;
        do
        :: !ready -> break
        :: else ->
            atomic { /* sleep.c: ewi_shell_poll */
                !guard ->
                timer = false;
                if
                :: armed && watcher == NOBODY -> awake()
                :: else -> skip
                fi;
                drive()
            }
            enter(); /* sleep.c: ewi_shell_arm */
            ready = false;
            if
            :: driven -> driven = false; timer = true
            :: !driven && !armed ->
                arm_device(REACTOR);
                ready = !ok
            :: else -> skip
            fi;
            atomic { guard = false; ok = false }
        od
    od
}

proctype wire(byte s)
{
    byte sent;

    do
    :: sent == FOR(s) -> break
    :: else ->
        sent++;
        ring[s]++;
        d_step { /* the device looks behind its own store */
            if
            :: armed -> armed = false; devbell = true
            :: else -> skip
            fi
        }
    od
}

proctype judge()
{
    timeout;
    assert(received[0] == FOR(0) && received[1] == FOR(1))
}

init {
    atomic {
        timer = true; /* the first look is the reactor's */
        run application(0);
        run application(1);
        run reactor();
        run wire(0);
        run wire(1);
        run judge()
    }
}
