#include "shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

enum {
    SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL,
    ERROR_BYTES = 160,
    BLOCK_BYTES = 512, /* of st_blocks, stat(2) */
};

/* ---- budget ---- */

static bool charge(_Atomic uint64_t *used, uint64_t bytes, uint64_t bytes_max)
{
    uint64_t before = atomic_load_explicit(used, memory_order_relaxed); /* B1 counter */

    do { /* never above the limit, not even for a moment: another thread would be refused */
        if (before > bytes_max || bytes > bytes_max - before)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(used, &before, before + bytes,
                                                    memory_order_relaxed,   /* B1 counter */
                                                    memory_order_relaxed)); /* B1 counter */
    return true;
}

static void discharge(struct budget *budget, const struct region *region)
{
    atomic_fetch_sub_explicit(&budget->used, region->bytes, memory_order_relaxed); /* B1 counter */
    if (region->huge && !region->peers)
        atomic_fetch_sub_explicit(&budget->huge_used, region->bytes,
                                  memory_order_relaxed); /* B1 counter */
}

static int over_budget(const struct budget *budget, uint64_t bytes, char error[ERROR_BYTES])
{
    uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed); /* B1 counter */

    snprintf(error, ERROR_BYTES,
             "%llu bytes more would exceed memory_bytes_max: %llu of %llu are in use",
             (unsigned long long)bytes, (unsigned long long)used,
             (unsigned long long)budget->bytes_max);
    return EW_EMEMORY;
}

/* ---- create ---- */

static int open_memfd(const struct ewi_os *os, unsigned flags)
{
    const unsigned base = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = os->memfd_create("eastwest", base | flags | MFD_NOEXEC_SEAL);

    if (fd < 0 && errno == EINVAL) /* a kernel that does not know NOEXEC_SEAL */
        fd = os->memfd_create("eastwest", base | flags);
    return fd;
}

/* Size, real pages, map, seal. errno says what failed; *step which. */
static int fill_memfd(const struct ewi_os *os, struct region *region, const char **step)
{
    off_t bytes = (off_t)region->bytes;

    *step = "ftruncate";
    if (os->ftruncate(region->fd, bytes) != 0)
        return -errno;
    *step = "fallocate";
    if (os->fallocate(region->fd, 0, 0, bytes) != 0) /* I1 */
        return -errno;
    *step = "mmap";
    region->base = os->mmap(NULL, region->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region->fd, 0);
    if (region->base == MAP_FAILED) {
        region->base = NULL;
        return -errno;
    }
    EWI_CRASH_POINT("region.create.before_seal");
    *step = "F_ADD_SEALS";
    if (os->fcntl(region->fd, F_ADD_SEALS, SEALS) != 0) /* I2 */
        return -errno;
    EWI_CRASH_POINT("region.create.after_seal");
    return EW_OK;
}

static void undo(const struct ewi_os *os, struct region *region)
{
    if (region->base != NULL)
        os->munmap(region->base, region->bytes);
    region->base = NULL;
    if (region->fd >= 0)
        os->close(region->fd);
    region->fd = -1;
}

static int try_memfd(const struct ewi_os *os, struct region *region, unsigned flags,
                     const char **step)
{
    int code;

    *step = "memfd_create";
    region->fd = open_memfd(os, flags);
    if (region->fd < 0)
        return -errno;
    code = fill_memfd(os, region, step);
    if (code != EW_OK)
        undo(os, region);
    return code;
}

/* Why huge pages are not even tried, or NULL. A quarter of the free pages stays for others. */
static const char *huge_obstacle(const struct ewi_os *os, const struct budget *budget,
                                 enum region_kind kind, uint64_t bytes, ew_pages pages)
{
    int64_t free_pages;

    if (pages == EW_PAGES_SMALL)
        return "small pages were asked for";
    if (kind == REGION_PRIVATE)
        return "no peer maps it";
    if (!budget->huge_sealable)
        return "this kernel does not enforce seals on huge pages";
    free_pages = os->huge_pages_free();
    if (free_pages < 0)
        return "no pool of 2 MiB pages";
    if (free_pages == 0)
        return "no huge page is free";
    if (pages == EW_PAGES_AUTO && (uint64_t)free_pages / 4 * 3 < bytes / REGION_HUGE_BYTES)
        return "the last quarter of the free huge pages is left to others";
    return NULL;
}

static int try_huge(const struct ewi_os *os, struct budget *budget, enum region_kind kind,
                    uint64_t bytes, ew_pages pages, struct region *region)
{
    const char *step = NULL;
    const char *obstacle;
    uint64_t huge_bytes = ewi_align_up(bytes, REGION_HUGE_BYTES);
    int code;

    obstacle = huge_obstacle(os, budget, kind, huge_bytes, pages);
    if (obstacle == NULL && !charge(&budget->huge_used, huge_bytes, budget->huge_bytes_max))
        obstacle = "the context's huge_bytes_max is used up";
    if (obstacle != NULL) {
        snprintf(region->why, sizeof(region->why), "4 KiB pages: %s", obstacle);
        return EW_EMEMORY;
    }
    region->bytes = huge_bytes;
    code = EW_EMEMORY;
    if (charge(&budget->used, huge_bytes, budget->bytes_max)) {
        code = try_memfd(os, region, MFD_HUGETLB | MFD_HUGE_2MB, &step);
        if (code == EW_OK) {
            region->huge = true;
            snprintf(region->why, sizeof(region->why), "2 MiB pages");
            return EW_OK;
        }
        atomic_fetch_sub_explicit(&budget->used, huge_bytes, memory_order_relaxed); /* B1 counter */
    }
    atomic_fetch_sub_explicit(&budget->huge_used, huge_bytes, memory_order_relaxed); /* B1 counter */
    if (code == EW_EMEMORY)
        snprintf(region->why, sizeof(region->why), "4 KiB pages: 2 MiB exceed memory_bytes_max");
    else
        snprintf(region->why, sizeof(region->why), "4 KiB pages: %s of a huge page: %s", step,
                 strerror(-code));
    return code;
}

static int try_small(const struct ewi_os *os, struct budget *budget, enum region_kind kind,
                     uint64_t bytes, struct region *region, char error[ERROR_BYTES])
{
    const char *step = "mmap";
    int code = EW_OK;

    region->bytes = bytes;
    if (!charge(&budget->used, bytes, budget->bytes_max))
        return over_budget(budget, bytes, error);
    if (kind == REGION_SHARED) {
        code = try_memfd(os, region, 0, &step);
    } else {
        region->base = os->mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                -1, 0);
        if (region->base == MAP_FAILED)
            code = -errno;
    }
    if (code == EW_OK)
        return EW_OK;
    region->base = NULL;
    atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed); /* B1 counter */
    snprintf(error, ERROR_BYTES, "memory of %llu bytes: %s: %s", (unsigned long long)bytes, step,
             strerror(-code));
    return code == -ENOMEM || code == -ENOSPC ? EW_EMEMORY : code;
}

int ewi_region_create(const struct ewi_os *os, struct budget *budget, enum region_kind kind,
                      uint64_t bytes, ew_pages pages, struct region *out, char error[ERROR_BYTES])
{
    struct region region = {.fd = -1, .budget = budget};
    int code;

    EWI_ASSERT(bytes > 0 && bytes % 4096 == 0);
    code = try_huge(os, budget, kind, bytes, pages, &region);
    if (code != EW_OK && pages == EW_PAGES_HUGE && kind == REGION_SHARED) {
        snprintf(error, ERROR_BYTES, "pages = \"huge\": %s",
                 region.why + sizeof("4 KiB pages: ") - 1);
        return EW_EMEMORY;
    }
    if (code != EW_OK)
        code = try_small(os, budget, kind, bytes, &region, error);
    if (code != EW_OK)
        return code;
    os->madvise(region.base, region.bytes, MADV_DONTFORK);
    os->madvise(region.base, region.bytes, MADV_DONTDUMP);
    if (!region.huge && region.bytes >= REGION_HUGE_BYTES &&
        os->madvise(region.base, region.bytes, MADV_COLLAPSE) == 0)
        snprintf(region.why, sizeof(region.why), "transparent huge pages");
    *out = region;
    return EW_OK;
}

/* ---- attach ---- */

static int refuse(char error[ERROR_BYTES], const char *what)
{
    snprintf(error, ERROR_BYTES, "the peer's memory is refused: %s", what);
    return EW_EPROTO;
}

static int check_file(const struct ewi_os *os, int fd, uint64_t bytes, bool *huge,
                      char error[ERROR_BYTES])
{
    struct stat facts;
    int seals = os->fcntl(fd, F_GET_SEALS, 0);

    if (seals < 0) /* not a memfd: do not touch it, a page fault there may wait for its owner */
        return refuse(error, "it is not a memfd");
    if ((seals & SEALS) != SEALS)
        return refuse(error, "seals are missing");
    if (os->fstat(fd, &facts) != 0) {
        int code = -errno;

        snprintf(error, ERROR_BYTES, "the peer's memory: fstat: %s", strerror(-code));
        return code;
    }
    if (facts.st_size < 0 || (uint64_t)facts.st_size != bytes)
        return refuse(error, "its size is not the announced one");
    if ((uint64_t)facts.st_blocks * BLOCK_BYTES < bytes)
        return refuse(error, "it has holes");
    *huge = facts.st_blksize >= REGION_HUGE_BYTES;
    return EW_OK;
}

int ewi_region_attach(const struct ewi_os *os, struct budget *budget, int fd, uint64_t bytes,
                      struct region *out, char error[ERROR_BYTES])
{
    struct region region = {.bytes = bytes, .fd = -1, .peers = true, .budget = budget};
    int code = check_file(os, fd, bytes, &region.huge, error);

    if (code != EW_OK)
        return code;
    if (!charge(&budget->used, bytes, budget->bytes_max))
        return over_budget(budget, bytes, error);
    region.base = os->mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (region.base == MAP_FAILED) {
        code = -errno;
        goto fail_charge;
    }
    EWI_CRASH_POINT("region.attach.after_map");
    /* Holes can be hidden from st_blocks (fallocate KEEP_SIZE): make every page present, or fail
     * here and not with SIGBUS later. The seals keep them from being punched out again. */
    if (os->madvise(region.base, bytes, MADV_POPULATE_READ) != 0 &&
        (region.huge || errno != EINVAL)) {
        code = -errno;
        goto fail_map;
    }
    os->madvise(region.base, bytes, MADV_DONTFORK);
    os->madvise(region.base, bytes, MADV_DONTDUMP);
    snprintf(region.why, sizeof(region.why), region.huge ? "2 MiB pages" : "4 KiB pages");
    *out = region;
    return EW_OK;

fail_map:
    os->munmap(region.base, bytes);
fail_charge:
    discharge(budget, &region);
    snprintf(error, ERROR_BYTES, "mapping %llu bytes of the peer: %s", (unsigned long long)bytes,
             strerror(-code));
    return code == -ENOMEM ? EW_EMEMORY : code;
}

void ewi_region_forget_fd(const struct ewi_os *os, struct region *region)
{
    if (region->fd >= 0)
        os->close(region->fd);
    region->fd = -1;
}

void ewi_region_release(const struct ewi_os *os, struct region *region)
{
    if (region->base == NULL)
        return;
    ewi_region_forget_fd(os, region);
    os->munmap(region->base, region->bytes);
    discharge(region->budget, region); /* I3 */
    region->base = NULL;
}

/* ---- probe ---- */

bool ewi_region_probe_huge_seals(const struct ewi_os *os)
{
    void *writable;
    bool enforced = false;
    int fd = open_memfd(os, MFD_HUGETLB | MFD_HUGE_2MB);

    if (fd < 0)
        return false;
    /* NORESERVE and no touch: this takes no page from the pool. */
    if (os->ftruncate(fd, REGION_HUGE_BYTES) == 0 && os->fcntl(fd, F_ADD_SEALS, SEALS) == 0) {
        writable = os->mmap(NULL, REGION_HUGE_BYTES, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_NORESERVE, fd, 0);
        enforced = writable == MAP_FAILED && errno == EPERM;
        if (writable != MAP_FAILED)
            os->munmap(writable, REGION_HUGE_BYTES);
    }
    os->close(fd);
    return enforced;
}
