/* tests/net/peer_words.h - the lines that drive a peer: words, numbers, a table of commands.
 *
 * Purpose    One way to tell tun_peer and stack_peer what to do, on stdin.
 * Shape      A line is a command: its name and words, with a blank between.
 * Owner      the program: one struct lines
 * Threads    one
 * Trust      commands are our own tests': a wrong one ends the program with 2
 * Errors     a word that is wrong, on stderr
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_NET_PEER_WORDS_H
#define TESTS_NET_PEER_WORDS_H

#include "tests/net/peer_streams.h"

enum { LINE_BYTES = 16384, WORDS_MAX = 8 };

struct command {
    const char *name, *text; /* text: the words */
    int words;               /* at least */
    void (*run)(char **words);
};

struct lines {
    char text[LINE_BYTES]; /* of a line that is not complete */
    size_t bytes;
    bool is_ending; /* the end of stdin, or a command set it */
};

_Noreturn void usage(const char *what);
/* NULL: 0. */
uint64_t number(const char *text);
struct stack_addr address(const char *text);
/* Which of the names it is. */
int choice(const char *text, const char *const *names, int count);
/* The stream of this number. */
struct stream *stream_at(struct streams *all, const char *text);

/* stdin does not block from now on. */
void lines_open(void);
/* Runs each complete line that is there. */
void lines_read(struct lines *lines, const struct command *commands, size_t count);

#endif
