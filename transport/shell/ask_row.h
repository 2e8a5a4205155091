/* transport/shell/ask_row.h - rows of answers, each as one line of JSON.
 *
 * Purpose    What ask.c has copied under the guard, as text.
 * Shape      one function for each kind of row; keys are in docs/reference/control.md
 * Owner      the caller's buffer
 * Threads    one
 * Trust      rows are our own; addresses in them come from the network
 * Errors     what does not fit sets text->full
 * Invariants none
 * Ordering   none
 * Source     transport/control/text.h
 */
#ifndef EWI_TRANSPORT_SHELL_ASK_ROW_H
#define EWI_TRANSPORT_SHELL_ASK_ROW_H

#include "transport/control/text.h"
#include "transport/net/look.h"
#include "transport/shell/shell.h"

struct ask_conn {
    struct net_look_conn look;
    uint64_t age_ns; /* since connect or accept; 0 while nobody has accepted it */
};

struct ask_port {
    struct net_look_port look;
    struct device_facts facts;
    struct device_counts counts;
    bool is_down;
};

void ewi_ask_put_conn(struct text *text, const struct ask_conn *row);
void ewi_ask_put_listener(struct text *text, const struct net_look_listener *row);
void ewi_ask_put_neighbour(struct text *text, const struct net_look_neighbour *row);
void ewi_ask_put_route(struct text *text, const struct net_look_route *row);
void ewi_ask_put_address(struct text *text, const struct net_look_address *row);
void ewi_ask_put_path(struct text *text, const struct net_look_path *row);
void ewi_ask_put_limit(struct text *text, const struct net_look_limit *row);
void ewi_ask_put_port(struct text *text, const struct ask_port *row);

#endif
