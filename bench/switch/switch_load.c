/* bench/switch/switch_load.c - one thread sends messages from one device of this host to another.
 *
 *   switch_load channels|frames DEVICE DEVICE [plugin=PATH] [core=0] [samples=PATH]
 *
 * Speaks as the pair programs do (bench/compare/pair/__init__.py): a line of JSON when it is there,
 * then an answer to each line of stdin, `trip BYTES SECONDS` or `flow BYTES SECONDS`. Both ends are
 * this one thread, on core `core`. `lost`: frames that did not come.
 */
#include <sys/resource.h>

#include "bench/switch/load.h"

enum {
    LIFE_S = 3600,
    SAMPLES_MAX = 1 << 20,
    LOOKS = 1024,    /* between two looks at the clock, while nothing comes ... */
    LOOK_NS = 10000, /* ... each of them for so long at most */
};

#define LOST_NS UINT64_C(50000000) /* a frame that takes so long does not come */
#define DEAD_NS UINT64_C(10000000000)

static const struct load_kind *const kinds[] = {&load_channels, &load_frames};

static struct {
    const struct load_kind *kind;
    const char *samples_path;
    uint64_t count, lost;
    uint32_t stamp;
    uint32_t *samples;
    uint8_t message[LOAD_BYTES_MAX];
} load;

/* ---- works ---- */

/* What is under way counts no more. */
static void next_stamp(void)
{
    load.stamp += 1;
    memcpy(load.message, &load.stamp, LOAD_STAMP_BYTES);
}

static void lose(uint64_t count)
{
    DUO_CHECK(load.kind->may_lose);
    load.lost += count;
    next_stamp();
}

static void put_one(int end, uint32_t bytes)
{
    const uint64_t dead = duo_ns() + DEAD_NS;

    while (load.kind->put(end, load.message, bytes, 1) == 0)
        DUO_CHECK(duo_ns() < dead);
}

/* Until something has come, or is lost; whether it came. */
static bool take_one(int end, uint32_t bytes)
{
    uint64_t until = 0;

    for (;;) {
        for (int look = 0; look < LOOKS; look++)
            if (load.kind->take(end, load.message, bytes, 1, LOOK_NS) == 1)
                return true;
        if (until == 0)
            until = duo_ns() + (load.kind->may_lose ? LOST_NS : DEAD_NS);
        if (duo_ns() < until)
            continue;
        lose(1);
        return false;
    }
}

static bool trip_once(uint32_t bytes)
{
    put_one(0, bytes);
    if (!take_one(1, bytes))
        return false;
    put_one(1, bytes);
    return take_one(0, bytes);
}

static void do_trips(uint32_t bytes, uint64_t until)
{
    const uint64_t dead = until + DEAD_NS;
    uint64_t before = duo_ns(), now;

    do {
        const bool came = trip_once(bytes);

        now = duo_ns();
        DUO_CHECK(now < dead);
        if (!came)
            continue;
        if (load.count < SAMPLES_MAX)
            load.samples[load.count] = (uint32_t)ewi_min_u64(now - before, UINT32_MAX);
        load.count += 1;
        before = now;
    } while (now < until || load.count == 0);
}

static void do_flow(uint32_t bytes, uint64_t until)
{
    uint64_t under_way = 0, moved = duo_ns(), now = moved;

    while (now < until || under_way > 0) {
        const uint64_t window = load.kind->window - ewi_min_u64(under_way, load.kind->window);
        uint32_t put = 0, taken;

        if (now < until && window > 0)
            put = load.kind->put(0, load.message, bytes, (uint32_t)ewi_min_u64(window, LOAD_BATCH));
        under_way += put;
        taken = load.kind->take(1, load.message, bytes, LOAD_BATCH, 0);
        if (put == 0) /* who is refused looks for acknowledgments */
            (void)load.kind->take(0, load.message, bytes, 1, 0);
        DUO_CHECK(taken <= under_way);
        under_way -= taken;
        load.count += taken;
        now = duo_ns();
        if (put + taken > 0)
            moved = now;
        if (now - moved < (load.kind->may_lose ? LOST_NS : DEAD_NS))
            continue;
        lose(under_way);
        under_way = 0;
        moved = now;
    }
}

/* ---- the protocol ---- */

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t switches(void)
{
    struct rusage usage;

    DUO_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

static void leave_samples(void)
{
    const size_t count = (size_t)ewi_min_u64(load.count, SAMPLES_MAX);
    FILE *file = fopen(load.samples_path, "w");

    DUO_CHECK(file != NULL);
    DUO_CHECK(fwrite(load.samples, sizeof(load.samples[0]), count, file) == count);
    DUO_CHECK(fclose(file) == 0);
}

static void say_done(uint64_t began, uint64_t cpu, uint64_t switched)
{
    const uint64_t took = duo_ns() - began;

    printf("{\"count\": %llu, \"ns\": %llu, \"cpu_ns\": %llu, \"switches\": %llu, \"lost\": %llu}\n",
           (unsigned long long)load.count, (unsigned long long)took,
           (unsigned long long)(cpu_ns() - cpu), (unsigned long long)(switches() - switched),
           (unsigned long long)load.lost);
}

static void obey(const char *work, uint32_t bytes, double seconds)
{
    const bool is_trip = strcmp(work, "trip") == 0;

    if ((!is_trip && strcmp(work, "flow") != 0) || bytes < 1 || bytes > load.kind->bytes_max) {
        printf("{\"cannot\": \"%s of %u B; %s takes 1 to %u\"}\n", work, bytes, load.kind->name,
               load.kind->bytes_max);
        return;
    }
    load.count = load.lost = 0;
    next_stamp();
    const uint64_t cpu = cpu_ns(), switched = switches(), began = duo_ns();

    (is_trip ? do_trips : do_flow)(bytes, began + (uint64_t)(seconds * 1e9));
    say_done(began, cpu, switched);
    if (is_trip && load.samples_path != NULL)
        leave_samples();
}

static void obey_all(void)
{
    char line[128], work[16];
    unsigned bytes;
    double seconds;

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (sscanf(line, "%15s %u %lf", work, &bytes, &seconds) == 3)
            obey(work, bytes, seconds);
        else
            printf("{\"cannot\": \"want WORK BYTES SECONDS\"}\n");
        fflush(stdout);
    }
}

static void pin(const char *core)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((unsigned)atoi(core), &set);
    DUO_CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

/* NAME=VALUE's value, if it has this name. */
static const char *value_of(const char *argument, const char *name)
{
    const size_t length = strlen(name);

    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                           : NULL;
}

int main(int argc, char **argv)
{
    const char *core = "0", *value;
    struct load_options options = {.plugin = NULL};

    for (size_t i = 0; argc >= 4 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(argv[1], kinds[i]->name) == 0)
            load.kind = kinds[i];
    if (load.kind == NULL) {
        fprintf(stderr, "usage: switch_load channels|frames DEVICE DEVICE [plugin=PATH] [core=0]\n");
        return 2;
    }
    options.device[0] = argv[2];
    options.device[1] = argv[3];
    for (int i = 4; i < argc; i++) {
        if ((value = value_of(argv[i], "plugin")) != NULL)
            options.plugin = value;
        else if ((value = value_of(argv[i], "core")) != NULL)
            core = value;
        else if ((value = value_of(argv[i], "samples")) != NULL)
            load.samples_path = value;
    }
    alarm(LIFE_S);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(core); /* before a thread is started that inherits it */
    load.samples = calloc(SAMPLES_MAX, sizeof(load.samples[0]));
    DUO_CHECK(load.samples != NULL);
    for (size_t i = 0; i < sizeof(load.message); i++)
        load.message[i] = (uint8_t)i;
    load.kind->open(&options);
    printf("{\"ready\": \"%s\", \"version\": \"%s\", \"detail\": \"one thread\"}\n", load.kind->name,
           ew_version());
    fflush(stdout);
    obey_all();
    load.kind->close();
    return 0;
}
