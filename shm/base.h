/* shm/base.h - what every file of ours may use: assertion, alignment, little helpers.
 *
 * Purpose    One definition of the cache line, of "must never happen" and of bounded arithmetic.
 * Shape      static inline functions; EWI_ASSERT is the only macro with code in it.
 * Owner      none
 * Threads    any
 * Trust      none of the arguments come from outside
 * Errors     EWI_ASSERT aborts: for errors of the programmer, never of the peer.
 * Invariants I1  two objects on different EWI_CACHE_LINE multiples never share a line, nor the
 *                pair of lines that x86 prefetches together.
 * Ordering   none
 * Source     Intel 64 and IA-32 Optimization Reference Manual, section 2.1.5.4 (spatial prefetcher)
 */
#ifndef EWI_SHM_BASE_H
#define EWI_SHM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bindings/c/eastwest.h"

enum { EWI_CACHE_LINE = 128 };

_Noreturn void ewi_assert_failed(const char *file, int line, const char *what);

#define EWI_ASSERT(condition)                                                                      \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0))                                                     \
            ewi_assert_failed(__FILE__, __LINE__, #condition);                                     \
    } while (0)

/* A place where the crash suite kills the process; nothing in a product build. */
#ifdef EWI_CRASH_POINTS
void ewi_crash_point(const char *label);
#define EWI_CRASH_POINT(label) ewi_crash_point(label)
#else
#define EWI_CRASH_POINT(label) ((void)0)
#endif

static inline uint32_t ewi_min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static inline uint32_t ewi_max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static inline uint64_t ewi_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t ewi_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Round up to a multiple of unit, a power of two; value + unit must not overflow. */
static inline uint64_t ewi_align_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) & ~(unit - 1);
}

/* Tell the core that this is a spin loop: it saves power and leaves at full speed. */
static inline void ewi_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

#endif
