/* What the plug-in shows until the stack around the devices is there: the devices. */
#include "transport/dpdk/device.h"

__attribute__((visibility("default"))) const struct device_ops *ewi_stack_plugin(void);

const struct device_ops *ewi_stack_plugin(void)
{
    return &ewi_dpdk_device;
}
