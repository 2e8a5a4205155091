/* What of the public interface is more than one module's: the library itself, connecting by address
 * or by name, asking a listener, runtime directories. */
#include "bindings/c/eastwest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "transport/address.h"
#include "transport/context.h"
#include "transport/control/control.h"
#include "transport/error.h"
#include "transport/hello.h"
#include "transport/local/rundir.h"

#ifndef EW_VERSION
#error "the build defines EW_VERSION"
#endif

enum { PATH_BYTES = 4096, SERVICE_BYTES_MAX = 200, PROTOCOL_BYTES_MAX = 63 };

const char *ew_version(void)
{
    return EW_VERSION;
}

const char *ew_error_text(void)
{
    return ewi_error_text();
}

const char *ew_error_name(int code)
{
    return ewi_error_name(code);
}

/* ---- a name, looked up in runtime directories ---- */

struct search {
    ew_context *context;
    struct dial dial;
    const char *directory;
    ew_channel **out;
    int code; /* of the last attempt; EW_ENOTFOUND: there was none */
};

static bool try_socket(void *object, const char *name)
{
    struct search *search = object;
    char address[PATH_BYTES + RUNDIR_NAME_BYTES + 8];

    snprintf(address, sizeof(address), "shm:%s/%s", search->directory, name);
    search->dial.address = address;
    search->code = ewi_address_dial(search->context, &search->dial, search->out, NULL);
    return search->code != EW_OK && search->code != EW_EINTR; /* the next one, if there is */
}

static void search_directory(struct search *search, const char *directory)
{
    char error[RUNDIR_ERROR_BYTES], prefix[RUNDIR_PREFIX_BYTES];
    int fd;

    search->directory = directory;
    if (ewi_rundir_prefix(search->context->namespace_name, search->dial.service, prefix) != EW_OK ||
        ewi_rundir_open(directory, false, &fd, error) != EW_OK)
        return;
    ewi_rundir_list(fd, prefix, try_socket, search);
    close(fd);
}

static int search(ew_context *context, const struct dial *wanted, const char *directories,
                  ew_channel **out)
{
    struct search found = {
        .context = context, .dial = *wanted, .out = out, .code = EW_ENOTFOUND};
    char directory[PATH_BYTES];

    while (found.code != EW_OK && found.code != EW_EINTR && *directories != '\0') {
        size_t length = strcspn(directories, ":");

        if (length > 0 && length < sizeof(directory)) {
            memcpy(directory, directories, length);
            directory[length] = '\0';
            search_directory(&found, directory);
        }
        directories += length + (directories[length] == ':');
    }
    if (found.code == EW_ENOTFOUND)
        return ewi_fail(EW_ENOTFOUND, "no listener of service \"%s\" in the runtime directories",
                        wanted->service);
    return found.code;
}

/* ---- public ---- */

static int check_names(const char *service, const char *protocol)
{
    if (service == NULL || service[0] == '\0' || strlen(service) > SERVICE_BYTES_MAX)
        return ewi_fail(EW_EINVAL, "a service name has 1 to %d bytes", SERVICE_BYTES_MAX);
    if (strlen(protocol) > PROTOCOL_BYTES_MAX)
        return ewi_fail(EW_EINVAL, "protocol name of %zu bytes, at most %d", strlen(protocol),
                        PROTOCOL_BYTES_MAX);
    return EW_OK;
}

int ew_connect(ew_context *context, const ew_connect_options *options, ew_channel **out)
{
    struct dial wanted = {.address = options->address,
                          .service = options->service,
                          .protocol = options->protocol != NULL ? options->protocol : "",
                          .instance = options->instance,
                          .intent = WIRE_OPEN,
                          .cancel_fd = -1,
                          .wait = ewi_wait_from(options->timeout_ns, options->sigmask)};
    int code;

    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    code = check_names(wanted.service, wanted.protocol);
    if (code != EW_OK)
        return code;
    if (wanted.address != NULL)
        code = ewi_address_dial(context, &wanted, out, NULL);
    else if (options->runtime_dirs != NULL)
        code = search(context, &wanted, options->runtime_dirs, out);
    else
        code = ewi_fail(EW_EINVAL, "connect needs an address or runtime_dirs");
    if (code == EW_OK)
        ewi_control_ensure(context);
    return code;
}

int ew_query(ew_context *context, const char *address, const char *service, int64_t timeout_ns,
             const void *sigmask, ew_query_info *out)
{
    const struct dial wanted = {.address = address,
                                .service = service != NULL ? service : "",
                                .protocol = "",
                                .intent = WIRE_QUERY,
                                .cancel_fd = -1,
                                .wait = ewi_wait_from(timeout_ns, sigmask)};

    if (ewi_context_is_forked(context))
        return ewi_context_forked_error();
    if (strlen(wanted.service) > SERVICE_BYTES_MAX)
        return ewi_fail(EW_EINVAL, "a service name has 1 to %d bytes", SERVICE_BYTES_MAX);
    return ewi_address_dial(context, &wanted, NULL, out);
}

int ew_rundir_check(const char *directory, int create)
{
    char error[RUNDIR_ERROR_BYTES];
    int fd;
    int code = ewi_rundir_open(directory, create != 0, &fd, error);

    if (code != EW_OK)
        return ewi_fail(code, "%s", error);
    close(fd);
    return EW_OK;
}

int ew_rundir_prefix(const char *namespace_name, const char *service, char out[24])
{
    int code = ewi_rundir_prefix(namespace_name, service, out);

    if (code != EW_OK)
        return ewi_fail(code, "namespace \"%s\" and service \"%s\": 1 to 63 and 1 to 200 bytes",
                        namespace_name, service);
    return EW_OK;
}

int ew_rundir_is_socket_name(const char *name)
{
    return ewi_rundir_is_socket_name(name) ? 1 : 0;
}
