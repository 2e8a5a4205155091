#include "transport/net/dupack.h"

void ewi_net_dupack_init(struct net_dupack *dupack, uint64_t iss)
{
    *dupack = (struct net_dupack){.recover = iss};
}

static enum net_dupack_verdict duplicate(struct net_dupack *dupack, uint64_t nxt,
                                         uint64_t position)
{
    if (dupack->in_recovery)
        return NET_DUPACK_INFLATE;
    if (dupack->duplicates < NET_DUPACK_THRESH)
        dupack->duplicates += 1;
    if (dupack->duplicates < NET_DUPACK_THRESH)
        return NET_DUPACK_LIMITED;
    /* RFC 6582 section 3.2 step 2: these may be duplicates of what a timeout sent again. */
    if (position <= dupack->recover)
        return NET_DUPACK_NOTHING;
    dupack->recover = nxt;
    dupack->in_recovery = true;
    dupack->had_partial = false;
    return NET_DUPACK_ENTER;
}

static enum net_dupack_verdict advance(struct net_dupack *dupack, uint64_t position)
{
    bool was_in_recovery = dupack->in_recovery, is_first = !dupack->had_partial;

    dupack->duplicates = 0;
    if (!was_in_recovery)
        return NET_DUPACK_NOTHING;
    if (position >= dupack->recover) { /* step 3, full acknowledgment */
        dupack->in_recovery = false;
        return NET_DUPACK_FULL;
    }
    dupack->had_partial = true; /* step 3: only the first one restarts the timer */
    return is_first ? NET_DUPACK_PARTIAL_FIRST : NET_DUPACK_PARTIAL;
}

enum net_dupack_verdict ewi_net_dupack_ack(struct net_dupack *dupack, uint64_t una, uint64_t nxt,
                                           uint64_t position, bool is_duplicate)
{
    if (position > una)
        return advance(dupack, position);
    return is_duplicate ? duplicate(dupack, nxt, position) : NET_DUPACK_NOTHING;
}

void ewi_net_dupack_timeout(struct net_dupack *dupack, uint64_t nxt)
{
    dupack->recover = nxt;
    dupack->in_recovery = false;
    dupack->duplicates = 0;
}
