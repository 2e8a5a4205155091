#include "transport/address.h"

#include <string.h>

#include "transport/error.h"
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

int ewi_address_dial(ew_context *context, const struct dial *wanted, ew_channel **out,
                     ew_query_info *query)
{
    char directory[PATH_BYTES];
    struct stack_addr remote;
    const char *name = NULL;
    int code;

    if (ewi_address_is_local(wanted->address)) {
        code = split_local(wanted->address, directory, &name);
        if (code != EW_OK)
            return code;
        return ewi_local_connect(context, directory, name, wanted, out, query);
    }
    if (strncmp(wanted->address, "tcp://", 6) != 0 ||
        ewi_addr_parse(wanted->address + 6, &remote) != EW_OK)
        return ewi_fail(EW_EINVAL, "address \"%s\": must be shm:DIRECTORY/SOCKET, "
                                   "tcp://A.B.C.D:PORT or tcp://[A::B]:PORT",
                        wanted->address);
    return ewi_stream_connect(context, &remote, wanted, out, query);
}
