/* tests/c/test_region_huge.c - huge pages: are they got, charged, sealed and given back? */
#include "tests/c/region_base.h"

enum { PAGES_NEEDED = 8, TRIES = 1000 };

static void a_huge_region_rounds_up_and_charges_both_budgets(void)
{
    struct budget budget = budget_of(1 << 30, 1 << 30);
    struct things before = count_things();
    struct region region;

    region = made(&budget, REGION_SHARED, SMALL, EW_PAGES_HUGE);
    CHECK(region.huge && region.bytes == HUGE && strcmp(region.why, "2 MiB pages") == 0);
    CHECK(atomic_load(&budget.used) == HUGE && atomic_load(&budget.huge_used) == HUGE);
    memset(region.base, 1, HUGE);
    ewi_region_release(os, &region);
    check_nothing_left(before, &budget);
}

/* catches: SEALS without F_SEAL_FUTURE_WRITE */
static void a_peer_cannot_write_to_huge_pages(void)
{
    CHECK(ewi_region_probe_huge_seals(os));
    peers_only_read(EW_PAGES_HUGE);
}

/* One page less while either of the two holds it, and all of them after? */
static bool goes_and_comes_back(void)
{
    int64_t before = os->huge_pages_free(), both, one;
    struct budget budget = budget_of(1 << 30, 1 << 30);
    struct region mine = made(&budget, REGION_SHARED, SMALL, EW_PAGES_HUGE), theirs;

    both = os->huge_pages_free();
    CHECK_EQ(ewi_region_attach(os, &budget, mine.fd, HUGE, &theirs, error), EW_OK);
    ewi_region_release(os, &mine);
    one = os->huge_pages_free();
    ewi_region_release(os, &theirs);
    return both == before - 1 && one == before - 1 && os->huge_pages_free() == before;
}

/* catches: attach without POPULATE_READ; a region that is not unmapped. The count is the machine's, and
 * others take pages, too: once without them is enough, and what leaks never comes back. */
static void pages_come_back_when_the_last_holder_is_gone(void)
{
    int tries = 0;

    while (!goes_and_comes_back())
        CHECK(++tries < TRIES);
}

int main(void)
{
    if (os->huge_pages_free() < PAGES_NEEDED)
        harness_skip("needs 8 free huge pages (sysctl vm.nr_hugepages=64)");
    RUN(a_huge_region_rounds_up_and_charges_both_budgets);
    RUN(a_peer_cannot_write_to_huge_pages);
    RUN(pages_come_back_when_the_last_holder_is_gone);
    return 0;
}
