/* Who may connect, and how much memory strangers may make us map. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transport/context.h"
#include "transport/error.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

enum { OVERFLOW_UID = 65534, GROUPS_MAX = 256 }; /* uids that have no name in our user namespace */

int ewi_access_peer_of(int fd, struct local_peer *out)
{
    struct ucred credentials;
    socklen_t length = sizeof(credentials);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return -errno;
    *out = (struct local_peer){.pid = (uint32_t)credentials.pid,
                               .uid = (uint32_t)credentials.uid,
                               .gid = (uint32_t)credentials.gid};
    return EW_OK;
}

static bool contains(const uint32_t *list, uint32_t count, uint32_t value)
{
    for (uint32_t i = 0; i < count; i++)
        if (list[i] == value)
            return true;
    return false;
}

static bool group_allowed(const ew_context *context, int fd, const struct local_peer *peer)
{
    gid_t groups[GROUPS_MAX];
    socklen_t length = sizeof(groups);

    if (context->allow_gids_count == 0)
        return false;
    if (contains(context->allow_gids, context->allow_gids_count, peer->gid))
        return true;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) != 0)
        return false;
    for (size_t i = 0; i < length / sizeof(groups[0]); i++)
        if (contains(context->allow_gids, context->allow_gids_count, groups[i]))
            return true;
    return false;
}

bool ewi_access_allows(const ew_context *context, int fd, const struct local_peer *peer)
{
    if (peer->uid == OVERFLOW_UID)
        return false;
    return context->allow_any || contains(context->allow_uids, context->allow_uids_count, peer->uid) ||
           group_allowed(context, fd, peer);
}

bool ewi_access_trusts(const ew_context *context, const struct local_peer *server)
{
    if (server->uid == OVERFLOW_UID)
        return false;
    return server->uid == 0 || server->uid == geteuid() || context->allow_any ||
           contains(context->allow_uids, context->allow_uids_count, server->uid);
}

/* The account of a uid; a free one if it has none; NULL: all are in use. */
static struct uid_account *account_of(ew_context *context, uint32_t uid)
{
    struct uid_account *unused = NULL;

    for (uint32_t i = 0; i < CONTEXT_UIDS_MAX; i++) {
        struct uid_account *account = &context->accounts[i];

        if (account->bytes == 0 && account->half_open == 0) {
            if (unused == NULL)
                unused = account;
        } else if (account->uid == uid) {
            return account;
        }
    }
    if (unused != NULL)
        unused->uid = uid;
    return unused;
}

int ewi_access_charge(ew_context *context, uint32_t uid, uint64_t bytes)
{
    struct uid_account *account;
    uint64_t used = 0;
    bool fits = false;

    ewi_lock_enter(&context->lock);
    account = account_of(context, uid);
    if (account != NULL) {
        used = account->bytes;
        fits = used + bytes <= context->peer_bytes_max;
        if (fits)
            account->bytes += bytes;
    }
    ewi_lock_give(&context->lock);
    if (fits)
        return EW_OK;
    return ewi_fail(EW_EMEMORY, "uid %u would have %llu bytes of shared memory mapped here, "
                                "peer_bytes_max is %llu",
                    uid, (unsigned long long)(used + bytes),
                    (unsigned long long)context->peer_bytes_max);
}

void ewi_access_discharge(ew_context *context, uint32_t uid, uint64_t bytes)
{
    struct uid_account *account;

    ewi_lock_enter(&context->lock);
    account = account_of(context, uid);
    EWI_ASSERT(account != NULL && account->bytes >= bytes);
    account->bytes -= bytes;
    ewi_lock_give(&context->lock);
}

bool ewi_access_half_open(ew_context *context, uint32_t uid)
{
    struct uid_account *account;
    bool accepted = false;

    ewi_lock_enter(&context->lock);
    account = account_of(context, uid);
    if (account != NULL && context->half_open < HALF_OPEN_MAX &&
        (account->half_open < HALF_OPEN_PER_UID_MAX || uid == STRANGER_UID)) {
        account->half_open += 1;
        context->half_open += 1;
        accepted = true;
    }
    ewi_lock_give(&context->lock);
    return accepted;
}

void ewi_access_half_done(ew_context *context, uint32_t uid)
{
    struct uid_account *account;

    ewi_lock_enter(&context->lock);
    account = account_of(context, uid);
    EWI_ASSERT(account != NULL && account->half_open > 0 && context->half_open > 0);
    account->half_open -= 1;
    context->half_open -= 1;
    ewi_lock_give(&context->lock);
}
