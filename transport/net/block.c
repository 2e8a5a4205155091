#include "transport/net/block.h"

static_assert(sizeof(size_t) == 8, "sizes of tables are computed in 64 bits");

void ewi_net_block_layout(struct net_block *block)
{
    *block = (struct net_block){.room = SIZE_MAX, .align = 1};
}

void ewi_net_block_fill(struct net_block *block, void *memory, size_t bytes)
{
    *block = (struct net_block){.memory = memory, .room = bytes, .align = 1};
    block->failed = memory == NULL;
}

static size_t fail(struct net_block *block)
{
    block->failed = true;
    return NET_BLOCK_NONE;
}

static bool is_alignment(size_t align)
{
    return align != 0 && align <= NET_BLOCK_ALIGN_MAX && (align & (align - 1)) == 0;
}

static size_t gap_before(const struct net_block *block, size_t align)
{
    return (0 - block->used) & (align - 1);
}

size_t ewi_net_block_add(struct net_block *block, size_t bytes, size_t align)
{
    size_t gap, offset;

    if (block->failed || bytes == 0 || !is_alignment(align))
        return fail(block);
    if (((uintptr_t)block->memory & (align - 1)) != 0)
        return fail(block);
    gap = gap_before(block, align);
    if (gap > block->room - block->used || bytes > block->room - block->used - gap)
        return fail(block);
    offset = block->used + gap;
    block->used = offset + bytes;
    block->align = align > block->align ? align : block->align;
    return offset;
}

size_t ewi_net_block_array(struct net_block *block, size_t count, size_t each, size_t align)
{
    if (each != 0 && count > SIZE_MAX / each)
        return fail(block);
    return ewi_net_block_add(block, count * each, align);
}

void *ewi_net_block_at(const struct net_block *block, size_t offset)
{
    if (block->memory == NULL || block->failed || offset >= block->used)
        return NULL;
    return block->memory + offset;
}

size_t ewi_net_block_bytes(const struct net_block *block)
{
    if (block->failed)
        return 0;
    return block->used + gap_before(block, block->align); /* 2^64 is 0: refused too */
}
