#include "shm/bell.h"

#include <sys/socket.h>

void ewi_bell_announce(struct bell *bell, uint32_t wants)
{
    uint32_t word = atomic_load_explicit(bell->mine, memory_order_relaxed); /* S3 */

    while (!atomic_compare_exchange_weak_explicit(bell->mine, &word, (word + BELL_EPOCH) | wants,
                                                  memory_order_relaxed,  /* S3, fenced below */
                                                  memory_order_relaxed)) /* S3 */
        ;
    EWI_CRASH_POINT("bell.announce.after_word");
    atomic_thread_fence(memory_order_seq_cst); /* S1, pairs with S2 */
}

void ewi_bell_retract(struct bell *bell, uint32_t wants)
{
    atomic_fetch_and_explicit(bell->mine, ~wants, memory_order_relaxed); /* S3: a late kick is harmless */
}

void ewi_bell_kick(struct bell *bell)
{
    const char byte = 0;
    uint32_t word = atomic_load_explicit(bell->peers, memory_order_relaxed) & ~(uint32_t)BELL_BITS; /* S3 */
    uint32_t before = atomic_exchange_explicit(&bell->kicked, word | 1, memory_order_relaxed); /* S3 */

    if (before == (word | 1)) /* I2 */
        return;
    atomic_fetch_add_explicit(&bell->kicks, 1, memory_order_relaxed); /* S3: a counter */
    EWI_CRASH_POINT("bell.kick.before_send");
    (void)send(bell->fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}
