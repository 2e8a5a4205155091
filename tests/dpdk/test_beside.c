/* The plug-in lives beside another DPDK in the process: this program's own, which is started first.
 *
 * usage: test_beside PLUGIN */
#include <dlfcn.h>

#include "tests/dpdk/dpdk_base.h"
#include "transport/stack.h"

static const struct stack_plugin *plugin;

static struct ewi_stack *open_stack(const char *text)
{
    static const uint8_t seed[32] = {1};
    char reason[STACK_REASON_BYTES] = "";
    struct stack_options options = {
        .streams_max = 16, .seed = seed, .text = text, .reason = reason};
    struct ewi_stack *stack = NULL;
    int code = plugin->ops->open(&options, &stack);

    if (code != 0)
        fprintf(stderr, "%s: %s\n", text, reason);
    CHECK_EQ(code, 0);
    return stack;
}

static void two_copies_of_dpdk_work_in_one_process(void)
{
    struct device *one = dpdk_open("ring:name=same"), *other = dpdk_open("ring:name=same");
    struct ewi_stack *stack = open_stack("device=ring:name=same\naddress=10.1.0.1/24\ndetect=off");
    uint32_t bytes;

    dpdk_send(one, 5, 100);
    CHECK_EQ(dpdk_take(other, &bytes), 5); /* and not the plug-in's ring of the same name */
    plugin->ops->close(stack);
    dpdk_send(one, 6, 100);
    CHECK_EQ(dpdk_take(other, &bytes), 6);
    dpdk_ops->close(one);
    dpdk_ops->close(other);
}

static long mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    long lines = 0;

    CHECK(file != NULL);
    for (int c; (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static const char *path;

static void the_plugin_adds_few_mappings(void)
{
    long before = mappings();
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(handle != NULL);
    plugin = dlsym(handle, "ewi_stack_plugin");
    CHECK(plugin != NULL && plugin->abi == STACK_ABI);
    plugin->ops->close(open_stack("device=ring:name=a\naddress=10.1.0.1/24\ndetect=off"));
    printf("(%ld mappings) ", mappings() - before);
    CHECK(mappings() - before < 150);
}

int main(int argc, char **argv)
{
    CHECK(argc >= 2);
    path = argv[1];
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    RUN(the_plugin_adds_few_mappings);
    RUN(two_copies_of_dpdk_work_in_one_process);
    return 0;
}
