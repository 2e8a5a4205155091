/* POSIX message queues: two for each link, blocking.
 *
 * A queue has the size of message that it was made with, so each size gets new ones, of as many
 * messages as the machine gives a queue without being asked (msg_default). The client makes them
 * and takes their names away at once; the server opens them by the client's descriptors.
 */
#include <fcntl.h>
#include <mqueue.h>
#include <sys/resource.h>

#include "bench/c/pair/pair.h"

enum { NAME_BYTES = 64, THERE = 0, BACK = 1 };

struct queues {
    mqd_t (*link)[2]; /* THERE: client to server, BACK: the other way */
    size_t bytes;     /* of a message; 0: there are none */
    long messages;
};

static struct queues queues;

static long setting(const char *name)
{
    char path[NAME_BYTES];
    FILE *file;
    long value;

    snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", name);
    file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%ld", &value) != 1)
        value = -1;
    if (file != NULL)
        fclose(file);
    return value;
}

static const char *open_queues(struct pair *pair)
{
    if ((queues.messages = setting("msg_default")) <= 0)
        return "this kernel has no message queues";
    queues.link = calloc(pair->links, sizeof(*queues.link));
    DUO_CHECK(queues.link != NULL);
    snprintf(pair->detail, sizeof(pair->detail), "blocking calls, %ld messages in a queue",
             queues.messages);
    return NULL;
}

static void close_queues(struct pair *pair)
{
    for (uint32_t link = 0; link < pair->links && queues.bytes > 0; link++) {
        mq_close(queues.link[link][THERE]);
        mq_close(queues.link[link][BACK]);
    }
    queues.bytes = 0;
}

/* ---- making ---- */

static const char *refusal(size_t bytes, uint32_t count)
{
    struct rlimit limit;

    DUO_CHECK(getrlimit(RLIMIT_MSGQUEUE, &limit) == 0);
    if (errno == EMFILE)
        return pair_text("after %u queues of %zu B messages RLIMIT_MSGQUEUE, %lu B, is used up",
                         count, bytes, (unsigned long)limit.rlim_cur);
    if (errno == ENOSPC)
        return pair_text("after %u queues queues_max, %ld, is used up", count,
                         setting("queues_max"));
    return pair_text("mq_open: %s", strerror(errno));
}

/* The client's: descriptors, without a name. */
static const char *make(struct pair *pair, size_t bytes)
{
    struct mq_attr attributes = {.mq_maxmsg = queues.messages, .mq_msgsize = (long)bytes};

    for (uint32_t each = 0; each < 2 * pair->links; each++) {
        mqd_t *queue = &queues.link[each / 2][each % 2];
        char name[NAME_BYTES];

        snprintf(name, sizeof(name), "/eastwest-pair-%d-%u", getpid(), each);
        *queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attributes);
        if (*queue == (mqd_t)-1) {
            const char *why = refusal(bytes, each);

            while (each-- > 0)
                mq_close(queues.link[each / 2][each % 2]);
            return why;
        }
        mq_unlink(name);
    }
    return NULL;
}

/* The server's: the same, by the numbers that the client has for them. */
static const char *join(struct pair *pair, const int *theirs)
{
    for (uint32_t each = 0; each < 2 * pair->links; each++) {
        char path[NAME_BYTES];

        snprintf(path, sizeof(path), "/proc/%d/fd/%d", getppid(), theirs[each]);
        if ((queues.link[each / 2][each % 2] = open(path, O_RDWR | O_CLOEXEC)) < 0)
            pair_fail("%s: %s", path, strerror(errno));
    }
    return NULL;
}

static const char *prepare_queues(struct pair *pair, size_t bytes)
{
    int *numbers = (int *)(void *)pair->duo.shared->text;
    const size_t numbers_max = sizeof(pair->duo.shared->text) / sizeof(*numbers);
    const char *why = NULL;
    long most = setting("msgsize_max");

    if (bytes == queues.bytes)
        return NULL;
    if (most < 0 || bytes > (size_t)most)
        return pair_text("a message of %zu B; msgsize_max is %ld", bytes, most);
    if (2 * (size_t)pair->links > numbers_max)
        return pair_text("%u links; there is room for %zu here", pair->links, numbers_max / 2);
    close_queues(pair);
    if (!pair->duo.is_peer && (why = make(pair, bytes)) == NULL)
        memcpy(numbers, queues.link, 2 * pair->links * sizeof(*numbers));
    if ((why = pair_agree(pair, why)) != NULL)
        return why;
    if (pair->duo.is_peer)
        join(pair, numbers);
    queues.bytes = bytes;
    pair_meet(pair);
    return NULL;
}

/* ---- messages ---- */

static void queue_send(struct pair *pair, uint32_t link, const uint8_t *data, size_t bytes)
{
    mqd_t queue = queues.link[link][pair->duo.is_peer ? BACK : THERE];

    while (mq_send(queue, (const char *)data, bytes, 0) != 0)
        DUO_CHECK(errno == EINTR);
}

static void queue_recv(struct pair *pair, uint32_t link, uint8_t *data, size_t bytes)
{
    mqd_t queue = queues.link[link][pair->duo.is_peer ? THERE : BACK];
    ssize_t got;

    while ((got = mq_receive(queue, (char *)data, bytes, NULL)) < 0)
        DUO_CHECK(errno == EINTR);
    DUO_CHECK((size_t)got == bytes);
}

const struct pair_system pair_posix_mq = {
    .name = "posix-mq",
    .options = "",
    .waits = 1u << PAIR_BLOCK,
    .works = UINT32_MAX,
    .version = pair_kernel,
    .open = open_queues,
    .prepare = prepare_queues,
    .send = queue_send,
    .recv = queue_recv,
    .close = close_queues,
};
