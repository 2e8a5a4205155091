#include "shm/record.h"

enum { EXT_HEAD_BYTES = 4, EXT_MANDATORY = 0x80 };

static uint32_t load_u16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

int ewi_record_skip_ext(const uint8_t *payload, uint32_t payload_bytes, uint32_t *skip)
{
    uint32_t block, at = EXT_HEAD_BYTES;

    if (payload_bytes < EXT_HEAD_BYTES)
        return EW_EPROTO;
    block = load_u16(payload);
    if (block < EXT_HEAD_BYTES || block % RECORD_ALIGN != 0 || block > payload_bytes)
        return EW_EPROTO;
    while (block - at >= EXT_HEAD_BYTES) {
        uint32_t value_bytes = load_u16(payload + at + 2);

        if (payload[at] & EXT_MANDATORY) /* we know no extension yet */
            return EW_EPROTO;
        if (value_bytes > block - at - EXT_HEAD_BYTES)
            return EW_EPROTO;
        at += EXT_HEAD_BYTES + (uint32_t)ewi_align_up(value_bytes, EXT_HEAD_BYTES);
        if (at > block)
            return EW_EPROTO;
    }
    *skip = block;
    return EW_OK;
}
