/* tests/c/test_region.c - does memory come whole or not at all, and can a peer hurt us with his? */
#include <pthread.h>

#include "tests/c/region_base.h"

enum {
    SEALS_OF_A_PEER = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL,
    POPULATE_READ = 22, /* MADV_POPULATE_READ, Linux 5.14 */
};

/* ---- one call that fails ---- */

enum call { NONE, MEMFD, FTRUNCATE, FALLOCATE, MMAP, ADD_SEALS, GET_SEALS, FSTAT, POPULATE };

static enum call failing;
static int failing_errno;
static int64_t pretended_huge_pages, mappings_open; /* mmap - munmap */

static bool fails(enum call call)
{
    errno = failing_errno;
    return failing == call;
}

/* libc's call, unless it is the one that fails now. */
#define TRY(call, name, parameters, arguments)                                                     \
    static int try_##name parameters                                                               \
    {                                                                                              \
        return fails(call) ? -1 : os->name arguments;                                              \
    }
TRY(MEMFD, memfd_create, (const char *name, unsigned flags), (name, flags))
TRY(FTRUNCATE, ftruncate, (int fd, off_t length), (fd, length))
TRY(FALLOCATE, fallocate, (int fd, int mode, off_t from, off_t length), (fd, mode, from, length))
TRY(FSTAT, fstat, (int fd, struct stat *out), (fd, out))

static void *try_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    void *base = fails(MMAP) ? MAP_FAILED : os->mmap(at, bytes, protection, flags, fd, offset);

    mappings_open += base != MAP_FAILED;
    return base;
}

static int try_munmap(void *at, size_t bytes)
{
    mappings_open--;
    return os->munmap(at, bytes);
}

static int try_madvise(void *at, size_t bytes, int advice)
{
    return advice == POPULATE_READ && fails(POPULATE) ? -1 : os->madvise(at, bytes, advice);
}

static int try_fcntl(int fd, int command, int argument)
{
    if ((command == F_ADD_SEALS && fails(ADD_SEALS)) ||
        (command == F_GET_SEALS && fails(GET_SEALS)))
        return -1;
    return os->fcntl(fd, command, argument);
}

static int64_t try_huge_pages_free(void)
{
    return pretended_huge_pages;
}

static const struct ewi_os failing_os = {
    .memfd_create = try_memfd_create,
    .ftruncate = try_ftruncate,
    .fallocate = try_fallocate,
    .mmap = try_mmap,
    .munmap = try_munmap,
    .madvise = try_madvise,
    .fcntl = try_fcntl,
    .fstat = try_fstat,
    .close = close,
    .huge_pages_free = try_huge_pages_free,
};

static int create_with(enum call call, int number, enum region_kind kind, ew_pages pages)
{
    struct budget budget = budget_of(1 << 30, 1 << 30);
    struct things before = count_things();
    struct region region;
    int code;

    failing = call;
    failing_errno = number;
    mappings_open = 0;
    error[0] = '\0';
    code = ewi_region_create(&failing_os, &budget, kind, SMALL, pages, &region, error);
    failing = NONE;
    CHECK(code < 0 && error[0] != '\0');
    CHECK_EQ(mappings_open, 0);
    check_nothing_left(before, &budget);
    return code;
}

/* ---- create ---- */

static void a_region_is_zero_writable_and_has_its_pages(void)
{
    struct budget budget = budget_of(SMALL, 0);
    struct region region;
    struct stat facts;

    region = made(&budget, REGION_SHARED, SMALL, EW_PAGES_AUTO);
    CHECK_EQ(fstat(region.fd, &facts), 0);
    CHECK(facts.st_size == SMALL && facts.st_blocks * 512 >= SMALL);
    for (int i = 0; i < SMALL; i++)
        CHECK(((uint8_t *)region.base)[i] == 0);
    memset(region.base, 1, SMALL);
    ewi_region_release(os, &region);
}

/* catches: fill_memfd without F_ADD_SEALS */
static void a_regions_descriptor_is_sealed_and_close_on_exec(void)
{
    struct budget budget = budget_of(SMALL, 0);
    struct region region;

    region = made(&budget, REGION_SHARED, SMALL, EW_PAGES_SMALL);
    CHECK_EQ(fcntl(region.fd, F_GET_SEALS) & SEALS_OF_A_PEER, SEALS_OF_A_PEER);
    CHECK_EQ(fcntl(region.fd, F_GETFD), FD_CLOEXEC);
    ewi_region_release(os, &region);
}

static void releasing_twice_gives_back_once(void)
{
    struct budget budget = budget_of(2 * SMALL, 0);
    struct things before = count_things();
    struct region one, two;

    one = made(&budget, REGION_SHARED, SMALL, EW_PAGES_SMALL);
    two = made(&budget, REGION_PRIVATE, SMALL, EW_PAGES_SMALL);
    ewi_region_release(os, &one);
    ewi_region_release(os, &one);
    CHECK_EQ(atomic_load(&budget.used), SMALL);
    ewi_region_release(os, &two);
    check_nothing_left(before, &budget);
}

static void a_forgotten_descriptor_is_closed_and_the_mapping_stays(void)
{
    struct budget budget = budget_of(SMALL, 0);
    struct things before = count_things();
    struct region region;

    region = made(&budget, REGION_SHARED, SMALL, EW_PAGES_SMALL);
    ewi_region_forget_fd(os, &region);
    ewi_region_forget_fd(os, &region);
    CHECK_EQ(count_things().fds, before.fds);
    memset(region.base, 1, SMALL);
    ewi_region_release(os, &region);
    check_nothing_left(before, &budget);
}

/* catches: charge that compares before the addition */
static void the_budget_is_used_to_its_last_byte_and_no_further(void)
{
    struct budget budget = budget_of(2 * SMALL, 0);
    struct region one, two, three;

    one = made(&budget, REGION_SHARED, SMALL, EW_PAGES_AUTO);
    two = made(&budget, REGION_SHARED, SMALL, EW_PAGES_AUTO);
    CHECK_EQ(ewi_region_create(os, &budget, REGION_SHARED, 4096, EW_PAGES_AUTO, &three, error),
             EW_EMEMORY);
    CHECK(strstr(error, "131072 of 131072") != NULL);
    ewi_region_release(os, &one);
    three = made(&budget, REGION_PRIVATE, 4096, EW_PAGES_AUTO);
    ewi_region_release(os, &two);
    ewi_region_release(os, &three);
    CHECK_EQ(atomic_load(&budget.used), 0);
}

static void a_size_near_2_to_the_64_does_not_wrap_the_budget(void)
{
    struct budget budget = budget_of(1 << 20, 0);
    struct region one, two;

    one = made(&budget, REGION_PRIVATE, 4096, EW_PAGES_AUTO);
    CHECK_EQ(ewi_region_create(os, &budget, REGION_PRIVATE, UINT64_MAX - 4095, EW_PAGES_SMALL, &two,
                               error),
             EW_EMEMORY);
    CHECK_EQ(atomic_load(&budget.used), 4096);
    ewi_region_release(os, &one);
}

static _Atomic bool stop;

static void *ask_for_too_much(void *argument)
{
    struct region region;
    char text[160];

    while (!atomic_load(&stop))
        CHECK_EQ(ewi_region_create(os, argument, REGION_PRIVATE, 1 << 20, EW_PAGES_SMALL, &region,
                                   text),
                 EW_EMEMORY);
    return NULL;
}

/* catches: charge as fetch_add and take back (as it was) */
static void a_refused_request_does_not_disturb_another_thread(void)
{
    struct budget budget = budget_of(SMALL, 0);
    struct region region;
    pthread_t other;

    atomic_store(&stop, false);
    CHECK_EQ(pthread_create(&other, NULL, ask_for_too_much, &budget), 0);
    for (int i = 0; i < 20000; i++) {
        region = made(&budget, REGION_PRIVATE, 4096, EW_PAGES_SMALL);
        ewi_region_release(os, &region);
    }
    atomic_store(&stop, true);
    CHECK_EQ(pthread_join(other, NULL), 0);
}

/* catches: try_memfd without undo */
static void each_call_of_create_fails_and_nothing_is_left(void)
{
    CHECK_EQ(create_with(MEMFD, EMFILE, REGION_SHARED, EW_PAGES_SMALL), -EMFILE);
    CHECK_EQ(create_with(MEMFD, EINVAL, REGION_SHARED, EW_PAGES_SMALL), -EINVAL);
    CHECK_EQ(create_with(FTRUNCATE, EFBIG, REGION_SHARED, EW_PAGES_SMALL), -EFBIG);
    CHECK_EQ(create_with(FALLOCATE, ENOSPC, REGION_SHARED, EW_PAGES_SMALL), EW_EMEMORY);
    CHECK_EQ(create_with(FALLOCATE, EINTR, REGION_SHARED, EW_PAGES_SMALL), -EINTR);
    CHECK_EQ(create_with(MMAP, ENOMEM, REGION_SHARED, EW_PAGES_SMALL), EW_EMEMORY);
    CHECK_EQ(create_with(MMAP, ENOMEM, REGION_PRIVATE, EW_PAGES_SMALL), EW_EMEMORY);
    CHECK_EQ(create_with(ADD_SEALS, EPERM, REGION_SHARED, EW_PAGES_SMALL), -EPERM);
}

static void each_call_of_a_huge_page_fails_and_nothing_is_left(void)
{
    pretended_huge_pages = 100;
    for (enum call call = MEMFD; call <= ADD_SEALS; call++)
        CHECK_EQ(create_with(call, ENOMEM, REGION_SHARED, EW_PAGES_HUGE), EW_EMEMORY);
}

/* What `why` says when auto gives 4 KiB pages. */
static const char *why_small(struct budget budget, int64_t huge_pages_free)
{
    static struct region region;

    pretended_huge_pages = huge_pages_free;
    CHECK_EQ(ewi_region_create(&failing_os, &budget, REGION_SHARED, SMALL, EW_PAGES_AUTO, &region,
                               error),
             0);
    CHECK(!region.huge && region.bytes == SMALL);
    ewi_region_release(&failing_os, &region);
    CHECK(atomic_load(&budget.used) == 0 && atomic_load(&budget.huge_used) == 0);
    return region.why;
}

static void auto_says_why_it_gives_small_pages(void)
{
    struct budget budget = budget_of(1 << 30, 1 << 30), blind = budget;

    blind.huge_sealable = false;
    CHECK(strstr(why_small(budget, -1), "no pool") != NULL);
    CHECK(strstr(why_small(budget, 0), "no huge page is free") != NULL);
    CHECK(strstr(why_small(budget, 1), "last quarter") != NULL);
    CHECK(strstr(why_small(blind, 100), "does not enforce seals") != NULL);
    CHECK(strstr(why_small(budget_of(1 << 30, HUGE - 1), 100), "huge_bytes_max") != NULL);
    if (os->huge_pages_free() == 0) /* another process was faster */
        CHECK(strstr(why_small(budget, 100), " of a huge page: ") != NULL);
    CHECK(strstr(why_small(budget_of(HUGE - 1, 1 << 30), 100), "memory_bytes_max") != NULL);
}

static void the_probe_takes_nothing_and_leaves_nothing(void)
{
    struct things before = count_things();
    struct budget budget = budget_of(0, 0);
    int64_t pages = os->huge_pages_free();

    (void)ewi_region_probe_huge_seals(os);
    CHECK_EQ(os->huge_pages_free(), pages);
    check_nothing_left(before, &budget);
}

static void the_probe_does_not_trust_a_kernel_that_maps_sealed_pages(void)
{
    failing = ADD_SEALS;
    failing_errno = EINVAL;
    CHECK(!ewi_region_probe_huge_seals(&failing_os));
    failing = MMAP; /* it fails, but not because of the seal */
    failing_errno = ENOMEM;
    CHECK(!ewi_region_probe_huge_seals(&failing_os));
    failing = NONE;
}

/* ---- attach: what a peer may send ---- */

/* A memfd as asked for; fill: real pages. */
static int memfd_of(uint64_t bytes, int seals, bool fill)
{
    int fd = memfd_create("peers", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    if (fill)
        CHECK_EQ(fallocate(fd, 0, 0, (off_t)bytes), 0);
    if (seals != 0)
        CHECK_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* What attach says to this descriptor; nothing may be left after a refusal. The fd is closed. */
static int attach_to(int fd, uint64_t bytes, uint64_t budget_bytes)
{
    struct budget budget = budget_of(budget_bytes, 0);
    struct things before = count_things();
    struct region region;
    int code;

    mappings_open = 0;
    error[0] = '\0';
    code = ewi_region_attach(&failing_os, &budget, fd, bytes, &region, error);
    if (code == EW_OK)
        ewi_region_release(&failing_os, &region);
    else
        CHECK(error[0] != '\0');
    CHECK_EQ(mappings_open, 0);
    check_nothing_left(before, &budget);
    CHECK_EQ(close(fd), 0); /* the descriptor stayed the caller's */
    return code;
}

/* catches: (seals & SEALS) == 0 for != SEALS */
static void each_missing_seal_is_refused(void)
{
    static const int seals[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE, F_SEAL_SEAL};

    for (int i = 0; i < 4; i++)
        CHECK_EQ(attach_to(memfd_of(SMALL, SEALS_OF_A_PEER & ~seals[i], true), SMALL, SMALL),
                 EW_EPROTO);
    CHECK_EQ(attach_to(memfd_of(SMALL, 0, true), SMALL, SMALL), EW_EPROTO);
}

static void another_size_than_announced_is_refused(void)
{
    CHECK_EQ(attach_to(memfd_of(SMALL, SEALS_OF_A_PEER, true), SMALL - 4096, SMALL), EW_EPROTO);
    CHECK_EQ(attach_to(memfd_of(SMALL, SEALS_OF_A_PEER, true), SMALL + 4096, 2 * SMALL), EW_EPROTO);
    CHECK_EQ(attach_to(memfd_of(SMALL, SEALS_OF_A_PEER, true), UINT64_MAX, SMALL), EW_EPROTO);
    CHECK_EQ(attach_to(memfd_of(SMALL + 1, SEALS_OF_A_PEER, true), SMALL, SMALL), EW_EPROTO);
}

/* catches: check_file without st_blocks */
static void memory_with_holes_is_refused(void)
{
    int one_page;

    CHECK_EQ(attach_to(memfd_of(SMALL, SEALS_OF_A_PEER, false), SMALL, SMALL), EW_EPROTO);
    one_page = memfd_of(SMALL, 0, true);
    CHECK_EQ(fallocate(one_page, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
    CHECK_EQ(fcntl(one_page, F_ADD_SEALS, SEALS_OF_A_PEER), 0);
    CHECK_EQ(attach_to(one_page, SMALL, SMALL), EW_EPROTO);
}

/* catches: attach without MADV_POPULATE_READ */
static void hidden_holes_are_filled_before_anything_reads_them(void)
{
    struct budget budget = budget_of(SMALL, 0);
    struct region region;
    unsigned char present[SMALL / 4096];
    int fd = memfd_of(SMALL, 0, false);

    /* blocks beyond the end make up for the holes: st_blocks looks right */
    CHECK_EQ(fallocate(fd, FALLOC_FL_KEEP_SIZE, SMALL, SMALL), 0);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, SEALS_OF_A_PEER), 0);
    CHECK_EQ(ewi_region_attach(os, &budget, fd, SMALL, &region, error), EW_OK);
    CHECK_EQ(mincore(region.base, SMALL, present), 0);
    for (int i = 0; i < SMALL / 4096; i++)
        CHECK(present[i] & 1);
    ewi_region_release(os, &region);
    close(fd);
}

static void what_is_no_memfd_is_refused(void)
{
    int pipes[2];
    char name[] = "/tmp/test_region.XXXXXX";
    int file = mkstemp(name);

    CHECK(file >= 0 && unlink(name) == 0 && ftruncate(file, SMALL) == 0 && pipe(pipes) == 0);
    CHECK_EQ(attach_to(file, SMALL, SMALL), EW_EPROTO);
    CHECK_EQ(attach_to(pipes[0], SMALL, SMALL), EW_EPROTO);
    CHECK_EQ(attach_to(pipes[1], SMALL, SMALL), EW_EPROTO);
    CHECK_EQ(attach_to(open("/dev/zero", O_RDWR | O_CLOEXEC), SMALL, SMALL), EW_EPROTO);
    CHECK_EQ(attach_to(open("/", O_RDONLY | O_CLOEXEC), SMALL, SMALL), EW_EPROTO);
    CHECK_EQ(ewi_region_attach(os, NULL, 9999, SMALL, NULL, error), EW_EPROTO);
}

static void a_peers_memory_is_charged_to_our_budget(void)
{
    struct budget budget = budget_of(SMALL, 0);
    struct region region;
    int fd = memfd_of(SMALL, SEALS_OF_A_PEER, true);

    CHECK_EQ(ewi_region_attach(os, &budget, fd, SMALL, &region, error), EW_OK);
    CHECK_EQ(atomic_load(&budget.used), SMALL);
    ewi_region_release(os, &region);
    CHECK_EQ(attach_to(fd, SMALL, SMALL - 1), EW_EMEMORY);
}

static int attach_with(enum call call, int number)
{
    int fd = memfd_of(SMALL, SEALS_OF_A_PEER, true), code;

    failing = call;
    failing_errno = number;
    code = attach_to(fd, SMALL, SMALL);
    failing = NONE;
    return code;
}

/* catches: fail_map without munmap; fail_charge without discharge; no text of fstat (as it was) */
static void each_call_of_attach_fails_and_nothing_is_left(void)
{
    CHECK_EQ(attach_with(GET_SEALS, EINVAL), EW_EPROTO);
    CHECK_EQ(attach_with(FSTAT, EIO), -EIO);
    CHECK_EQ(attach_with(MMAP, ENOMEM), EW_EMEMORY);
    CHECK_EQ(attach_with(MMAP, EPERM), -EPERM);
    CHECK_EQ(attach_with(POPULATE, EFAULT), -EFAULT);
    CHECK_EQ(attach_with(POPULATE, ENOMEM), EW_EMEMORY);
    CHECK_EQ(attach_with(POPULATE, EINVAL), EW_OK); /* a kernel that does not know it */
}

/* ---- the kernel keeps a peer from writing ---- */

/* Run by a forked child: it has the descriptor and nothing else, as a peer has. */
/* catches: SEALS without F_SEAL_FUTURE_WRITE; create without MADV_DONTFORK */
static void a_peer_cannot_write(void)
{
    peers_only_read(EW_PAGES_SMALL);
}

static void run_create(void)
{
    RUN(a_region_is_zero_writable_and_has_its_pages);
    RUN(a_regions_descriptor_is_sealed_and_close_on_exec);
    RUN(releasing_twice_gives_back_once);
    RUN(a_forgotten_descriptor_is_closed_and_the_mapping_stays);
    RUN(the_budget_is_used_to_its_last_byte_and_no_further);
    RUN(a_size_near_2_to_the_64_does_not_wrap_the_budget);
    RUN(a_refused_request_does_not_disturb_another_thread);
    RUN(each_call_of_create_fails_and_nothing_is_left);
    RUN(each_call_of_a_huge_page_fails_and_nothing_is_left);
    RUN(auto_says_why_it_gives_small_pages);
    RUN(the_probe_takes_nothing_and_leaves_nothing);
    RUN(the_probe_does_not_trust_a_kernel_that_maps_sealed_pages);
}

int main(void)
{
    run_create();
    RUN(each_missing_seal_is_refused);
    RUN(another_size_than_announced_is_refused);
    RUN(memory_with_holes_is_refused);
    RUN(hidden_holes_are_filled_before_anything_reads_them);
    RUN(what_is_no_memfd_is_refused);
    RUN(a_peers_memory_is_charged_to_our_budget);
    RUN(each_call_of_attach_fails_and_nothing_is_left);
    RUN(a_peer_cannot_write);
    return 0;
}
