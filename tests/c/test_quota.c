/* The quota of CPU time by control groups, of both versions, in trees made for the test. */
#include <sys/stat.h>

#include "tests/c/harness.h"
#include "transport/quota.h"

enum { PATH_BYTES = 256 };

static char root[] = "/tmp/ew-test-XXXXXX";
static char membership[PATH_BYTES];

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK_EQ(fclose(file), 0);
}

static void put(const char *name, const char *text)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    for (char *at = path + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    write_file(path, text);
}

static uint32_t cpus_of(const char *text)
{
    write_file(membership, text);
    return ewi_quota_cpus(root, membership);
}

static void without_files_there_is_no_limit(void)
{
    CHECK_EQ(ewi_quota_cpus("/nowhere", "/nowhere"), 0);
    CHECK_EQ(cpus_of(""), 0);
    CHECK_EQ(cpus_of("junk\n0:\n::::\n4:cpu:none\n0::/a\n"), 0);
    put("v2/cpu.max", "junk");
    CHECK_EQ(cpus_of("0::/v2\n"), 0);
    put("v2/cpu.max", "100000 0");
    CHECK_EQ(cpus_of("0::/v2\n"), 0);
}

static void version_2_is_rounded_down_but_never_to_none(void)
{
    put("v2/cpu.max", "max 100000\n");
    CHECK_EQ(cpus_of("0::/v2\n"), 0);
    put("v2/cpu.max", "350000 100000\n");
    CHECK_EQ(cpus_of("0::/v2\n"), 3);
    put("v2/cpu.max", "20000 100000\n");
    CHECK_EQ(cpus_of("0::/v2\n"), 1);
}

static void the_tightest_group_on_the_way_up_counts(void)
{
    put("a/b/c/cpu.max", "400000 100000\n");
    put("a/b/cpu.max", "max 100000\n");
    put("a/cpu.max", "200000 100000\n");
    CHECK_EQ(cpus_of("0::/a/b/c\n"), 2);
    put("a/b/c/cpu.max", "100000 100000\n");
    CHECK_EQ(cpus_of("0::/a/b/c\n"), 1);
    CHECK_EQ(cpus_of("0::/a/b\n"), 2);
}

static void version_1_has_a_tree_for_cpu(void)
{
    put("cpu/x/cpu.cfs_quota_us", "-1\n");
    put("cpu/x/cpu.cfs_period_us", "100000\n");
    CHECK_EQ(cpus_of("4:cpu:/x\n"), 0);
    put("cpu/x/cpu.cfs_quota_us", "100000\n");
    CHECK_EQ(cpus_of("4:cpu:/x\n"), 1);
    CHECK_EQ(cpus_of("4:cpuacct,cpu:/x\n0::/\n"), 1);
    CHECK_EQ(cpus_of("4:cpuset:/x\n3:cpuacct:/x\n2:memory:/x\n"), 0);
    put("cpu/x/y/cpu.cfs_quota_us", "-1\n");
    CHECK_EQ(cpus_of("4:cpu:/x/y\n"), 1);
}

static void version_2_may_be_beside_version_1(void)
{
    put("unified/u/cpu.max", "300000 100000\n");
    CHECK_EQ(cpus_of("0::/u\n"), 3);
    CHECK_EQ(cpus_of("0::/u\n4:cpu:/x\n"), 1);
}

static void a_group_out_of_sight_counts_as_the_root_that_can_be_seen(void)
{
    put("cpu.max", "200000 100000\n");
    CHECK_EQ(cpus_of("0::/gone/away\n"), 2);
    CHECK_EQ(cpus_of("0::/../a/b/c\n"), 2);
    CHECK_EQ(cpus_of("0::/\n"), 2);
}

int main(void)
{
    char remove[PATH_BYTES];

    CHECK(mkdtemp(root) != NULL);
    snprintf(membership, sizeof(membership), "%s/membership", root);
    RUN(without_files_there_is_no_limit);
    RUN(version_2_is_rounded_down_but_never_to_none);
    RUN(the_tightest_group_on_the_way_up_counts);
    RUN(version_1_has_a_tree_for_cpu);
    RUN(version_2_may_be_beside_version_1);
    RUN(a_group_out_of_sight_counts_as_the_root_that_can_be_seen);
    snprintf(remove, sizeof(remove), "rm -r '%s'", root);
    CHECK_EQ(system(remove), 0);
    return 0;
}
