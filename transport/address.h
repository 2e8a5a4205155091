/* transport/address.h - dial whatever an address names.
 *
 * Purpose    One place that knows the forms of addresses: "shm:DIRECTORY/SOCKET",
 *            "tcp://ADDR:PORT" and "dpdk://NETWORK/ADDR:PORT".
 * Shape      text
 * Owner      none
 * Threads    any; dialling blocks
 * Trust      the text comes from the application, a file or a registry
 * Errors     EW_EINVAL with the text and the forms that are allowed; those of connect;
 *            EW_EUNREACHABLE: no port on that network, with the reason
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef EWI_TRANSPORT_ADDRESS_H
#define EWI_TRANSPORT_ADDRESS_H

#include "transport/hello.h"

bool ewi_address_is_local(const char *address);
int ewi_address_dial(ew_context *context, const struct dial *wanted, ew_channel **out,
                     ew_query_info *query);

#endif
