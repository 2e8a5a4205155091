#include "transport/address.h"

#include <string.h>

#include "transport/error.h"
#include "transport/fabric.h"
#include "transport/local/rundir.h"

enum { PATH_BYTES = 4096 };

static int split_local(const char *address, char directory[PATH_BYTES], const char **name)
{
    const char *path = address + strlen("shm:");
    const char *slash = strrchr(path, '/');

    if (slash == NULL || slash == path || (size_t)(slash - path) >= PATH_BYTES ||
        !ewi_rundir_is_socket_name(slash + 1))
        return ewi_fail(EW_EINVAL, "address \"%s\": must be shm:DIRECTORY/SOCKET with the name of "
                                   "a listener of this boot",
                        address);
    memcpy(directory, path, (size_t)(slash - path));
    directory[slash - path] = '\0';
    *name = slash + 1;
    return EW_OK;
}

bool ewi_address_is_local(const char *address)
{
    return strncmp(address, "shm:", 4) == 0;
}

static int pick_stack(ew_context *context, const char *address, struct context_stack **on,
                      struct stack_addr *remote)
{
    char network[FABRIC_NETWORK_BYTES];
    const char *at = address + strlen("tcp://");

    if (strncmp(address, "tcp://", strlen("tcp://")) == 0 && ewi_addr_parse(at, remote) == EW_OK) {
        *on = &context->stacks[CONTEXT_KERNEL];
        return EW_OK;
    }
    if (ewi_fabric_split(address, network, &at) && ewi_addr_parse(at, remote) == EW_OK)
        return ewi_fabric_find(context, network, on);
    return ewi_fail(EW_EINVAL, "address \"%s\": must be shm:DIRECTORY/SOCKET, tcp://A.B.C.D:PORT, "
                               "tcp://[A::B]:PORT, dpdk://NETWORK/A.B.C.D:PORT or "
                               "dpdk://NETWORK/[A::B]:PORT",
                    address);
}

int ewi_address_dial(ew_context *context, const struct dial *wanted, ew_channel **out,
                     ew_query_info *query)
{
    char directory[PATH_BYTES];
    struct context_stack *on;
    struct stack_addr remote;
    const char *name = NULL;
    int code;

    if (ewi_address_is_local(wanted->address)) {
        code = split_local(wanted->address, directory, &name);
        if (code != EW_OK)
            return code;
        return ewi_local_connect(context, directory, name, wanted, out, query);
    }
    code = pick_stack(context, wanted->address, &on, &remote);
    return code == EW_OK ? ewi_stream_connect(on, &remote, wanted, out, query) : code;
}
