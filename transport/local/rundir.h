/* transport/local/rundir.h - the directory where processes of one host find each other's sockets.
 *
 * Purpose    Open a runtime directory only if nobody else can tamper with it; publish, find and
 *            connect to listening sockets in it; remove those whose owner died.
 * Shape      file name of a socket, 63 characters:
 *            16 hex (namespace, service) '-' 32 hex (instance) '-' 8 hex (boot) ".sock"
 *            A socket gets that name by rename, when it is listening; until then it is called
 *            ".new-" 16 hex (random) '-' 8 hex (boot) ".sock".
 *            In the folder `proc` of a runtime directory: 1 to 10 digits (pid) '-' 16 hex (random)
 *            ".sock", the control sockets (transport/control/control.h).
 * Owner      descriptors that come out belong to the caller. A directory descriptor is only used
 *            during a call. Names of sockets are the only things that outlive a process.
 * Threads    any. bind waits at most a second for the lock, and only to replace a stale socket;
 *            sweep does not wait longer. list and sweep allocate (opendir).
 * Trust      the directory's path is the user's; its content comes from the uids that may write it.
 *            A symbolic link is never followed, and a file not named as above never touched.
 * Errors     EW_ENOTFOUND     directory or socket is missing
 *            EW_EACCESS       directory is not safe to use, or permission denied; the text says why
 *            EW_EINUSE        somebody listens at that name, or the lock could not be had
 *            EW_EUNREACHABLE  a socket without a listener: stale
 *            EW_EAGAIN        the listener's queue is full; sweep: the lock is taken
 *            EW_EINVAL        not a name of a socket; an empty or too long path or service name
 *            -errno           another call failed. In every case nothing is left behind.
 * Invariants I1  a file with a socket's name was listening from its first moment: one that refuses
 *                is stale.
 *            I2  a stale socket is removed only under the lock on its directory, after a look.
 * Ordering   the kernel's: rename publishes, flock excludes.
 * Source     unix(7), flock(2), renameat2(2), proc(5); design, section 5
 */
#ifndef EWI_TRANSPORT_LOCAL_RUNDIR_H
#define EWI_TRANSPORT_LOCAL_RUNDIR_H

#include <sys/un.h>

#include "shm/base.h"

enum {
    RUNDIR_ERROR_BYTES = 240,
    RUNDIR_PREFIX_BYTES = 24, /* 16 hex digits, '-', zero; the rest is room */
    RUNDIR_NAME_BYTES = 64,   /* 63 characters and zero */
    RUNDIR_SWEEP_MAX = 256,   /* sockets removed by one sweep */
};

/* create: make a missing last component, with mode 0700. */
int ewi_rundir_open(const char *path, bool create, int *out, char error[RUNDIR_ERROR_BYTES]);

/* namespace_name: 1..63 bytes, service: 1..200 bytes; else EW_EINVAL. */
int ewi_rundir_prefix(const char *namespace_name, const char *service,
                      char out[RUNDIR_PREFIX_BYTES]);
int ewi_rundir_name(const char *namespace_name, const char *service, const uint8_t instance[16],
                    char out[RUNDIR_NAME_BYTES]);
/* Of a control socket: a new one each time. */
int ewi_rundir_control_name(uint32_t pid, char out[RUNDIR_NAME_BYTES]);
bool ewi_rundir_is_control_name(const char *name);
/* Of any service, by a process since this boot. */
bool ewi_rundir_is_socket_name(const char *name);

/* For bind(2) and connect(2), however long the directory's own path is. Valid while the
 * descriptor is open, in this process. */
int ewi_rundir_address(int directory, const char *name, struct sockaddr_un *out);

/* A listening SOCK_SEQPACKET socket, non-blocking, close-on-exec, mode 0666: the directory and
 * the peer's credentials decide who gets in. Before closing it: ewi_rundir_unlink. */
int ewi_rundir_bind(int directory, const char *name, int backlog, int *out,
                    char error[RUNDIR_ERROR_BYTES]);
int ewi_rundir_connect(int directory, const char *name, int *out);
/* 0 as well when it is already gone. */
int ewi_rundir_unlink(int directory, const char *name);

/* Remove sockets that refuse or belong to another boot. Returns how many. Of `proc` as well. */
int ewi_rundir_sweep(int directory);
/* Visit the names of this boot's sockets that begin with prefix (NULL: all) until visit says
 * false. It may remove them. */
int ewi_rundir_list(int directory, const char *prefix,
                    bool (*visit)(void *context, const char *name), void *context);

#endif
