/* tests/c/region_base.h - what the tests of regions share: what is left, and what a peer may do.
 *
 * Purpose    test_region.c runs anywhere; test_region_huge.c needs free huge pages.
 * Shape      counts of descriptors and mappings; a budget; a child that tries to write
 * Owner      test code only
 * Threads    main thread
 * Trust      none
 * Errors     CHECK
 * Invariants none
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_REGION_BASE_H
#define TESTS_C_REGION_BASE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/region.h"
#include "tests/c/harness.h"

enum { SMALL = 64 * 1024, HUGE = REGION_HUGE_BYTES };

static const struct ewi_os *const os = &ewi_os_default;
static char error[160];

/* ---- what is there, before and after ---- */

struct things {
    int fds, mappings;
};

static inline struct things count_things(void)
{
    struct things things = {0, 0};
    DIR *folder = opendir("/proc/self/fd");
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];

    CHECK(folder != NULL && maps != NULL);
    while (readdir(folder) != NULL)
        things.fds++;
    closedir(folder);
    while (fgets(line, sizeof(line), maps) != NULL)
        things.mappings += strstr(line, "memfd:eastwest") != NULL;
    fclose(maps);
    return things;
}

static inline void check_nothing_left(struct things before, const struct budget *budget)
{
    struct things after = count_things();

    CHECK_EQ(after.fds, before.fds);
    CHECK_EQ(after.mappings, before.mappings);
    CHECK_EQ(atomic_load(&budget->used), 0);
    CHECK_EQ(atomic_load(&budget->huge_used), 0);
}

static inline struct budget budget_of(uint64_t bytes_max, uint64_t huge_bytes_max)
{
    return (struct budget){
        .bytes_max = bytes_max, .huge_bytes_max = huge_bytes_max, .huge_sealable = true};
}

/* A region that must come. */
static inline struct region made(struct budget *budget, enum region_kind kind, uint64_t bytes,
                          ew_pages pages)
{
    struct region region;

    CHECK_EQ(ewi_region_create(os, budget, kind, bytes, pages, &region, error), EW_OK);
    return region;
}

/* ---- what a peer may do with it ---- */

static inline void try_to_write(int fd, const struct region *parents)
{
    const size_t bytes = parents->bytes;
    char path[64];
    struct budget budget = budget_of(bytes, 0);
    struct region region;
    int again;

    CHECK_EQ(count_things().mappings, 0); /* not inherited */
    CHECK(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_EQ(errno, EPERM);
    CHECK_EQ(ewi_region_attach(os, &budget, fd, bytes, &region, error), EW_OK);
    CHECK_EQ(mprotect(region.base, bytes, PROT_READ | PROT_WRITE), -1);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    again = open(path, O_RDWR | O_CLOEXEC); /* a new open file of the same memory */
    if (again >= 0)
        CHECK(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED);
    CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes), -1);
    CHECK_EQ(ftruncate(fd, 0), -1);
    CHECK_EQ(ftruncate(fd, (off_t)bytes * 2), -1);
    CHECK_EQ(pwrite(fd, "x", 1, 0), -1);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    CHECK(madvise(region.base, bytes, MADV_REMOVE) == -1);
    CHECK(((const uint8_t *)region.base)[0] == 42);
    _exit(0);
}

static inline void peers_only_read(ew_pages pages)
{
    struct budget budget = budget_of(1 << 30, 1 << 30);
    struct region region;
    int status;
    pid_t child;

    region = made(&budget, REGION_SHARED, SMALL, pages);
    ((uint8_t *)region.base)[0] = 42;
    child = fork();
    CHECK(child >= 0);
    if (child == 0)
        try_to_write(region.fd, &region);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(((uint8_t *)region.base)[0] == 42);
    ewi_region_release(os, &region);
}

#endif
