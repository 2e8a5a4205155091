/* tests/c/rundir_base.h - a runtime directory for one test, below a directory of this run.
 *
 * Purpose    What the tests of transport/local/rundir share.
 * Shape      base: "/tmp/test_rundir.XXXXXX", removed by rundir_end(); error: the last text.
 * Owner      file-scope variables, one source file for each test program
 * Threads    one; children made by fork have their own
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  open_fresh() gives an empty directory.
 * Ordering   none
 * Source     none
 */
#ifndef TESTS_C_RUNDIR_BASE_H
#define TESTS_C_RUNDIR_BASE_H

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/c/harness.h"
#include "transport/local/rundir.h"

enum { PATH_BYTES = 512, BACKLOG = 64 };

static const uint8_t instance[16] = {0xab, 0xcd, [15] = 0xef};
static const uint8_t other_instance[16] = {1};
static char base[64];                   /* of this run */
static char error[RUNDIR_ERROR_BYTES];  /* the last text */

static inline void path_of(char out[PATH_BYTES], const char *name)
{
    snprintf(out, PATH_BYTES, "%s/%s", base, name);
}

static inline void remove_tree(int directory, const char *name)
{
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *list;
    struct dirent *entry;

    if (fd >= 0) {
        list = fdopendir(fd);
        CHECK(list != NULL);
        while ((entry = readdir(list)) != NULL)
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                remove_tree(fd, entry->d_name);
        closedir(list);
    }
    unlinkat(directory, name, fd >= 0 ? AT_REMOVEDIR : 0);
}

/* A fresh runtime directory. */
static inline int open_fresh(void)
{
    char path[PATH_BYTES];
    int fd;

    path_of(path, "run");
    remove_tree(AT_FDCWD, path);
    CHECK_EQ(ewi_rundir_open(path, true, &fd, error), EW_OK);
    return fd;
}

static inline void name_of(const char *service, const uint8_t id[16], char out[RUNDIR_NAME_BYTES])
{
    CHECK_EQ(ewi_rundir_name("default", service, id, out), EW_OK);
}

static inline int count_files(int directory)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), count = 0;
    DIR *list = fdopendir(fd);

    CHECK(list != NULL);
    while (readdir(list) != NULL)
        count += 1;
    closedir(list);
    return count - 2;
}

static int first_free; /* descriptor at the begin */

static inline void rundir_begin(void)
{
    snprintf(base, sizeof(base), "/tmp/test_rundir.XXXXXX");
    CHECK(mkdtemp(base) != NULL);
    first_free = dup(0);
    close(first_free);
}

static inline void rundir_end(void)
{
    int fd = dup(0);

    CHECK_EQ(fd, first_free); /* no descriptor leaked */
    close(fd);
    remove_tree(AT_FDCWD, base);
}

#endif
