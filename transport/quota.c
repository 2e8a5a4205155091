#include "transport/quota.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LINE_BYTES = 4352, PATH_BYTES = LINE_BYTES + 128 };

/* The numbers at the beginning of a file. A shorter count: it is not there, or says "max". */
static int numbers_of(const char *group, const char *name, long long *first, long long *second)
{
    char path[PATH_BYTES];
    FILE *file;
    int count;

    if (snprintf(path, sizeof(path), "%s/%s", group, name) >= (int)sizeof(path))
        return 0;
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    count = fscanf(file, "%lld %lld", first, second);
    fclose(file);
    return count;
}

static void take(uint32_t *cpus, long long quota, long long period)
{
    uint64_t whole;

    if (quota <= 0 || period <= 0)
        return;
    whole = ewi_min_u64(ewi_max_u64((uint64_t)(quota / period), 1), UINT32_MAX);
    if (*cpus == 0 || whole < *cpus)
        *cpus = (uint32_t)whole;
}

static void look_at(const char *group, uint32_t *cpus)
{
    long long quota, period, unused;

    if (numbers_of(group, "cpu.max", &quota, &period) == 2)
        take(cpus, quota, period);
    if (numbers_of(group, "cpu.cfs_quota_us", &quota, &unused) == 1 &&
        numbers_of(group, "cpu.cfs_period_us", &period, &unused) == 1)
        take(cpus, quota, period);
}

/* The group at `path` of the tree at `tree`, and those above it. */
static void climb(const char *tree, const char *path, uint32_t *cpus)
{
    char group[PATH_BYTES];
    const size_t root = strlen(tree);
    struct stat found;

    if (strstr(path, "..") != NULL || strcmp(path, "/") == 0 ||
        snprintf(group, sizeof(group), "%s%s", tree, path) >= (int)sizeof(group) ||
        stat(group, &found) != 0)
        snprintf(group, sizeof(group), "%s", tree);
    while (strlen(group) > root) {
        look_at(group, cpus);
        *strrchr(group, '/') = '\0';
    }
    look_at(tree, cpus);
}

static bool names_cpu(const char *controllers)
{
    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, "cpu", 3) == 0 && (at[3] == ',' || at[3] == '\0'))
            return true;
    }
    return false;
}

uint32_t ewi_quota_cpus(const char *root, const char *membership)
{
    char line[LINE_BYTES], tree[PATH_BYTES];
    uint32_t cpus = 0;
    FILE *file = fopen(membership, "re");

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof(line), file) != NULL) { /* "4:cpu,cpuacct:/a/b", "0::/a/b" */
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

        line[strcspn(line, "\n")] = '\0';
        if (path == NULL || path[1] != '/')
            continue;
        *path++ = '\0';
        controllers++;
        if (*controllers == '\0')
            climb(root, path, &cpus);
        else if (!names_cpu(controllers))
            continue;
        snprintf(tree, sizeof(tree), "%s/%s", root, *controllers == '\0' ? "unified" : "cpu");
        climb(tree, path, &cpus);
    }
    fclose(file);
    return cpus;
}
