/* tests/pkt/pkt_words.h - a line of a packet script as words, and words as numbers.
 *
 * Purpose    What every part of the script language needs: words, durations, ranges, failing.
 * Shape      word: what stands between blanks; ( ) [ ] and , are words of their own; # ends a line.
 *            number: 12, -3, 0x1f.  duration: 1.5s 20ms 300us 7ns 2min.
 *            range: N  A..B  >=N  <=N  >N  <N
 * Owner      words point into the line's own memory
 * Threads    one
 * Trust      scripts are ours; a mistake in one ends it with a sentence
 * Errors     pkt_fail() does not return
 * Invariants none
 * Ordering   single threaded
 * Source     tests/pkt/README.md
 */
#ifndef TESTS_PKT_WORDS_H
#define TESTS_PKT_WORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PKT_LINE_BYTES = 512, PKT_WORDS_MAX = 100 };

struct pkt_words {
    char text[PKT_LINE_BYTES * 2];
    char *word[PKT_WORDS_MAX + 1]; /* the last one is NULL */
    int count, at;
};

struct pkt_range {
    int64_t low, high;
};

/* Says where, in which family, why, what was last on the wire; ends the script. */
_Noreturn void pkt_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

void pkt_split(struct pkt_words *words, const char *line);

/* The next word is taken; NULL: there is none. */
static inline const char *pkt_peek(const struct pkt_words *words)
{
    return words->at < words->count ? words->word[words->at] : NULL;
}
const char *pkt_next(struct pkt_words *words, const char *what);
bool pkt_take(struct pkt_words *words, const char *word);
void pkt_end(struct pkt_words *words);

bool pkt_is_number(const char *word);
/* A number, with or without a unit; durations are ns. */
int64_t pkt_number(const char *word);
struct pkt_range pkt_range(const char *word);
bool pkt_in(struct pkt_range range, int64_t value);

struct pkt_name {
    const char *name;
    int64_t value;
};
/* Of a table that ends with a name NULL; false: it has no such name. */
bool pkt_lookup(const struct pkt_name *table, const char *name, int64_t *value);
const char *pkt_name_of(const struct pkt_name *table, int64_t value);
extern const struct pkt_name pkt_errors[];

#endif
