/* shm/os.h - the system calls that memory and links need, as a table.
 *
 * Purpose    Let a test make any one of them fail or lie, and see that nothing leaks.
 * Shape      one function pointer for each call, with libc's signature and errno.
 * Owner      the caller of a function that takes a table keeps it alive; ewi_os_default is const.
 * Threads    any
 * Trust      none of the arguments come from outside
 * Errors     as libc: -1 and errno
 * Invariants none
 * Ordering   none
 * Source     SQLite's os_unix.c has the idea (aSyscall[]); docs/adr/0004-memory.md
 */
#ifndef EWI_SHM_OS_H
#define EWI_SHM_OS_H

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct ewi_os {
    int (*memfd_create)(const char *name, unsigned flags);
    int (*ftruncate)(int fd, off_t length);
    int (*fallocate)(int fd, int mode, off_t offset, off_t length);
    void *(*mmap)(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
    int (*munmap)(void *at, size_t bytes);
    int (*madvise)(void *at, size_t bytes, int advice);
    int (*fcntl)(int fd, int command, int argument);
    int (*fstat)(int fd, struct stat *out);
    int (*close)(int fd);
    /* Pages of this size that the system's pool could give now; < 0: unknown. */
    int64_t (*huge_pages_free)(void);
};

extern const struct ewi_os ewi_os_default;

#endif
