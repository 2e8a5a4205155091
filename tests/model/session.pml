/* verify: -E -m10000 -w22 -DSAFETY -DNOREDUCE */
/* livelock: -E -l -m100000 -DNP -DCOLLAPSE -DRECORDS=2 -DMOVES=0 */
/* livelock-mutants: ACKS_FOR_EVER */
/* deep: -E -l -m100000 -DNP -DCOLLAPSE -DCUTS=2 -DREFUSALS=0 */
/* mutants: START_FROM_SENT START_BELIEVED REPETITION_TAKEN OLD_ACK ACCEPT_ANY NO_DOUBT DOUBT_KEPT DIAL_DETACHES GREETING_SAID SAID_KEPT LIMIT_FROM_TAKEN FREE_SENT FREE_UNSENT LOWER_REFUSED */

/* tests/model/session.pml - a channel is put from link to link, and each link may be cut: nothing is
 * lost, repeated or reordered, and it does not go on for ever.
 *
 * Claim      Every record is taken once and in order; the inbox never overflows; the ring's space is
 *            used again only when the record there was taken and no link has to send it any more; no
 *            end hears what a correct one cannot say (EW_EPROTO); a dial has a cause: the first link,
 *            a move, a cut, a refusal. When nothing can move any more, all was taken and consumed,
 *            and the sender knows it.
 * Processes  sender and receiver: what leaves, and the applications; reader: what one end reads
 *            from one link, and that it notices its end; opener: dials; weather: cuts links, until it
 *            calms down. Whether the opener sends or receives is chosen first; the other direction
 *            would be the same once more, and only its ACKs are here.
 * Links      Two pipes each. A cut link swallows what is put into it; its ends go on reading until
 *            they notice, at any time: what is unread then is lost. So it is when the peer has
 *            closed it. The acceptor does not close a link that was replaced (retired.h: not soon),
 *            and goes on reading it.
 * Steps      the function of transport/session/session.c, or the line that calls it, is named beside
 *            each step. A record has length one. Each step is made under the channel's drive lock.
 */
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef RING
#define RING 2 /* records that the sender's outbox holds */
#endif
#ifndef INBOX
#define INBOX 2 /* records that the receiver's inbox holds */
#endif
#ifndef CUTS
#define CUTS 1
#endif
#ifndef MOVES
#define MOVES 1 /* dials while all is well */
#endif
#ifndef REFUSALS
#define REFUSALS 1
#endif
#define LINKS 2
#define FRAMES 2 /* in a pipe */
#ifdef START_BELIEVED /* the naive way: both ends take what was sent for taken */
#define START_FROM_SENT
#endif
#define OPENER 0
#define ACCEPTOR 1
#define NONE 255

mtype = { HELLO, WELCOME, REFUSE, START, RECORD, ACK };

#define max(a, b) ((a) > (b) -> (a) : (b))
#define min(a, b) ((a) < (b) -> (a) : (b))

/* ---- links ---- */

chan pipe[2 * LINKS] = [FRAMES] of { mtype, byte, byte, byte }; /* at(l, e): written by end e */
bool open[2 * LINKS];    /* at(l, e): end e has it open */
bool greeted[LINKS];     /* the acceptor has heard the hello */
bool cut[LINKS];
byte number[LINKS];      /* its generation */
byte cuts = CUTS, moves = MOVES, refusals = REFUSALS;
bool restless;           /* the acceptor refuses: it is in use and does not come to rest */

#define at(l, e) (2 * (l) + (e))
#define is_used(l) (open[at(l, OPENER)] || open[at(l, ACCEPTOR)])
#define swallows(l, e) (cut[l] || !open[at(l, 1 - (e))])
#define may_cut(l) (open[at(l, OPENER)] && open[at(l, ACCEPTOR)] && !cut[l])
#define may_put(l, e) (swallows(l, e) || nfull(pipe[at(l, e)]))

/* ---- struct session, of both ends ---- */

bool attached[2];
byte generation[2];
byte current[2] = NONE;  /* links */
byte dialled;            /* the last generation in a hello */
byte asked = NONE;       /* the link whose welcome is awaited */
bool doubt;              /* resume.c: nobody knows whether the acceptor left the current link */

byte sender_end, receiver_end;
byte sent, peer_taken, peer_consumed, limit = INBOX;
byte out;                /* of the next record on the current link: struct stream_link */
byte freed;              /* struct ring_writer */
bool started;
byte link_position, taken, consumed, limit_said = INBOX, said_taken, said_consumed;
byte stored;             /* records that were put into the inbox: by nobody's word */

hidden mtype kind;
hidden byte x, y, z, old;

#define eproto assert(false)
#define committed min(RECORDS, freed + RING) /* who sends never waits but for room */

inline put(l, e, what, a, b, c)
{
    if
    :: swallows(l, e) -> skip
    :: else -> pipe[at(l, e)]!what, a, b, c
    fi
}

inline empty_pipe(p)
{
    do
    :: nempty(pipe[p]) -> pipe[p]?_, _, _, _
    :: empty(pipe[p]) -> break
    od
}

/* ---- the session's rules ---- */

/* ewi_channel_refresh_room in send.c, free_ring in tests/sim: what the peer has taken, but nothing that
 * the current link, which may have begun further back, has yet to send */
inline free_ring()
{
#if defined(FREE_SENT)
    freed = sent;
#elif defined(FREE_UNSENT)
    freed = peer_taken;
#else
    freed = max(freed, (current[sender_end] == NONE -> peer_taken : min(peer_taken, out)));
#endif
    assert(freed <= stored)
}

/* ewi_session_greeting; z: the limit */
inline greeting()
{
#ifdef LIMIT_FROM_TAKEN
    z = taken + INBOX;
#else
    z = consumed + INBOX;
#endif
    limit_said = max(limit_said, z);
#ifdef GREETING_SAID
    said_taken = taken;
    said_consumed = consumed;
#endif
    y = taken
}

/* learn_taken; y: what the peer's hello or welcome says */
inline learn_taken()
{
    if
    :: y > sent -> eproto
#ifdef LOWER_REFUSED
    :: y < peer_taken -> eproto
#endif
    :: else -> peer_taken = max(peer_taken, y)
    fi
}

/* ewi_session_accept or _welcomed, then _attach, with the ends' positions in y and z */
inline go_over(e, l)
{
    if
    :: e == sender_end -> learn_taken()
    :: else -> skip
    fi;
    generation[e] = number[l];
    current[e] = l;
    attached[e] = true;
    if
    :: e == sender_end ->
        limit = max(limit, z);
#ifdef START_FROM_SENT
        out = sent;
#else
        out = max(peer_taken, freed);
#endif
        put(l, e, START, out, 0, 0);
        free_ring()
    :: else ->
#ifndef SAID_KEPT
        said_taken = 0;
        said_consumed = 0;
#endif
        started = false;
        link_position = 0
    fi
}

/* The stream is closed by this end, and nobody hears of it but by reading. */
inline shut(e, l)
{
    open[at(l, e)] = false;
    empty_pipe(at(l, 1 - e));
    if
    :: !is_used(l) ->
        empty_pipe(at(l, e));
        cut[l] = false;
        greeted[l] = false;
        number[l] = 0
    :: else -> skip
    fi
}

/* ewi_session_detach, by who notices the end of a link (stream_ended in pump.c), or leaves it */
inline leave(e, l)
{
    if
    :: number[l] == generation[e] -> attached[e] = false
    :: else -> skip
    fi;
    if
    :: current[e] == l ->
        current[e] = NONE;
        if
        :: e == sender_end -> free_ring()
        :: else -> skip
        fi
    :: else -> skip
    fi;
    shut(e, l)
}

/* ewi_move_dial in dial.c, ewi_hello_resume in hello.c */
inline dial(l)
{
    open[at(l, OPENER)] = true;
    open[at(l, ACCEPTOR)] = true;
    dialled++; /* ewi_session_dial */
    assert(dialled <= 1 + CUTS + MOVES + REFUSALS);
    number[l] = dialled;
#ifdef DIAL_DETACHES
    attached[OPENER] = false;
#endif
    if
    :: receiver_end == OPENER -> greeting()
    :: else -> skip
    fi;
    pipe[at(l, OPENER)]!HELLO, dialled, y, z;
    y = 0;
    z = 0
}

/* incoming.c */
inline on_hello(l)
{
    greeted[l] = true;
    if
#ifndef ACCEPT_ANY
    :: x <= generation[ACCEPTOR] -> shut(ACCEPTOR, l) /* ewi_session_accept: EW_EAGAIN */
    :: x > generation[ACCEPTOR] && restless ->
#else
    :: restless ->
#endif
        restless = false;
        put(l, ACCEPTOR, REFUSE, 0, 0, 0);
        shut(ACCEPTOR, l)
    :: else ->
        if
        :: sender_end == ACCEPTOR ->
            put(l, ACCEPTOR, WELCOME, x, 0, 0)
        :: else ->
            greeting();
            put(l, ACCEPTOR, WELCOME, x, y, z)
        fi;
        go_over(ACCEPTOR, l)
    fi
}

/* ewi_move_finish */
inline on_welcome(l)
{
    assert(l == asked && x == dialled);
    asked = NONE;
#ifndef DOUBT_KEPT
    doubt = false; /* ewi_resume_found */
#endif
    old = current[OPENER];
    go_over(OPENER, l);
    if
    :: old != NONE -> shut(OPENER, old)
    :: else -> skip
    fi;
    old = 0
}

#define is_current(e, l) (attached[e] && number[l] == generation[e])

/* ewi_session_on_start */
inline on_start(l)
{
    if
    :: !is_current(receiver_end, l) -> skip /* EW_EAGAIN */
    :: else ->
#ifdef START_BELIEVED
        taken = x;
#else
        if
        :: started || x > taken -> eproto
        :: else -> skip
        fi;
#endif
        started = true;
        link_position = x
    fi
}

/* ewi_session_on_record; x: which one it is, in truth */
inline on_record(l)
{
    if
    :: !is_current(receiver_end, l) -> skip /* EW_EAGAIN */
    :: else ->
        if
        :: !started || link_position >= limit_said -> eproto
#ifndef REPETITION_TAKEN
        :: started && link_position < limit_said && link_position < taken -> link_position++
#endif
        :: else ->
            assert(x == stored);             /* I1 */
            assert(stored - consumed < INBOX); /* I4: ewi_ring_append in pump.c */
            stored++;
            link_position++;
            taken = link_position
        fi
    fi
}

/* ewi_session_on_ack */
inline on_ack(l)
{
    if
#ifdef OLD_ACK
    :: !attached[sender_end] -> skip
#else
    :: !is_current(sender_end, l) -> skip /* EW_EAGAIN */
#endif
    :: else ->
        if
        :: x > sent || y > x || x < peer_taken || y < peer_consumed || z < limit -> eproto
        :: else -> skip
        fi;
        peer_taken = x;
        peer_consumed = y;
        limit = z;
        free_ring()
    fi
}

/* ---- processes ---- */

/* The opener reads no more from a link that it has left; the acceptor still does. */
proctype reader(byte e; byte l)
{
    do
    :: d_step {
            open[at(l, e)] && nempty(pipe[at(l, 1 - e)]) -> pipe[at(l, 1 - e)]?kind, x, y, z;
            if
            :: kind == HELLO -> on_hello(l)
            :: kind == WELCOME -> on_welcome(l)
            :: kind == REFUSE -> asked = NONE; shut(OPENER, l) /* refused in hello.c: not said */
            :: kind == START -> on_start(l)
            :: kind == RECORD -> on_record(l)
            :: kind == ACK -> on_ack(l)
            fi;
            kind = 0; x = 0; y = 0; z = 0
        }
    :: d_step { /* stream_ended in pump.c; hear in connect.c; break before make */
            open[at(l, e)] && (swallows(l, e) || e == OPENER && asked != l && moves > 0) ->
            if
            :: swallows(l, e) -> skip
            :: else -> moves--
            fi;
            if
            :: e == OPENER && asked == l ->
                asked = NONE;
#ifndef NO_DOUBT
                doubt = true; /* ewi_resume_doubt */
#endif
                shut(e, l)
            :: else -> leave(e, l)
            fi
        }
    od
}

proctype opener()
{
    do
    :: d_step { /* on_due in resume.c; ew_channel_switch: make before break */
            (current[OPENER] == NONE || doubt || moves > 0) && asked == NONE &&
                !(is_used(0) && is_used(1)) ->
            if
            :: current[OPENER] == NONE || doubt -> skip
            :: else -> moves--
            fi;
            asked = (is_used(0) -> 1 : 0);
            dial(asked)
        }
    od
}

proctype sender()
{
    do
    :: d_step { /* ewi_pump_out */
            attached[sender_end] && out < committed && out < limit &&
                may_put(current[sender_end], sender_end) ->
            assert(out >= freed); /* it is still in the ring */
            put(current[sender_end], sender_end, RECORD, out, 0, 0);
            out++;
            sent = max(sent, out); /* ewi_session_on_sent */
            free_ring()
        }
    od
}

proctype receiver()
{
    do
    :: d_step { consumed < stored -> consumed++ } /* the application */
    :: d_step { /* put_controls in pump.c: ewi_session_ack_differs, _make_ack */
            attached[receiver_end] &&
#ifndef ACKS_FOR_EVER
                (taken != said_taken || consumed != said_consumed) &&
#endif
                may_put(current[receiver_end], receiver_end) ->
            greeting();
            said_taken = taken;
            said_consumed = consumed;
            put(current[receiver_end], receiver_end, ACK, taken, consumed, z);
            y = 0; z = 0
        }
    od
}

proctype weather()
{
    do
    :: d_step { cuts > 0 && may_cut(0) -> cut[0] = true; cuts-- }
    :: d_step { cuts > 0 && may_cut(1) -> cut[1] = true; cuts-- }
    :: d_step { refusals > 0 -> restless = true; refusals-- }
    :: atomic { true -> cuts = 0; moves = 0; refusals = 0; restless = false; break }
    od
}

proctype judge()
{
    timeout;
    assert(stored == RECORDS && consumed == RECORDS);
    assert(peer_taken == RECORDS && peer_consumed == RECORDS && freed == RECORDS)
}

init {
    atomic {
        if
        :: sender_end = ACCEPTOR; receiver_end = OPENER
        :: sender_end = OPENER; receiver_end = ACCEPTOR
        fi;
        run reader(OPENER, 0);
        run reader(OPENER, 1);
        run reader(ACCEPTOR, 0);
        run reader(ACCEPTOR, 1);
        run opener();
        run sender();
        run receiver();
        run weather();
        run judge()
    }
}
