#include "shm/copy.h"

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
