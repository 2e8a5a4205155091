/* tests/pkt/pkt_script.h - a script is run: line by line, on the one world of the process.
 *
 * Purpose    Lines to events: time, segments, ICMP, calls, expectations.
 * Shape      pkt_run: the whole script; a line that does not hold ends the process by pkt_fail().
 * Owner      none
 * Threads    one
 * Trust      scripts are ours
 * Errors     pkt_fail()
 * Invariants none
 * Ordering   single threaded
 * Source     tests/pkt/README.md
 */
#ifndef TESTS_PKT_SCRIPT_H
#define TESTS_PKT_SCRIPT_H

#include "tests/pkt/pkt_segment.h"

enum { PKT_EXIT_PASSED = 0, PKT_EXIT_FAILED = 1, PKT_EXIT_NOT_HERE = 3 };

/* Returns when every line held. */
void pkt_run(const char *file, const char *text, int family, struct pkt_how how);

/* pkt_call.c. False: the word is no call. */
bool pkt_call(struct pkt_flow *flow, const char *word, struct pkt_words *words);
/* pkt_expect.c: behind the word `expect`. */
void pkt_expect(struct pkt_flow *flow, struct pkt_words *words);

extern const struct pkt_name pkt_states[], pkt_bits[], pkt_options[];

#endif
