/* Making a channel, before and after it has a link. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/channel/channel.h"
#include "transport/context.h"
#include "transport/error.h"
#include "transport/listener.h"
#include "transport/process.h"

static void fill(ew_channel *channel, const struct channel_options *options)
{
    channel->opener = options->opener;
    channel->epoll_fd = channel->note_fd = channel->resume.cancel_fd = -1;
    channel->link = &channel->first_link;
    channel->began_local = options->outbox == REGION_SHARED;
    channel->message_bytes_max = channel->context->message_bytes_max;
    if (options->peer != NULL)
        channel->peer_message_bytes_max = options->peer->message_bytes_max;
    memcpy(channel->instance, options->instance, sizeof(channel->instance));
    memcpy(channel->id, options->id, sizeof(channel->id));
}

/* The words of a channel, as long as they are. */
static int take_names(ew_channel *channel, const struct channel_options *options)
{
    size_t service_bytes = strlen(options->service) + 1;
    size_t protocol_bytes = strlen(options->protocol) + 1;

    channel->peer_address = strdup(options->peer_address);
    channel->service = malloc(service_bytes + protocol_bytes);
    if (channel->peer_address == NULL || channel->service == NULL)
        return EW_EMEMORY;
    channel->protocol = channel->service + service_bytes;
    memcpy(channel->service, options->service, service_bytes);
    memcpy(channel->protocol, options->protocol, protocol_bytes);
    return EW_OK;
}

static void free_words(ew_channel *channel)
{
    free(channel->peer_address);
    free(channel->service);
    free(channel->note);
    free(channel->end_text);
}

int ewi_channel_create(ew_context *context, const struct channel_options *options,
                       ew_channel **out)
{
    ew_channel *channel = aligned_alloc(EWI_CACHE_LINE, sizeof(*channel));
    char error[160];
    int code;

    if (channel == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a channel");
    memset(channel, 0, sizeof(*channel));
    channel->context = context;
    if (take_names(channel, options) != EW_OK) {
        code = ewi_fail(EW_EMEMORY, "no memory for a channel");
        goto fail;
    }
    code = ewi_region_create(&ewi_os_default, &context->budget, options->outbox,
                             context->outbox_bytes, context->pages, &channel->outbox_region, error);
    if (code != EW_OK) {
        ewi_fail(code, "a channel's outbox: %s", error);
        goto fail;
    }
    fill(channel, options);
    channel->outbox = ewi_outbox_init(channel->outbox_region.base, channel->outbox_region.bytes);
    ewi_ring_writer_init(&channel->writer, channel->outbox->ring,
                         ewi_outbox_ring_bytes(channel->outbox_region.bytes), 0);
    channel->record_bytes_max = channel->writer.record_bytes_max;
    ewi_session_init(&channel->session, options->opener, options->id, options->secret,
                     context->inbox_bytes);
    ewi_context_take(context);
    *out = channel;
    return EW_OK;

fail:
    free_words(channel);
    free(channel);
    return code;
}

void ewi_channel_discard(ew_channel *channel)
{
    if (channel->listener != NULL)
        ewi_listener_give_channel(channel->listener);
    ewi_region_release(&ewi_os_default, &channel->outbox_region);
    ewi_region_release(&ewi_os_default, &channel->inbox.region);
    free(channel->partial.bytes);
    ewi_context_give(channel->context);
    free_words(channel);
    free(channel->spare);
    free(channel);
}

void ewi_channel_open(ew_channel *channel)
{
    ewi_region_forget_fd(&ewi_os_default, &channel->outbox_region); /* one descriptor when idle */
    ewi_context_add_channel(channel->context, channel);
}
