/* How much CPU do two connected processes use that wait for a message, in the default policy?
 *
 *   shm, tcp   each side has a thread in ew_channel_recv without a limit; nothing is sent
 *
 * Value of a round: percent of one CPU, both processes together, threads of the library included,
 * in a window that begins a second after the wait.
 */
#include <pthread.h>
#include <sys/resource.h>

#include "bench/c/duo.h"

static void *receive(void *channel)
{
    uint8_t message[64];
    size_t bytes;

    (void)ew_channel_recv(channel, message, sizeof(message), &bytes, -1, NULL); /* until it ends */
    return NULL;
}

static double cpu_seconds(void)
{
    struct rusage usage;

    DUO_CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

static void measure(struct duo *duo, const char *name, const char *bind, int round)
{
    const unsigned window_s = 2;
    ew_context *context = duo_context(EW_WAIT_ADAPTIVE);
    ew_channel *channel = duo_channel(duo, context, bind);
    pthread_t waiter;
    double before, used;

    DUO_CHECK(pthread_create(&waiter, NULL, receive, channel) == 0);
    sleep(1);
    before = cpu_seconds();
    sleep(window_s);
    used = cpu_seconds() - before;
    atomic_store_explicit(duo->is_peer ? &duo->shared->b.value : &duo->shared->a.value,
                          (uint64_t)(used * 1e9), memory_order_release);
    duo_meet(duo);
    used = (double)(atomic_load_explicit(&duo->shared->a.value, memory_order_acquire) +
                    atomic_load_explicit(&duo->shared->b.value, memory_order_acquire)) *
           1e-9;
    duo_case(duo, name)->value[round] = used / window_s * 100;
    ew_channel_abort(channel);
    DUO_CHECK(pthread_join(waiter, NULL) == 0);
    ew_channel_free(channel);
    ew_context_close(context);
}

int main(int argc, char **argv)
{
    static struct duo duo;

    duo_start(&duo, argc, argv, 3, 1);
    for (int round = 0; round < duo.rounds; round++) {
        measure(&duo, "shm", NULL, round);
        measure(&duo, "tcp", "tcp://127.0.0.1:0", round);
    }
    duo_stop(&duo);
    duo_print(&duo, "idle", "% CPU");
    return 0;
}
