/* transport/net/cc.h - how much may be in the network: congestion control, one table for all kinds.
 *
 * Purpose    Turn acknowledgements, losses and marks into a window. NewReno, CUBIC and DCTCP behind
 *            the same events, so that the TCP engine never asks which one it is.
 * Shape      struct net_cc, 64 bytes, no pointers: a copy is the state to go back to (undo).
 *            cwnd: bytes, 1 SMSS .. NET_CC_WINDOW_MAX. ssthresh: bytes, 2 SMSS .. the same.
 *            smss: bytes of payload, 1 .. 65535; other values are moved to the nearest.
 *            cwnd < ssthresh: slow start, with HyStart++ before the first loss; else avoidance.
 * Owner      the connection; plain memory, may be copied
 * Threads    pure functions
 * Trust      sizes and times may be any: they are bounded here. What was acknowledged is judged by
 *            the caller before (RFC 9293 3.10.7.4).
 * Errors     false: saved state of another kind
 * Invariants I1  smss <= cwnd <= NET_CC_WINDOW_MAX after every event; 2 smss <= ssthresh.
 *            I2  an ACK never lowers cwnd. It does not raise it while something else than cwnd holds
 *                the sender back, nor during recovery.
 *            I3  no event but on_congestion, on_rto, on_idle lowers cwnd or ssthresh, except the end
 *                of HyStart++, which sets ssthresh to cwnd.
 *            I4  after undo cwnd and ssthresh are at least what was saved, the rest is the same.
 * Ordering   single threaded
 * Source     RFC 5681 (NewReno: 6582), 3465 (L = 64), 6928 (10 segments), 9438 (CUBIC), 9406
 *            (HyStart++), 8257 (DCTCP), 3168 6.1.2. Idle: RFC 5681 4.1, remembering 3/4 of the window
 *            in ssthresh as RFC 7661 4.4.3; growth only when limited by cwnd as RFC 7661 4.4, 9438 5.8.
 */
#ifndef EWI_TRANSPORT_NET_CC_H
#define EWI_TRANSPORT_NET_CC_H

#include <assert.h>

#include "shm/base.h"

#define NET_CC_WINDOW_MAX (UINT32_C(1) << 30) /* RFC 7323 2.3: no peer offers more */

enum net_cc_kind { NET_CC_NEWRENO, NET_CC_CUBIC, NET_CC_DCTCP, NET_CC_KINDS };
enum net_cc_cause { NET_CC_LOSS, NET_CC_ECE };
enum net_cc_hystart { NET_HYSTART_OFF, NET_HYSTART_SLOW_START, NET_HYSTART_CSS };

struct net_cc_rounds {   /* HyStart++, RFC 9406 4.2; round trips in ns, UINT32_MAX: none */
    uint32_t end;        /* windowEnd */
    uint32_t last_min;   /* lastRoundMinRTT */
    uint32_t now_min;    /* currentRoundMinRTT */
    uint32_t baseline;   /* cssBaselineMinRtt */
};

struct net_cc_cubic {    /* RFC 9438 4.1.2; windows in bytes */
    uint64_t epoch;      /* ns, t_epoch, moved over the time that does not count */
    uint64_t last;       /* ns, of the last ACK */
    uint64_t w_est;      /* 2^-24 bytes */
    uint32_t w_max;      /* 0: undefined */
    uint32_t k;          /* 2^-20 s */
    uint32_t cwnd_prior; /* before the last reduction */
    uint32_t part;       /* 2^-24 bytes that cwnd has on top */
};

struct net_cc_dctcp {    /* RFC 8257 3.3 */
    uint32_t window_end;
    uint32_t acked;      /* bytes since the window began */
    uint32_t marked;     /* of them with ECE */
    uint32_t alpha;      /* 2^-20, 0 .. 1 */
};

struct net_cc {
    uint32_t cwnd;
    uint32_t ssthresh;
    uint32_t counted;    /* bytes acknowledged that have not made cwnd grow yet */
    uint16_t smss;
    uint8_t kind;        /* enum net_cc_kind */
    uint8_t hystart;     /* enum net_cc_hystart */
    uint8_t samples;     /* rttSampleCount, stops at 255 */
    uint8_t css_rounds;
    bool round_begun;    /* HyStart++ has a first window end */
    bool after_rto;      /* slow start after a timeout: L = 1 */
    bool epoch_begun;    /* CUBIC: epoch, k and w_est are of this avoidance stage */
    uint8_t spare[3];
    union {
        struct net_cc_rounds rounds; /* while hystart is not OFF; then zeros */
        struct net_cc_cubic cubic;
        struct net_cc_dctcp dctcp;
    } u;
};
static_assert(sizeof(struct net_cc) == 64, "one per connection, a second one while it may be undone");

/* One acknowledgement that was accepted. */
struct net_cc_ack {
    uint64_t now;
    uint64_t rtt;      /* ns, of this ACK; 0: it gave no sample */
    uint64_t srtt;     /* ns; 0: none yet */
    uint32_t acked;    /* bytes that SND.UNA moved */
    uint32_t una, nxt; /* SND.UNA after it, SND.NXT before anything is sent for it */
    bool cwnd_limited; /* cwnd, not the application nor the peer's window, stopped the last sending */
    bool in_recovery;  /* fast recovery, PRR decides what is sent; not slow start after a timeout */
    bool ece;          /* with ECN negotiated */
};

/* ssthresh infinite, cwnd the initial window. una: SND.UNA. syn_lost: a SYN or SYN-ACK of ours had to
 * be sent again. hystart: NewReno and CUBIC only. */
void ewi_net_cc_init(struct net_cc *cc, enum net_cc_kind kind, uint32_t smss, uint32_t una,
                     bool syn_lost, bool hystart);
uint32_t ewi_net_cc_initial_window(uint32_t smss); /* RFC 6928 2 */
const char *ewi_net_cc_name(enum net_cc_kind kind);

void ewi_net_cc_on_ack(struct net_cc *cc, const struct net_cc_ack *ack);
/* Entering recovery, or ECE for the first time in this window of data: at most once per round trip,
 * which the caller sees to. flight: FlightSize, SND.NXT - SND.UNA, before the ACK that told. */
void ewi_net_cc_on_congestion(struct net_cc *cc, enum net_cc_cause cause, uint32_t flight);
/* Fast recovery is over: the window is ssthresh, whatever PRR made of it meanwhile; after an undo or a
 * timeout it is what it is. */
void ewi_net_cc_on_recovery_exit(struct net_cc *cc);
/* The retransmission timer went off; repeated: again for the same segment. */
void ewi_net_cc_on_rto(struct net_cc *cc, uint32_t flight, bool repeated);
/* About to send after nothing was in flight for `idle` ns. */
void ewi_net_cc_on_idle(struct net_cc *cc, uint64_t idle, uint64_t rto, uint64_t now);
/* What seemed lost was only late. saved: a copy from before. smss stays what it is now. */
bool ewi_net_cc_undo(struct net_cc *cc, const struct net_cc *saved);
/* The path MTU is another one: the windows stay, within I1. */
void ewi_net_cc_set_smss(struct net_cc *cc, uint32_t smss);

#endif
