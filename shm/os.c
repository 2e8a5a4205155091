#include "shm/os.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shm/base.h"

static int os_memfd_create(const char *name, unsigned flags)
{
    return memfd_create(name, flags);
}

static int os_fcntl(int fd, int command, int argument)
{
    return fcntl(fd, command, argument);
}

static int64_t read_number(const char *path)
{
    char text[32];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length;

    if (fd < 0)
        return -1;
    length = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (length <= 0)
        return -1;
    text[length] = '\0';
    return strtoll(text, NULL, 10);
}

/* free pages - those already promised (Documentation/admin-guide/mm/hugetlbpage.rst) */
static int64_t os_huge_pages_free(void)
{
    int64_t free_pages = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    int64_t promised = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/resv_hugepages");

    if (free_pages < 0 || promised < 0)
        return -1;
    return free_pages - promised;
}

const struct ewi_os ewi_os_default = {
    .memfd_create = os_memfd_create,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .mmap = mmap,
    .munmap = munmap,
    .madvise = madvise,
    .fcntl = os_fcntl,
    .fstat = fstat,
    .close = close,
    .huge_pages_free = os_huge_pages_free,
};
