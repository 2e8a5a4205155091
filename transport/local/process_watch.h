/* transport/local/process_watch.h - notice the end of a peer's process, whoever holds its sockets.
 *
 * Purpose    A socket does not hang up while a forked child of the dead peer holds it; a pidfd
 *            becomes readable at the death of the process itself.
 * Shape      one pidfd for each peer process of a context, shared by its channels
 * Owner      counted by the links that use it
 * Threads    any, under the reactor's lock
 * Trust      the pidfd comes from the kernel: SO_PEERPIDFD (Linux 6.5), else pidfd_open of the pid
 *            in SO_PEERCRED, which is checked to be alive and unchanged
 * Errors     NULL: no pidfd to be had (older kernel, other pid namespace); the socket must do
 * Invariants I1  when the process ends, all its links go down.
 * Ordering   the reactor's lock
 * Source     pidfd_open(2), socket(7)
 */
#ifndef EWI_TRANSPORT_LOCAL_PROCESS_WATCH_H
#define EWI_TRANSPORT_LOCAL_PROCESS_WATCH_H

#include "transport/context.h"

struct peer_process *ewi_process_watch(ew_context *context, int socket,
                                       const struct local_peer *peer);
/* Under the reactor's lock. */
bool ewi_process_is_dead(const struct peer_process *process);
void ewi_process_unwatch(ew_context *context, struct peer_process *process);

#endif
