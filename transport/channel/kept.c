#include "transport/channel/kept.h"

#include <stdlib.h>

#include "transport/context.h"

struct channel_kept {
    struct region peers;
    uint32_t uid; /* that is charged for it */
    bool in_use;  /* the channel's reader is on it */
    struct ring_reader reader;
};

void ewi_kept_keep(ew_channel *channel, struct channel_link *old, const struct ring_reader *reader)
{
    struct channel_kept *kept = malloc(sizeof(*kept));

    ewi_kept_drop(channel);
    if (kept == NULL)
        return;
    *kept = (struct channel_kept){
        .peers = old->local.peers_region, .uid = old->local.uid, .reader = *reader};
    old->local.peers_region = (struct region){.fd = -1}; /* the link is released without it */
    channel->kept = kept;
}

void ewi_kept_look(ew_channel *channel)
{
    const struct channel_kept *kept = channel->kept;

    if (kept != NULL && !kept->in_use && channel->reader.position > kept->reader.position)
        ewi_kept_drop(channel); /* I1 */
}

bool ewi_kept_resort(ew_channel *channel)
{
    struct channel_kept *kept = channel->kept;

    if (kept == NULL || kept->in_use || channel->reader.position != kept->reader.position) /* I1 */
        return false;
    kept->in_use = true;
    channel->reader = kept->reader;
    channel->space_looked = channel->reader.position;
    return true;
}

void ewi_kept_drop(ew_channel *channel)
{
    struct channel_kept *kept = channel->kept;

    if (kept == NULL)
        return;
    channel->kept = NULL;
    ewi_access_discharge(channel->context, kept->uid, kept->peers.bytes);
    ewi_region_release(&ewi_os_default, &kept->peers);
    free(kept);
}
