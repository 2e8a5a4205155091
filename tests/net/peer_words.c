#include "tests/net/peer_words.h"

#include <fcntl.h>

/* ---- words ---- */

void usage(const char *what)
{
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(2);
}

uint64_t number(const char *text)
{
    char *end;
    uint64_t value = text == NULL ? 0 : strtoull(text, &end, 0);

    if (text != NULL && (*text == '\0' || *end != '\0'))
        usage(text);
    return value;
}

struct stack_addr address(const char *text)
{
    struct stack_addr out;

    if (ewi_addr_parse(text, &out) != EW_OK)
        usage(text);
    return out;
}

int choice(const char *text, const char *const *names, int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    usage(text);
}

struct stream *stream_at(struct streams *all, const char *text)
{
    uint64_t id = number(text);

    if (id >= all->count)
        usage("no such stream");
    return &all->stream[id];
}

/* ---- lines ---- */

void lines_open(void)
{
    fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
}

static void run_line(char *line, const struct command *commands, size_t count)
{
    char *words[WORDS_MAX + 1] = {NULL}, *rest = line;
    int found = 0;

    while (found < WORDS_MAX && (words[found] = strsep(&rest, " ")) != NULL)
        found += words[found][0] != '\0';
    if (found == 0)
        usage("an empty line");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i].name, words[0]) != 0)
            continue;
        if (found - 1 < commands[i].words)
            usage(commands[i].text);
        commands[i].run(words + 1);
        return;
    }
    for (size_t i = 0; i < count; i++)
        fprintf(stderr, "%s %s\n", commands[i].name, commands[i].text);
    usage(words[0]);
}

void lines_read(struct lines *lines, const struct command *commands, size_t count)
{
    ssize_t got = read(STDIN_FILENO, lines->text + lines->bytes, LINE_BYTES - lines->bytes);
    char *end;

    if (got < 0) {
        CHECK(errno == EAGAIN || errno == EINTR);
        return;
    }
    lines->is_ending = lines->is_ending || got == 0;
    lines->bytes += (size_t)got;
    while ((end = memchr(lines->text, '\n', lines->bytes)) != NULL) {
        size_t used = (size_t)(end + 1 - lines->text);

        *end = '\0';
        run_line(lines->text, commands, count);
        lines->bytes -= used;
        memmove(lines->text, lines->text + used, lines->bytes);
    }
    CHECK(lines->bytes < LINE_BYTES);
}
