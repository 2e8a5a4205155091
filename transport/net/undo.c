#include "transport/net/undo.h"

static bool before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* ------------------------------------------------------------------ a reduction */

/* A timeout during recovery arms anew: the loss that began recovery may still be one. */
void ewi_net_undo_arm(struct net_undo *undo, const struct net_cc *cc, uint32_t una, uint32_t nxt,
                      bool again)
{
    if (again && undo->armed)
        return;
    *undo = (struct net_undo){
        .saved = *cc, .una = una, .end = nxt, .dsack_end = una, .armed = true};
}

/* RFC 3522 3.2 step 2: the timestamp of the first retransmission. */
void ewi_net_undo_on_retransmit(struct net_undo *undo, uint32_t bytes, bool timestamps,
                                uint32_t tsval)
{
    if (!undo->armed)
        return;
    if (timestamps && undo->retransmitted == 0) {
        undo->tsval = tsval;
        undo->has_tsval = true;
    }
    undo->retransmitted =
        (uint32_t)ewi_min_u64((uint64_t)undo->retransmitted + bytes, UINT32_MAX);
}

/* RFC 3522 3.2 steps 4, 5: the first acceptable ACK decides, once. An echo from before the
 * retransmission: the original arrived. The same tick proves nothing. */
bool ewi_net_undo_on_ack(struct net_undo *undo, uint32_t una, bool timestamps, uint32_t tsecr)
{
    if (!undo->armed || !undo->has_tsval || !before(undo->una, una))
        return false;
    undo->has_tsval = false;
    return timestamps && before(tsecr, undo->tsval);
}

/* RFC 3708 2 (a), (b). Ranges come in the order of the retransmissions; one that goes back is a
 * repetition, or reordered, and then it is not counted: no undo, no harm. */
bool ewi_net_undo_on_dsack(struct net_undo *undo, uint32_t start, uint32_t end)
{
    if (!undo->armed)
        return false;
    if (before(start, undo->dsack_end) || !before(start, end) || before(undo->end, end))
        return false;
    if (end - start > undo->retransmitted - undo->dsacked) /* more than was sent twice */
        return false;
    undo->dsacked += end - start;
    undo->dsack_end = end;
    return undo->dsacked == undo->retransmitted;
}

bool ewi_net_undo_apply(struct net_undo *undo, struct net_cc *cc)
{
    if (!undo->armed)
        return false;
    undo->armed = false;
    return ewi_net_cc_undo(cc, &undo->saved);
}

void ewi_net_undo_drop(struct net_undo *undo)
{
    undo->armed = false;
}

/* RFC 4015 3: FlightSize + min(bytes_acked, IW). */
uint32_t ewi_net_undo_burst(uint32_t flight, uint32_t acked, uint32_t smss)
{
    uint64_t more = ewi_min_u64(acked, ewi_net_cc_initial_window(smss));

    return (uint32_t)ewi_min_u64(flight + more, NET_CC_WINDOW_MAX);
}

/* ------------------------------------------------------------------ F-RTO */

/* RFC 5682 2.1 step 1 */
void ewi_net_frto_begin(struct net_frto *frto, uint32_t snd_max, uint32_t resent_end, bool allowed)
{
    *frto = (struct net_frto){.recover = snd_max,
                              .resent_end = resent_end,
                              .step = allowed ? NET_FRTO_FIRST : NET_FRTO_OFF};
}

static enum net_frto_verdict decide(struct net_frto *frto, enum net_frto_verdict verdict)
{
    frto->step = NET_FRTO_OFF;
    return verdict;
}

/* RFC 5682 2.1 step 2: (a) a duplicate, less than the retransmission, or everything: as usual.
 * (b) else look what new data does; there has to be some. */
static enum net_frto_verdict first_ack(struct net_frto *frto, const struct net_frto_ack *ack)
{
    if (ack->duplicate)
        return decide(frto, NET_FRTO_LOST);
    if (!ack->advanced) /* a window update, or old */
        return NET_FRTO_NONE;
    if (!before(ack->una, frto->recover) || before(ack->una, frto->resent_end))
        return decide(frto, NET_FRTO_LOST);
    if (!ack->can_send_new)
        return decide(frto, NET_FRTO_LOST);
    frto->step = NET_FRTO_SECOND;
    return NET_FRTO_SEND_NEW;
}

/* RFC 5682 3.1 step 3: only an ACK for what was never sent again proves it. */
static enum net_frto_verdict second_ack_sack(struct net_frto *frto, const struct net_frto_ack *ack)
{
    if (ack->original)
        return decide(frto, NET_FRTO_SPURIOUS);
    if (ack->above)
        return decide(frto, NET_FRTO_LOST_LATE);
    return NET_FRTO_NONE;
}

/* RFC 5682 2.1 step 3 */
static enum net_frto_verdict second_ack(struct net_frto *frto, const struct net_frto_ack *ack)
{
    if (ack->sack)
        return second_ack_sack(frto, ack);
    if (ack->duplicate)
        return decide(frto, NET_FRTO_LOST_LATE);
    if (ack->advanced)
        return decide(frto, NET_FRTO_SPURIOUS);
    return NET_FRTO_NONE;
}

enum net_frto_verdict ewi_net_frto_on_ack(struct net_frto *frto, const struct net_frto_ack *ack)
{
    switch (frto->step) {
    case NET_FRTO_FIRST:
        return first_ack(frto, ack);
    case NET_FRTO_SECOND:
        return second_ack(frto, ack);
    default:
        return NET_FRTO_NONE;
    }
}
