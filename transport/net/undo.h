/* transport/net/undo.h - was it lost, or only late? If late, the window comes back.
 *
 * Purpose    Remember congestion control before a reduction, watch for the signs that nothing was lost
 *            (an echoed timestamp, duplicates reported by SACK, F-RTO), and go back.
 * Shape      struct net_undo: one reduction, from arm to apply or drop. struct net_frto: the two ACKs
 *            after a timeout. Sequence numbers are u32 and wrap; a window is below 2^31.
 * Owner      the connection, while in recovery; plain memory
 * Threads    pure functions
 * Trust      an echo and a DSACK are the peer's word. A DSACK counts only inside what was sent when
 *            the reduction began, and each byte once: a peer cannot undo a loss by repeating itself.
 *            (A peer that lies about what it has can have any window; RFC 3708 7.)
 * Errors     none; what is not a sign is ignored
 * Invariants I1  at most one apply for one arm.
 *            I2  dsacked <= retransmitted, and no byte is counted twice.
 *            I3  with anything retransmitted twice, DSACK never decides (RFC 3708 2): bytes counted
 *                once do not reach the bytes sent.
 * Ordering   single threaded
 * Source     RFC 3522 3.2 (Eifel detection), 4015 3 (response), 3708 2 (DSACK), 5682 2.1, 3.1 (F-RTO)
 */
#ifndef EWI_TRANSPORT_NET_UNDO_H
#define EWI_TRANSPORT_NET_UNDO_H

#include <assert.h>

#include "transport/net/cc.h"

/* ---- a reduction that may have been wrong ---- */

struct net_undo {
    struct net_cc saved;
    uint32_t una, end;      /* SND.UNA and SND.NXT when it was armed */
    uint32_t retransmitted; /* bytes, stops at 2^32 - 1 */
    uint32_t dsacked;       /* of them, reported as duplicates */
    uint32_t dsack_end;     /* the next DSACK has to begin here or later */
    uint32_t tsval;         /* of the first retransmission */
    bool armed;
    bool has_tsval;         /* an echo still decides */
};
static_assert(sizeof(struct net_undo) == 96, "one per connection in recovery");

/* Before congestion control hears of the loss or the timeout. again: a further timeout of the same
 * segment, then what was armed stays: the window and the timestamp from before the first one. */
void ewi_net_undo_arm(struct net_undo *undo, const struct net_cc *cc, uint32_t una, uint32_t nxt,
                      bool again);
/* tsval: of the retransmission; ignored without timestamps. */
void ewi_net_undo_on_retransmit(struct net_undo *undo, uint32_t bytes, bool timestamps,
                                uint32_t tsval);
/* An acceptable ACK moved SND.UNA to una. True: it answers what was sent before the retransmission. */
bool ewi_net_undo_on_ack(struct net_undo *undo, uint32_t una, bool timestamps, uint32_t tsecr);
/* The peer got start .. end twice. True: every byte that was retransmitted was a duplicate. */
bool ewi_net_undo_on_dsack(struct net_undo *undo, uint32_t start, uint32_t end);
/* Back to what was saved. False: nothing is armed, nothing changed. */
bool ewi_net_undo_apply(struct net_undo *undo, struct net_cc *cc);
void ewi_net_undo_drop(struct net_undo *undo);
/* RFC 4015 3: what may be in flight right after a spurious timeout, lest the whole window leaves in
 * one burst. flight, acked: after and by the ACK that told. */
uint32_t ewi_net_undo_burst(uint32_t flight, uint32_t acked, uint32_t smss);

/* ---- F-RTO ---- */

enum net_frto_step { NET_FRTO_OFF, NET_FRTO_FIRST, NET_FRTO_SECOND };
enum net_frto_verdict {
    NET_FRTO_NONE,     /* not asked, or not decided yet */
    NET_FRTO_SEND_NEW, /* send up to two segments that were never sent, retransmit nothing */
    NET_FRTO_LOST,     /* it was lost: retransmit in slow start */
    NET_FRTO_LOST_LATE, /* ... after new data was sent: cwnd at most three segments first */
    NET_FRTO_SPURIOUS  /* the timeout came too early: nothing needs to be sent again */
};

struct net_frto {
    uint32_t recover;     /* SND.MAX at the timeout */
    uint32_t resent_end;  /* end of the segment that was sent again */
    uint8_t step;         /* enum net_frto_step */
};

struct net_frto_ack {
    uint32_t una;         /* SND.UNA after this ACK */
    bool advanced;        /* it moved */
    bool duplicate;       /* it did not, and the ACK is a duplicate (RFC 5681 2) or brought SACK news */
    bool sack;            /* SACK is in use */
    bool original;        /* SACK: newly acknowledged, in sum or selectively, data below recover that
                           * was never sent again */
    bool above;           /* SACK: newly acknowledged data at or above recover */
    bool can_send_new;    /* there is unsent data, and the peer's window has room for it */
};

/* A timeout sent the first segment again. allowed: not for the same segment as the last timeout, and
 * not with SND.UNA at or below an earlier recover. */
void ewi_net_frto_begin(struct net_frto *frto, uint32_t snd_max, uint32_t resent_end, bool allowed);
enum net_frto_verdict ewi_net_frto_on_ack(struct net_frto *frto, const struct net_frto_ack *ack);

#endif
