#include "transport/kernel/slots.h"

#define WORD_OPEN (UINT64_C(1) << 31)
#define WORD_USERS (WORD_OPEN - 1)

void ewi_slots_init(struct slots *slots, struct slot *memory, uint32_t slots_max)
{
    *slots = (struct slots){.slot = memory, .slots_max = slots_max};
}

static struct slot *take_slot(struct slots *slots)
{
    struct slot *slot;

    if (slots->first_free != 0) {
        slot = &slots->slot[slots->first_free - 1];
        slots->first_free = slot->next;
        return slot;
    }
    if (slots->slots_used == slots->slots_max)
        return NULL;
    return &slots->slot[slots->slots_used++];
}

struct slot *ewi_slots_claim(struct slots *slots)
{
    struct slot *slot;
    uint64_t generation;

    ewi_lock_enter(&slots->lock);
    slot = take_slot(slots);
    if (slot != NULL)
        slots->slots_open += 1;
    ewi_lock_give(&slots->lock);
    if (slot == NULL)
        return NULL;

    generation = (atomic_load_explicit(&slot->word, memory_order_relaxed) >> 32) + 1; /* ours */
    if (generation > UINT32_MAX)
        generation = 1;
    atomic_store_explicit(&slot->word, generation << 32, memory_order_relaxed); /* K2 publishes */
    atomic_store_explicit(&slot->sent, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->fd, -1, memory_order_relaxed);
    atomic_store_explicit(&slot->error, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->is_broken, false, memory_order_relaxed);
    slot->with_reset = false;
    slot->is_silent = false;
    return slot;
}

static ewi_stream handle_of(const struct slots *slots, const struct slot *slot, uint64_t word)
{
    return (word & ~UINT64_C(0xffffffff)) | (uint64_t)(slot - slots->slot);
}

ewi_stream ewi_slots_publish(struct slots *slots, struct slot *slot)
{
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_relaxed); /* ours until K2 */

    atomic_store_explicit(&slot->word, word | WORD_OPEN | 1,
                          memory_order_release); /* K2, pairs with K1 */
    return handle_of(slots, slot, word);
}

struct slot *ewi_slots_enter(struct slots *slots, ewi_stream stream)
{
    uint64_t index = stream & UINT32_MAX;
    struct slot *slot;
    uint64_t word;

    if (index >= slots->slots_max)
        return NULL;
    slot = &slots->slot[index];
    word = atomic_load_explicit(&slot->word, memory_order_relaxed); /* K1 checks it again */
    do {
        if (word >> 32 != stream >> 32 || (word & WORD_OPEN) == 0)
            return NULL;
    } while (!atomic_compare_exchange_weak_explicit(&slot->word, &word, word + 1,
                                                    memory_order_acquire, /* K1, pairs with K2 */
                                                    memory_order_relaxed)); /* K1, not entered */
    return slot;
}

bool ewi_slots_leave(struct slot *slot)
{
    uint64_t before = atomic_fetch_sub_explicit(&slot->word, 1,
                                                memory_order_acq_rel); /* K3, pairs with K3, K4 */

    EWI_ASSERT((before & WORD_USERS) != 0);
    return (before & (WORD_OPEN | WORD_USERS)) == 1;
}

bool ewi_slots_retire(struct slot *slot)
{
    uint64_t before = atomic_fetch_and_explicit(&slot->word, ~WORD_OPEN,
                                                memory_order_relaxed); /* our K3 carries it */

    return (before & WORD_OPEN) != 0;
}

bool ewi_slots_is_alone(struct slot *slot)
{
    /* What a system call of ours just saw another thread do happens before the load: the kernel's
     * lock of the socket orders the two calls. */
    uint64_t word = atomic_load_explicit(&slot->word, memory_order_acquire); /* K4, pairs with K3 */

    return (word & WORD_USERS) == 1;
}

static void free_slot(struct slots *slots, struct slot *slot)
{
    slot->next = slots->first_free;
    slots->first_free = (uint32_t)(slot - slots->slot) + 1;
    slots->slots_open -= 1;
}

void ewi_slots_release(struct slots *slots, struct slot *slot)
{
    ewi_lock_enter(&slots->lock);
    if (slot->is_silent) {
        free_slot(slots, slot);
    } else {
        slot->next = slots->first_closed;
        slots->first_closed = (uint32_t)(slot - slots->slot) + 1;
    }
    ewi_lock_give(&slots->lock);
}

bool ewi_slots_next_closed(struct slots *slots, ewi_stream *stream, uint64_t *user)
{
    struct slot *slot = NULL;
    uint64_t word;

    ewi_lock_enter(&slots->lock);
    if (slots->first_closed != 0) {
        slot = &slots->slot[slots->first_closed - 1];
        slots->first_closed = slot->next;
        word = atomic_load_explicit(&slot->word, memory_order_relaxed); /* retired: constant */
        *user = slot->user;
        *stream = handle_of(slots, slot, word);
        free_slot(slots, slot);
    }
    ewi_lock_give(&slots->lock);
    return slot != NULL;
}
