/* transport/plugin.h - a stack from a shared object.
 *
 * Purpose    DPDK is never linked by the library: who has it gives the path of a plug-in.
 * Shape      one symbol, "ewi_stack_plugin", a struct stack_plugin (transport/stack.h)
 * Owner      a plug-in stays loaded for the life of the process: threads and exit handlers of what it
 *            links cannot be taken away again
 * Threads    any
 * Trust      the path comes from configuration, and what it names is run: it is loaded by its path, never
 *            searched for
 * Errors     EW_ENOTFOUND, EW_EVERSION, with a text that says what to do
 * Invariants I1  a table that is given back has this library's ABI and every function that it calls.
 * Ordering   none
 * Source     dlopen(3); docs/adr/0018-fabric-stack.md
 */
#ifndef EWI_TRANSPORT_PLUGIN_H
#define EWI_TRANSPORT_PLUGIN_H

#include "transport/stack.h"

/* path NULL: none is installed. */
int ewi_plugin_load(const char *path, const struct stack_plugin **out);

#endif
