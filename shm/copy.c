#include "shm/copy.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { LINE_BYTES = 64 };

typedef long long vector __attribute__((vector_size(16), aligned(1), may_alias));

void ewi_copy_long(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t head = -(uintptr_t)to % LINE_BYTES;

    memcpy(to, from, head);
    for (to += head, from += head, bytes -= head; bytes >= LINE_BYTES;
         to += LINE_BYTES, from += LINE_BYTES, bytes -= LINE_BYTES) {
        const vector *source = (const vector *)(const void *)from;
        vector *target = (vector *)(void *)to;
        vector a = source[0], b = source[1], c = source[2], d = source[3];

        __builtin_prefetch(from + COPY_AHEAD_BYTES);
        target[0] = a;
        target[1] = b;
        target[2] = c;
        target[3] = d;
    }
    memcpy(to, from, bytes);
}

#if defined(__SSE2__)
void ewi_copy_past(uint8_t *to, const uint8_t *from, size_t bytes)
{
    size_t head = ewi_min_u64(-(uintptr_t)to % LINE_BYTES, bytes);

    memcpy(to, from, head);
    for (to += head, from += head, bytes -= head; bytes >= LINE_BYTES;
         to += LINE_BYTES, from += LINE_BYTES, bytes -= LINE_BYTES) {
        const __m128i *source = (const __m128i *)(const void *)from;
        __m128i *target = (__m128i *)(void *)to;
        __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1);
        __m128i c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);

        __builtin_prefetch(from + COPY_AHEAD_BYTES);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
    _mm_sfence();
    memcpy(to, from, bytes);
}
#else
void ewi_copy_past(uint8_t *to, const uint8_t *from, size_t bytes)
{
    ewi_copy(to, from, bytes);
}
#endif
