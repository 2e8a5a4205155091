/* The lines of a script, one after the other. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/pkt/pkt_script.h"

struct when {
    bool given;
    uint64_t low, high; /* absolute, ns */
};

/* +10ms  +10ms..20ms  @1.5s */
static struct when read_when(struct pkt_words *words)
{
    const char *word = pkt_peek(words);
    uint64_t base = pkt_world.now;
    struct pkt_range range;

    if (word == NULL || (word[0] != '+' && word[0] != '@'))
        return (struct when){false, base, base + PKT_LATE};
    if (word[0] == '@')
        base = PKT_START;
    range = pkt_range(word + 1);
    words->at++;
    if (base + (uint64_t)range.low < pkt_world.now)
        pkt_fail("script: %s is in the past", word);
    return (struct when){true, base + (uint64_t)range.low, base + (uint64_t)range.high + PKT_LATE};
}

static void wait_for(const struct when *when)
{
    if (!when->given || when->low == pkt_world.now)
        return;
    pkt_no_frames(", before time goes on");
    pkt_advance(when->low, true);
    pkt_no_frames("");
}

struct loop {
    const char *from; /* NULL: none */
    int line;
    int64_t left;
};

/* ------------------------------------------------------------------ segments */

static void describe_frame(struct pkt_flow *flow, const struct pkt_frame *frame, char *out,
                           size_t room)
{
    struct pkt_packet packet;

    pkt_parse(frame->data, frame->bytes, &packet);
    pkt_describe(flow, &packet, true, out, room);
}

/* NULL: it is there and matches. */
static const char *next_matches(struct pkt_flow *flow, const struct pkt_spec *spec,
                                const struct when *when)
{
    static char why[700];
    struct pkt_packet packet;
    struct pkt_frame *frame;
    const char *differs;
    char text[256];

    if (flow->first == NULL)
        pkt_advance(when->high, true);
    frame = flow->first;
    if (frame == NULL)
        return "nothing came in time";
    pkt_parse(frame->data, frame->bytes, &packet);
    differs = pkt_mismatch(flow, spec, &packet);
    if (differs == NULL && frame->at < when->low)
        differs = "too early";
    if (differs == NULL && frame->at > when->high)
        differs = "too late";
    if (differs == NULL)
        return NULL;
    describe_frame(flow, frame, text, sizeof(text));
    snprintf(why, sizeof(why), "%s\n  came, %+.3f ms after the earliest time: %s", differs,
             ((double)frame->at - (double)when->low) / 1e6, text);
    return why;
}

enum demand { MUST, MAY, OR }; /* OR: the line above did not match and this one may */

static struct {
    bool follows;  /* the next line begins with `or` */
    bool missed;   /* the line above did not match */
    struct when when;
} either;

static void expect_segment(struct pkt_flow *flow, struct pkt_words *words, struct when when,
                           enum demand demand)
{
    struct pkt_spec spec;
    const char *differs;

    pkt_spec_read(words, &spec);
    if (demand == OR && !either.missed)
        return;
    if (demand == OR && !when.given)
        when = either.when;
    either.missed = false;
    for (int i = 0; i < spec.repeat; i++) {
        differs = next_matches(flow, &spec, &when);
        if (differs != NULL && demand == MAY)
            return;
        if (differs != NULL && i == 0 && either.follows) {
            either.missed = true;
            either.when = when;
            return;
        }
        if (differs != NULL)
            pkt_fail("%s", differs);
        pkt_frame_take(flow);
        spec.sequence.value += spec.length;
    }
}

static void inject_segment(struct pkt_flow *flow, struct pkt_words *words)
{
    uint8_t packet[PKT_ROOM];
    struct pkt_packet parsed;
    struct pkt_spec spec;
    char text[256];

    pkt_spec_read(words, &spec);
    for (int i = 0; i < spec.repeat; i++) {
        uint32_t length = pkt_make(flow, &spec, packet);

        if (pkt_parse(packet, length, &parsed) == NULL) {
            pkt_describe(flow, &parsed, false, text, sizeof(text));
            pkt_log("%s", text);
        } else {
            pkt_log("< a malformed packet of %u bytes", length);
        }
        pkt_inject(packet, length);
        spec.sequence.value += spec.length;
    }
}

/* ------------------------------------------------------------------ ICMP */

static const struct pkt_frame *sent_with(const struct pkt_flow *flow, uint32_t sequence)
{
    const struct pkt_frame *frame;
    struct pkt_packet packet;

    for (frame = flow->history; frame != NULL; frame = frame->next)
        if (pkt_parse(frame->data, frame->bytes, &packet) == NULL &&
            packet.sequence - flow->stack_iss == sequence)
            return frame;
    return NULL;
}

static enum pkt_icmp read_icmp(const char *word)
{
    static const struct pkt_name kinds[] = {
        {"net", PKT_ICMP_NET}, {"host", PKT_ICMP_HOST}, {"port", PKT_ICMP_PORT},
        {"protocol", PKT_ICMP_PROTOCOL}, {"prohibited", PKT_ICMP_PROHIBITED},
        {"too_big", PKT_ICMP_TOO_BIG}, {"time", PKT_ICMP_TIME}, {"parameter", PKT_ICMP_PARAMETER},
        {"quench", PKT_ICMP_QUENCH}, {NULL, 0},
    };
    int64_t kind;

    if (!pkt_lookup(kinds, word, &kind))
        pkt_fail("script: '%s' is no ICMP error", word);
    return (enum pkt_icmp)kind;
}

/* < icmp KIND [mss N | mtu N] quoting SEQ [forged] [to PORT] [bytes N] */
static void inject_icmp(struct pkt_flow *flow, struct pkt_words *words)
{
    enum pkt_icmp kind = read_icmp(pkt_next(words, "an ICMP error"));
    uint32_t transport_at = pkt_world.family == 4 ? 20 : 40;
    uint32_t mtu = 0, sequence, quoted_bytes, most = pkt_world.family == 4 ? 28 : 1000;
    uint8_t quoted[PKT_ROOM], out[PKT_ROOM];
    const struct pkt_frame *frame;

    if (pkt_take(words, "mss"))
        mtu = (uint32_t)pkt_number(pkt_next(words, "an MSS")) + transport_at + 20;
    else if (pkt_take(words, "mtu"))
        mtu = (uint32_t)pkt_number(pkt_next(words, "an MTU"));
    if (!pkt_take(words, "quoting"))
        pkt_fail("script: 'quoting' is missing");
    sequence = (uint32_t)pkt_number(pkt_next(words, "a sequence number"));
    frame = sent_with(flow, sequence);
    if (pkt_take(words, "forged")) {
        quoted_bytes = pkt_make_quote(flow, sequence, quoted);
    } else {
        if (frame == NULL)
            pkt_fail("script: the stack sent nothing with number %u", sequence);
        quoted_bytes = frame->bytes;
        memcpy(quoted, frame->data, frame->bytes);
    }
    if (pkt_take(words, "to"))
        pkt_put16(quoted + transport_at + 2, (uint32_t)pkt_number(pkt_next(words, "a port")));
    if (pkt_take(words, "bytes"))
        most = (uint32_t)pkt_number(pkt_next(words, "a number"));
    pkt_log("< icmp kind %d mtu %u quoting %u", kind, mtu, sequence);
    pkt_inject(out, pkt_build_icmp(out, pkt_world.family, pkt_world.peer_address.ip, kind, mtu,
                                   quoted, quoted_bytes < most ? quoted_bytes : most));
}

/* ------------------------------------------------------------------ established */

struct opening {
    char mss[24], sack[16], times[40], scale[24], window[24];
    const char *flags, *rtt;
    bool active, accept;
};

static void line(struct pkt_flow *flow, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void run_line(struct pkt_flow *flow, const char *text);

static void line(struct pkt_flow *flow, const char *format, ...)
{
    char text[PKT_LINE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    run_line(flow, text);
}

static struct opening read_opening(struct pkt_words *words)
{
    struct opening how = {.mss = "mss 1000", .window = "65535", .flags = "S", .rtt = "10ms",
                          .accept = true};

    while (pkt_peek(words) != NULL) {
        if (pkt_take(words, "active"))
            how.active = true;
        else if (pkt_take(words, "passive"))
            how.active = false;
        else if (pkt_take(words, "pending"))
            how.accept = false;
        else if (pkt_take(words, "mss"))
            snprintf(how.mss, sizeof(how.mss), "mss %s", pkt_next(words, "a number"));
        else if (pkt_take(words, "win"))
            snprintf(how.window, sizeof(how.window), "%s", pkt_next(words, "a number"));
        else if (pkt_take(words, "scale"))
            snprintf(how.scale, sizeof(how.scale), ", scale %s", pkt_next(words, "a number"));
        else if (pkt_take(words, "sack"))
            snprintf(how.sack, sizeof(how.sack), ", sack_ok");
        else if (pkt_take(words, "ts"))
            snprintf(how.times, sizeof(how.times), ", ts");
        else if (pkt_take(words, "ecn"))
            how.flags = "SEW";
        else if (pkt_take(words, "rtt"))
            how.rtt = pkt_next(words, "a duration");
        else
            pkt_end(words);
    }
    return how;
}

/* established [active] [pending] [mss N] [win N] [scale N] [sack] [ts] [ecn] [rtt T] */
static void establish(struct pkt_flow *flow, struct pkt_words *words)
{
    struct opening how = read_opening(words);
    const char *reply = how.flags[1] != '\0' ? "SAE" : "SA";

    if (how.active) {
        line(flow, "connect");
        line(flow, "> %s 0", how.flags);
        line(flow, "+%s < %s 0 ack 1 win %s (%s%s%s%s%s)", how.rtt, reply, how.window, how.mss,
             how.sack, how.times, how.times[0] != '\0' ? " now ecr last" : "", how.scale);
        line(flow, "> A 1 ack 1");
    } else {
        if (pkt_world.listener == 0)
            line(flow, "listen");
        line(flow, "< %s 0 win %s (%s%s%s%s%s)", how.flags, how.window, how.mss, how.sack,
             how.times, how.times[0] != '\0' ? " now ecr 0" : "", how.scale);
        line(flow, "> %s 0 ack 1", reply);
        line(flow, "+%s < A 1 ack 1 win %s", how.rtt, how.window);
        if (how.accept)
            line(flow, "accept");
    }
    if (how.active || how.accept)
        line(flow, "expect state ESTABLISHED");
}

/* ------------------------------------------------------------------ lines */

static void set_world(struct pkt_words *words)
{
    const char *name = pkt_next(words, "a name");
    int64_t value = pkt_number(pkt_next(words, "a number"));
    struct net_config *config = &pkt_world.config;
    const struct {
        const char *name;
        uint32_t *number;
    } numbers[] = {
        {"mss", &pkt_world.mss}, {"peer_iss", &pkt_world.peer_iss},
        {"conns_max", &config->conns_max}, {"half_open_max", &config->half_open_max},
        {"time_waits_max", &config->time_waits_max}, {"packets_max", &config->packets_max},
        {"runs_max", &config->runs_max}, {"spans_max", &config->spans_max},
        {"troubles_max", &config->troubles_max}, {"copies_max", &config->copies_max},
    };

    if (pkt_world.net != NULL)
        pkt_fail("script: the world has begun");
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(numbers[i].name, name) == 0) {
            *numbers[i].number = (uint32_t)value;
            return;
        }
    }
    pkt_fail("script: the world has no '%s'", name);
}

/* nothing until +T: silence up to then. */
static void nothing(struct pkt_words *words)
{
    struct when when;

    if (!pkt_take(words, "until"))
        pkt_fail("script: nothing until +T");
    when = read_when(words);
    when.given = true;
    wait_for(&when);
}

/* ignore until +T: whatever is sent up to then counts as expected. */
static void ignore(struct pkt_words *words)
{
    struct when when;

    if (!pkt_take(words, "until"))
        pkt_fail("script: ignore until +T");
    when = read_when(words);
    pkt_advance(when.low, false);
    pkt_forget_frames();
}

static bool before_start(struct pkt_words *words)
{
    if (pkt_take(words, "only")) {
        const char *family = pkt_next(words, "ipv4 or ipv6");

        if (strcmp(family, pkt_world.family == 4 ? "ipv4" : "ipv6") != 0)
            _exit(PKT_EXIT_NOT_HERE);
        return true;
    }
    if (pkt_take(words, "fails")) /* read by the caller: tests/pkt/self */
        return true;
    if (pkt_take(words, "world")) {
        set_world(words);
        return true;
    }
    return false;
}

static void run_event(struct pkt_flow *flow, const char *word, struct pkt_words *words,
                      const struct when *when)
{
    enum demand demand = strcmp(word, "may") == 0 ? MAY : strcmp(word, "or") == 0 ? OR : MUST;

    if (demand != MUST)
        word = pkt_next(words, ">");
    if (strcmp(word, ">") == 0) {
        expect_segment(flow, words, *when, demand);
        return;
    }
    wait_for(when);
    if (strcmp(word, "nothing") == 0) {
        nothing(words);
    } else if (strcmp(word, "ignore") == 0) {
        ignore(words);
    } else if (strcmp(word, "expect") == 0) {
        pkt_expect(flow, words);
    } else if (strcmp(word, "established") == 0) {
        establish(flow, words);
    } else if (strcmp(word, "again") == 0) {
        pkt_flow_again(flow,
                       pkt_peek(words) != NULL ? pkt_number(pkt_next(words, "a number")) : 1000);
    } else {
        pkt_no_frames_of(flow, "");
        ewi_net_tick(pkt_world.net, pkt_world.now); /* calls mean the last time that was given */
        if (strcmp(word, "<") != 0) {
            if (!pkt_call(flow, word, words))
                pkt_fail("script: '%s' is no event", word);
            pkt_pump();
        } else if (pkt_take(words, "icmp")) {
            inject_icmp(flow, words);
        } else {
            inject_segment(flow, words);
        }
    }
    pkt_end(words);
}

static void run_line(struct pkt_flow *flow, const char *text)
{
    struct pkt_words words;
    struct when when;
    const char *word;

    pkt_split(&words, text);
    word = pkt_peek(&words);
    if (word == NULL)
        return;
    if (word[0] >= 'a' && word[0] <= 'z' && word[1] == ':' && word[2] == '\0') {
        flow = pkt_flow(word[0]);
        words.at++;
    }
    if (before_start(&words))
        return;
    pkt_world_start();
    when = read_when(&words);
    word = pkt_peek(&words);
    if (word == NULL) { /* time alone */
        wait_for(&when);
        return;
    }
    words.at++;
    if (strcmp(word, "connect") != 0 && strcmp(word, "established") != 0 &&
        strcmp(word, "set") != 0 && strcmp(word, "expect") != 0)
        pkt_flow_use(flow, false);
    else if (strcmp(word, "established") == 0)
        pkt_flow_use(flow, pkt_peek(&words) != NULL && strcmp(pkt_peek(&words), "active") == 0);
    run_event(flow, word, &words, &when);
}

/* repeat N ... end: the lines between N times. True: the line was one of these two. */
static bool repeats(struct loop *loop, const char *line_text, const char **next)
{
    struct pkt_words words;

    pkt_split(&words, line_text);
    if (pkt_take(&words, "repeat")) {
        if (loop->from != NULL)
            pkt_fail("script: repeat within repeat");
        *loop = (struct loop){*next, pkt_world.line, pkt_number(pkt_next(&words, "a number"))};
        return true;
    }
    if (!pkt_take(&words, "end"))
        return false;
    if (loop->from == NULL)
        pkt_fail("script: end without repeat");
    if (--loop->left > 0) {
        *next = loop->from;
        pkt_world.line = loop->line;
    } else {
        loop->from = NULL;
    }
    return true;
}

void pkt_run(const char *file, const char *text, int family, struct pkt_how how)
{
    char line_text[PKT_LINE_BYTES];
    struct loop loop = {NULL, 0, 0};

    pkt_world_begin(file, family, how);
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");

        *pkt_line_seen = ++pkt_world.line;
        either.follows = strncmp(text + length, "\nor ", 4) == 0;
        if (length >= sizeof(line_text))
            pkt_fail("script: the line is longer than %d bytes", PKT_LINE_BYTES);
        memcpy(line_text, text, length);
        line_text[length] = '\0';
        text += length + (text[length] == '\n');
        if (!repeats(&loop, line_text, &text))
            run_line(pkt_flow('a'), line_text);
    }
    if (loop.from != NULL)
        pkt_fail("script: repeat without end");
    pkt_world_end();
}
