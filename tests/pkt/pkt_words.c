#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pkt/pkt_words.h"

const struct pkt_name pkt_errors[] = {
    {"EAGAIN", EAGAIN},             {"EPIPE", EPIPE},
    {"ECONNRESET", ECONNRESET},     {"ECONNREFUSED", ECONNREFUSED},
    {"ETIMEDOUT", ETIMEDOUT},       {"EHOSTUNREACH", EHOSTUNREACH},
    {"ENETUNREACH", ENETUNREACH},   {"EADDRINUSE", EADDRINUSE},
    {"EADDRNOTAVAIL", EADDRNOTAVAIL}, {"ESTALE", ESTALE},
    {"EINVAL", EINVAL},             {"ENOTCONN", ENOTCONN},
    {"ENOBUFS", ENOBUFS},           {"ENOMEM", ENOMEM},
    {"EMSGSIZE", EMSGSIZE},         {"ECONNABORTED", ECONNABORTED},
    {"EPROTO", EPROTO},             {"ENOTSUP", ENOTSUP},
    {"EISCONN", EISCONN},           {"EACCES", EACCES},
    {"EPERM", EPERM},               {"none", 0},
    {NULL, 0},
};

static bool is_sign(char c)
{
    return c == '(' || c == ')' || c == '[' || c == ']' || c == ',';
}

void pkt_split(struct pkt_words *words, const char *line)
{
    char *to = words->text;

    words->count = words->at = 0;
    while (*line != '\0' && *line != '#' && *line != '\n') {
        if (*line == ' ' || *line == '\t' || *line == '\r') {
            line++;
            continue;
        }
        if (words->count == PKT_WORDS_MAX)
            pkt_fail("more than %d words in a line", PKT_WORDS_MAX);
        words->word[words->count++] = to;
        if (is_sign(*line)) {
            *to++ = *line++;
        } else {
            while (*line != '\0' && strchr(" \t\r\n#", *line) == NULL && !is_sign(*line))
                *to++ = *line++;
        }
        *to++ = '\0';
    }
    words->word[words->count] = NULL;
}

const char *pkt_next(struct pkt_words *words, const char *what)
{
    if (words->at >= words->count)
        pkt_fail("script: the line ends where %s should be", what);
    return words->word[words->at++];
}

bool pkt_take(struct pkt_words *words, const char *word)
{
    const char *next = pkt_peek(words);

    if (next == NULL || strcmp(next, word) != 0)
        return false;
    words->at++;
    return true;
}

void pkt_end(struct pkt_words *words)
{
    const char *next = pkt_peek(words);

    if (next != NULL)
        pkt_fail("script: '%s' is not understood here", next);
}

/* ------------------------------------------------------------------ numbers */

bool pkt_is_number(const char *word)
{
    if (*word == '-' || *word == '+')
        word++;
    return *word >= '0' && *word <= '9';
}

static int64_t one_number(const char *word, const char *end)
{
    static const struct pkt_name units[] = {
        {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"min", 60000000000},
        {"h", 3600000000000}, {NULL, 0},
    };
    char text[64], *unit;
    size_t length = (size_t)(end - word);
    long long whole;
    int64_t scale;
    double number;

    if (length == 0 || length >= sizeof(text) || !pkt_is_number(word))
        pkt_fail("script: '%s' is no number", word);
    memcpy(text, word, length);
    text[length] = '\0';
    whole = strtoll(text, &unit, 0);
    if (*unit == '\0')
        return whole;
    number = strtod(text, &unit);
    if (!pkt_lookup(units, unit, &scale))
        pkt_fail("script: '%s' is no number or duration", text);
    return (int64_t)(number * (double)scale + (number < 0 ? -0.5 : 0.5));
}

int64_t pkt_number(const char *word)
{
    return one_number(word, word + strlen(word));
}

struct pkt_range pkt_range(const char *word)
{
    const char *dots = strstr(word, "..");
    struct pkt_range range = {INT64_MIN, INT64_MAX};

    if (word[0] == '>' || word[0] == '<') {
        int equal = word[1] == '=';
        int64_t value = pkt_number(word + 1 + equal);

        if (word[0] == '>')
            range.low = value + !equal;
        else
            range.high = value - !equal;
        return range;
    }
    if (dots != NULL) {
        range.low = one_number(word, dots);
        range.high = pkt_number(dots + 2);
        return range;
    }
    range.low = range.high = pkt_number(word);
    return range;
}

bool pkt_in(struct pkt_range range, int64_t value)
{
    return range.low <= value && value <= range.high;
}

bool pkt_lookup(const struct pkt_name *table, const char *name, int64_t *value)
{
    for (; table->name != NULL; table++) {
        if (strcmp(table->name, name) == 0) {
            *value = table->value;
            return true;
        }
    }
    return false;
}

const char *pkt_name_of(const struct pkt_name *table, int64_t value)
{
    for (; table->name != NULL; table++)
        if (table->value == value)
            return table->name;
    return "?";
}
