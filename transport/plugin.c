#include "transport/plugin.h"

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

#include "transport/error.h"

#ifndef EW_VERSION
#error "the build defines EW_VERSION"
#endif

static bool has_all(const struct stack_ops *ops)
{
    return ops->open != NULL && ops->close != NULL && ops->listen != NULL && ops->connect != NULL &&
           ops->accept != NULL && ops->send != NULL && ops->released != NULL &&
           ops->recv_into != NULL && ops->ready != NULL && ops->error != NULL &&
           ops->shutdown != NULL && ops->break_off != NULL && ops->finish != NULL &&
           ops->watch != NULL && ops->poll != NULL && ops->flush != NULL && ops->wait_fd != NULL &&
           ops->stream_fd != NULL && ops->arm != NULL && ops->disarm != NULL && ops->kick != NULL &&
           ops->addresses != NULL && ops->info != NULL && ops->silence != NULL &&
           ops->forked != NULL;
}

static int check(const char *path, const struct stack_plugin *plugin)
{
    const struct stack_ops *ops;

    if (plugin->abi != STACK_ABI || plugin->bytes < offsetof(struct stack_plugin, open_shards))
        return ewi_fail(EW_EVERSION,
                        "plug-in %s has ABI %u, this library (%s) needs %d: install the same version of "
                        "both",
                        path, plugin->abi, EW_VERSION, STACK_ABI);
    ops = plugin->ops;
    if (ops == NULL || ops->abi != STACK_ABI || ops->bytes < sizeof(*ops))
        return ewi_fail(EW_EVERSION,
                        "plug-in %s (%s) has a table of %u bytes with ABI %u, this library (%s) needs "
                        "%zu with ABI %d: install the same version of both",
                        path, plugin->version, ops == NULL ? 0 : ops->bytes,
                        ops == NULL ? 0 : ops->abi, EW_VERSION, sizeof(*ops), STACK_ABI);
    if (!has_all(ops))
        return ewi_fail(EW_EVERSION, "plug-in %s (%s) lacks a function that %s needs", path,
                        plugin->version, EW_VERSION);
    return EW_OK;
}

int ewi_plugin_load(const char *path, const struct stack_plugin **out)
{
    const struct stack_plugin *plugin;
    void *handle;
    int code;

    if (path == NULL || path[0] == '\0')
        return ewi_fail(EW_ENOTFOUND, "the DPDK plug-in is not installed: pip install eastwest-dpdk, or "
                                      "set fabric_plugin to its path");
    if (strchr(path, '/') == NULL)
        return ewi_fail(EW_ENOTFOUND, "plug-in \"%s\": a path with a '/' is needed, nothing is searched",
                        path);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return ewi_fail(EW_ENOTFOUND, "the plug-in cannot be loaded (pip install eastwest-dpdk): %s",
                        dlerror());
    plugin = dlsym(handle, "ewi_stack_plugin");
    if (plugin == NULL)
        return ewi_fail(EW_EVERSION, "%s is no plug-in of Eastwest: it has no ewi_stack_plugin", path);
    code = check(path, plugin);
    if (code == EW_OK)
        *out = plugin;
    return code;
}
