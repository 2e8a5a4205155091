/* transport/fabric.h - the stack of a context that is not the kernel's: a port on a fabric network.
 *
 * Purpose    Open the stack of a plug-in with what is configured, and have it again when its device
 *            comes, or comes back; say why it is not there.
 * Shape      text: lines "key=value". network and port are ours, address is read, too; all but network
 *            and port goes to the plug-in.
 *            ABSENT  no plug-in that fits.   CLOSED  the device could not be opened; tried again.
 *            UP      streams can be made.    LOST    it was open, and its port is gone; looked for again,
 *            and opened again where it cannot come back by itself.
 * Owner      the context. The stack stays from its first opening to the end of the context.
 * Threads    open: the application's. lost, find, addresses: any. Each later attempt to open has a
 *            thread of its own (an open takes 150 ms), with a share of the context.
 * Trust      the text is configuration; the plug-in judges its part
 * Errors     EW_EINVAL: the text is wrong, with the reason. A device that is not there is none.
 * Invariants I1  a context is opened, and works over its other paths, whatever the device does.
 *            I2  while it is UP or ABSENT, there is no timer.
 * Ordering   the reactor's lock
 * Source     docs/adr/0018-fabric-stack.md
 */
#ifndef EWI_TRANSPORT_FABRIC_H
#define EWI_TRANSPORT_FABRIC_H

#include "transport/context_stack.h"

enum {
    FABRIC_NETWORK_BYTES = 64,
    FABRIC_ADDRESSES_MAX = 8,
    STREAM_ADDRESS_BYTES = 160, /* "dpdk://", a network, '/', an address */
};

/* text NULL or "": there is none. */
int ewi_fabric_open(ew_context *context, const char *text, const char *plugin);
/* It is not tried again; what is open goes on until the context is gone. */
void ewi_fabric_close(ew_context *context);
void ewi_fabric_free(ew_context *context);
/* A stream or the stack said ENETDOWN. */
void ewi_fabric_lost(struct context_stack *on);
/* To dial on that network; EW_EUNREACHABLE with the reason. */
int ewi_fabric_find(ew_context *context, const char *network, struct context_stack **out);
/* Where its listeners listen: how many, at least one. */
uint32_t ewi_fabric_addresses(ew_context *context, struct stack_addr out[FABRIC_ADDRESSES_MAX]);

/* ---- fabric_text.c ---- */

struct fabric_text {
    char network[FABRIC_NETWORK_BYTES];
    uint16_t port; /* 0: any */
    struct stack_addr addresses[FABRIC_ADDRESSES_MAX];
    uint32_t addresses_count;
    char *rest; /* for the plug-in; to be freed */
    size_t rest_bytes;
};

int ewi_fabric_parse(const char *text, struct fabric_text *out);
/* "dpdk://NETWORK/ADDR:PORT": false, or the network and where ADDR begins. */
bool ewi_fabric_split(const char *address, char network[FABRIC_NETWORK_BYTES], const char **addr);
/* "tcp://ADDR:PORT", or with the context's network. */
void ewi_fabric_format(const struct context_stack *on, const struct stack_addr *addr,
                       char out[STREAM_ADDRESS_BYTES]);

#endif
