/* The pair program: its options, and the lines that are works. See pair.h.
 *
 *     build/dev/bench/pair SYSTEM [NAME=VALUE...]
 *
 * The protocol is that of bench/compare/pair/__init__.py; options beside it: wait=epoll, and those
 * of a system (its file says which). A line that is no work ends it with status 2.
 */
#include <ctype.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "bench/c/pair/pair.h"

enum { LINE_BYTES = 256, BYTES_MAX = 1 << 30, SECONDS_MAX = 3600, SAMPLES_AT_ONCE = 4096,
       IN_FLIGHT_MAX = 1 << 20 };

static const struct pair_system *const systems[] = {
    &pair_line,        &pair_memcpy,      &pair_memcpy2,       &pair_eastwest_shm,
    &pair_eastwest_tcp, &pair_eastwest_dpdk, &pair_unix_stream, &pair_unix_seqpacket,
    &pair_pipe,        &pair_tcp,         &pair_posix_mq,
};
static const char *const wait_names[] = {"adaptive", "spin", "block", "epoll"};
static const char *const work_names[] = {"trip", "paced", "fan", "flow", "window"};
static const char general[] = " wait cores netns links samples folder ";

static struct {
    int core, netns; /* -1: as it is */
} place[2];          /* of client and server */

enum { SYSTEMS = sizeof(systems) / sizeof(systems[0]), WORKS = 4 };

/* ---- arguments ---- */

const char *pair_option(const struct pair *pair, const char *name, const char *otherwise)
{
    for (int i = 0; i < pair->options; i++)
        if (strcmp(pair->option[i].name, name) == 0)
            return pair->option[i].value;
    return otherwise;
}

static const struct pair_system *system_of(const char *name)
{
    char names[LINE_BYTES] = "";

    for (int i = 0; i < SYSTEMS; i++) {
        size_t used = strlen(names);

        if (strcmp(systems[i]->name, name) == 0)
            return systems[i];
        snprintf(names + used, sizeof(names) - used, " %s", systems[i]->name);
    }
    pair_refuse("no system '%s'; there are%s", name, names);
}

static bool is_known(const struct pair_system *system, const char *name)
{
    char word[LINE_BYTES];

    snprintf(word, sizeof(word), " %s ", name);
    if (strchr(name, ' ') == NULL &&
        (strstr(general, word) != NULL || strstr(system->options, word) != NULL))
        return true;
    return strncmp(name, "fabric_", 7) == 0 && strstr(system->options, " fabric_* ") != NULL;
}

static void read_options(struct pair *pair, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        char *value = strchr(arguments[i], '=');

        if (value == NULL)
            pair_refuse("'%s' is not NAME=VALUE", arguments[i]);
        *value++ = '\0';
        if (!is_known(pair->system, arguments[i]))
            pair_refuse("%s has no option '%s'", pair->system->name, arguments[i]);
        if (pair->options == PAIR_OPTIONS_MAX)
            pair_refuse("more than %d options", PAIR_OPTIONS_MAX);
        pair->option[pair->options++] = (struct pair_option){arguments[i], value};
    }
}

unsigned long pair_number(const char *what, const char *text, unsigned long least,
                          unsigned long most)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);

    if (!isdigit((unsigned char)text[0]) || *end != '\0' || number < least || number > most)
        pair_refuse("%s='%s': want a number from %lu to %lu", what, text, least, most);
    return number;
}

/* A side's part of "CLIENT,SERVER", in a buffer of the caller. */
static const char *side_of(const struct pair *pair, const char *name, const char *otherwise,
                           bool is_server, char part[LINE_BYTES])
{
    const char *both = pair_option(pair, name, otherwise), *comma = strchr(both, ',');

    if (*both != '\0' && (comma == NULL || strchr(comma + 1, ',') != NULL))
        pair_refuse("%s='%s': want CLIENT,SERVER", name, both);
    if (*both == '\0' || is_server)
        snprintf(part, LINE_BYTES, "%s", *both == '\0' ? "" : comma + 1);
    else
        snprintf(part, LINE_BYTES, "%.*s", (int)(comma - both), both);
    return part;
}

/* The namespace of the network that a side shall enter, open; -1: it stays where it is. */
static int netns_of(const struct pair *pair, bool is_server)
{
    char part[LINE_BYTES], path[LINE_BYTES + 16];
    int space;

    if (*side_of(pair, "netns", "", is_server, part) == '\0')
        return -1;
    snprintf(path, sizeof(path), "/run/netns/%s", part);
    if ((space = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        pair_refuse("netns='%s': %s", part, strerror(errno));
    return space;
}

/* The core of a side; -1: any. */
static int core_of(const struct pair *pair, bool is_server)
{
    char part[LINE_BYTES];

    if (*side_of(pair, "cores", "0,1", is_server, part) == '\0')
        return -1;
    return (int)pair_number("cores", part, 0, (unsigned long)sysconf(_SC_NPROCESSORS_CONF) - 1);
}

/* What is wrong is refused once, before there are two processes to do it. */
static void apply_options(struct pair *pair)
{
    const char *wait = pair_option(pair, "wait", "adaptive");
    unsigned long links = pair_number("links", pair_option(pair, "links", "1"), 1, PAIR_LINKS_MAX);
    int which = 0;

    while (which < PAIR_WAITS && strcmp(wait, wait_names[which]) != 0)
        which++;
    if (which == PAIR_WAITS)
        pair_refuse("wait='%s': want spin, adaptive, block or epoll", wait);
    pair->wait = (enum pair_wait)which;
    pair->links = (uint32_t)links;
    for (int side = 0; side < 2; side++) {
        place[side].core = core_of(pair, side == 1);
        place[side].netns = netns_of(pair, side == 1);
    }
}

static void take_place(const struct pair *pair)
{
    const int core = place[pair->duo.is_peer].core, netns = place[pair->duo.is_peer].netns;
    cpu_set_t one;

    if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0)
        pair_refuse("netns: setns: %s", strerror(errno));
    for (int side = 0; side < 2; side++)
        if (place[side].netns >= 0)
            close(place[side].netns);
    if (core < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)core, &one);
    if (sched_setaffinity(0, sizeof(one), &one) != 0)
        pair_refuse("cores='%d': %s", core, strerror(errno));
}

/* ---- answers: one line of JSON each ---- */

static void say_member(const char *name, const char *text)
{
    printf("\"%s\": \"", name);
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ')
            printf("\\u%04x", (unsigned)*text);
        else
            putchar(*text);
    printf("\"");
}

static void say(const char *name, const char *text, const char *name2, const char *text2,
                const char *detail)
{
    printf("{");
    say_member(name, text);
    if (name2 != NULL) {
        printf(", ");
        say_member(name2, text2);
    }
    if (detail != NULL) {
        printf(", ");
        say_member("detail", detail);
    }
    printf("}\n");
    fflush(stdout);
}

static void say_done(const struct pair_done *done)
{
    printf("{\"count\": %" PRIu64 ", \"ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64
           ", \"switches\": %" PRIu64 "}\n",
           done->count, done->ns, done->spent.cpu_ns, done->spent.switches);
    fflush(stdout);
}

static void write_samples(const struct pair *pair, const char *path)
{
    const double ns_per_tick = duo_ns_per_tick(&pair->duo);
    uint32_t ns[SAMPLES_AT_ONCE];
    FILE *file = fopen(path, "wb");

    if (file == NULL)
        pair_fail("%s: %s", path, strerror(errno));
    for (size_t first = 0; first < pair->samples; first += SAMPLES_AT_ONCE) {
        size_t count = ewi_min_u64(pair->samples - first, SAMPLES_AT_ONCE);

        for (size_t i = 0; i < count; i++) {
            double took = (double)pair->ticks[first + i] * ns_per_tick;

            ns[i] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
        }
        fwrite(ns, sizeof(ns[0]), count, file);
    }
    if (fclose(file) != 0)
        pair_fail("%s: %s", path, strerror(errno));
}

/* ---- works ---- */

static double decimal_of(const char *line, const char *text, double most)
{
    char *end = NULL;
    double number = strtod(text, &end);

    if (end == text || *end != '\0' || !(number > 0 && number <= most))
        pair_refuse("'%s': '%s' is not above 0 and at most %g", line, text, most);
    return number;
}

static struct pair_order order_of(const char *line)
{
    char copy[LINE_BYTES], *word[5] = {NULL}, *rest = NULL;
    struct pair_order order = {.work = PAIR_TRIP};
    const char *more;
    int words = 0;

    snprintf(copy, sizeof(copy), "%s", line);
    for (char *next = strtok_r(copy, " ", &rest); next != NULL && words < 5;
         next = strtok_r(NULL, " ", &rest))
        word[words++] = next;
    while (order.work < PAIR_END && (words == 0 || strcmp(word[0], work_names[order.work]) != 0))
        order.work++;
    if (order.work == PAIR_END)
        pair_refuse("no work '%s'; there are trip, paced, fan, flow, window", line);
    more = order.work == PAIR_PACED ? " RATE" : order.work == PAIR_WINDOW ? " COUNT" : "";
    if (words != (*more != '\0' ? 4 : 3))
        pair_refuse("'%s': want %s BYTES SECONDS%s", line, word[0], more);
    order.bytes = pair_number("BYTES", word[1], 1, BYTES_MAX);
    order.seconds = decimal_of(line, word[2], SECONDS_MAX);
    if (order.work == PAIR_PACED)
        order.rate = decimal_of(line, word[3], 1e9);
    if (order.work == PAIR_WINDOW)
        order.in_flight = pair_number("COUNT", word[3], 1, IN_FLIGHT_MAX);
    return order;
}

/* The client reads, the server is told. */
static bool next_order(struct pair *pair)
{
    char line[LINE_BYTES];

    if (!pair->duo.is_peer) {
        pair->shared->order = (struct pair_order){.work = PAIR_END};
        if (fgets(line, sizeof(line), stdin) != NULL) {
            line[strcspn(line, "\r\n")] = '\0';
            pair->shared->order = order_of(line);
        }
    }
    pair_meet(pair);
    pair->order = pair->shared->order;
    pair_meet(pair); /* the next one may be written */
    return pair->order.work != PAIR_END;
}

static void obey(struct pair *pair)
{
    const char *samples = pair_option(pair, "samples", "");

    while (next_order(pair)) {
        struct pair_done done = {0};
        const char *why;

        pair_watch(pair, work_names[pair->order.work]);
        why = pair_do(pair, &done);
        pair_watch(pair, NULL);
        if (pair->duo.is_peer)
            continue;
        if (why == NULL && *samples != '\0' && pair->samples > 0)
            write_samples(pair, samples);
        if (why != NULL)
            say("cannot", why, NULL, NULL, NULL);
        else
            say_done(&done);
    }
}

/* ---- life ---- */

static const char *opened(struct pair *pair)
{
    const char *why = NULL;

    if ((pair->system->waits & (1u << pair->wait)) == 0)
        why = pair_text("%s does not wait by wait=%s", pair->system->name, wait_names[pair->wait]);
    else if (pair->system->open != NULL)
        why = pair->system->open(pair);
    return pair_agree(pair, why);
}

static void begin(struct pair *pair)
{
    struct rlimit files;

    DUO_CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max; /* some links take several */
    DUO_CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    signal(SIGPIPE, SIG_IGN);
    pair->shared = duo_memory(sizeof(*pair->shared));
    if (pair->system->create != NULL)
        pair->system->create(pair);
    duo_fork(&pair->duo, PAIR_LIFE_S);
    if (pair->duo.is_peer)
        DUO_CHECK(freopen("/dev/null", "r", stdin) != NULL);
    pair_guard(pair);
    take_place(pair);
}

static int end(struct pair *pair)
{
    int status = 0;

    if (!pair->duo.is_peer)
        signal(SIGCHLD, SIG_DFL);
    pair_meet(pair);
    if (pair->system->close != NULL)
        pair->system->close(pair);
    if (!pair->duo.is_peer)
        DUO_CHECK(waitpid(pair->duo.peer, &status, 0) == pair->duo.peer);
    return status == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct pair pair;
    const char *why;

    if (argc < 2)
        pair_refuse("usage: pair SYSTEM [NAME=VALUE...]");
    pair.system = system_of(argv[1]);
    read_options(&pair, argc - 2, argv + 2);
    apply_options(&pair);
    begin(&pair);
    pair_watch(&pair, "opening");
    why = opened(&pair);
    pair_watch(&pair, NULL);
    if (!pair.duo.is_peer) {
        if (why != NULL)
            say("missing", why, "fix", pair.fix != NULL ? pair.fix : "", NULL);
        else
            say("ready", pair.system->name, "version", pair.system->version(), pair.detail);
    }
    if (why == NULL)
        obey(&pair);
    return end(&pair);
}
