/* tests/sim/net_users.h - how the applications of a simulation open, are woken, and end.
 *
 * Purpose    Everything about a connection that is not bytes: connect, listen, accept, events,
 *            abort, finish, CLOSED.
 * Shape      pair_open(client node, server node, family, plans) -> two apps; the server's half gets
 *            its stream when accept gives the one with the client's address.
 *            apps_run(limit): until all are closed. apps_settle(): until TIME_WAIT is over too.
 * Owner      as tests/sim/net_apps.h
 * Threads    one
 * Trust      the stacks are under test
 * Errors     SIM_CHECK fails
 * Invariants I1  an event names a stream that is open, or is the CLOSED of a finished one.
 * Ordering   none
 * Source     transport/net/net.h, transport/stack.h
 */
#ifndef TESTS_SIM_NET_USERS_H
#define TESTS_SIM_NET_USERS_H

#include "tests/sim/net_apps.h"
#include "transport/net/whole.h"

enum { SERVER_PORT = 4000 };

/* ---- the end ---- */


/* ---- the beginning ---- */

struct app *app_new(int node, bool is_client, const struct app_plan *plan);
struct stack_addr node_address(int node, int family, uint16_t port);
void app_connect(struct app *app, const struct stack_addr *local);
/* Two ends; the first connects now. */
struct app *pair_open(int client, int server, int family, uint16_t port,
                      const struct app_plan *plan, const struct app_plan *answer);
ewi_stream app_listen(int node, int family, uint16_t port, uint32_t backlog);

/* ---- all of them ---- */

void apps_begin(uint64_t seed);
void apps_run(uint64_t limit);
/* Close the listeners, let TIME_WAIT pass, and see that nothing is left. */
void apps_settle(void);
void apps_end(void);

#endif
