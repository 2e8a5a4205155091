/* The plug-in: our TCP/IP on a device of DPDK, behind transport/stack.h. */
#include "transport/dpdk/device.h"
#include "transport/shell/shell.h"

static struct stack_ops table;

static int plugin_open(const struct stack_options *options, struct ewi_stack **out)
{
    return ewi_shell_open(&ewi_dpdk_device, options, out);
}

static int plugin_open_shards(const struct stack_options *options, uint32_t count,
                              struct ewi_stack **out)
{
    return ewi_shell_open_shards(&ewi_dpdk_device, options, count, out);
}

__attribute__((constructor)) static void make_table(void)
{
    table = ewi_shell_ops;
    table.name = "dpdk";
    table.open = plugin_open;
}

__attribute__((visibility("default"))) extern const struct stack_plugin ewi_stack_plugin;
const struct stack_plugin ewi_stack_plugin = {
    .abi = STACK_ABI,
    .bytes = sizeof(ewi_stack_plugin),
    .version = EW_VERSION,
    .ops = &table,
    .open_shards = plugin_open_shards,
};
