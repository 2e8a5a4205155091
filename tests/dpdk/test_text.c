/* A text that is wrong is refused with its value, what is allowed, and the way out. No DPDK starts. */
#include "tests/dpdk/dpdk_base.h"

static void unknown_kinds_are_named(void)
{
    dpdk_refused("mmif:socket=/a,role=server", 0, "no kind 'mmif'; there are memif, virtio_user, vhost");
    dpdk_refused("", 0, "no kind ''");
    dpdk_refused("mem", 0, "no kind 'mem'");
}

static void unknown_settings_show_the_form(void)
{
    dpdk_refused("memif:path=/a,role=server", 0, "path=/a: not a setting of a memif device, which is "
                                                 "written memif:socket=PATH,role=server|client,id=N");
    dpdk_refused("af_packet:eth0", 0, "af_packet:iface=NAME");
    dpdk_refused("vhost:path", 0, "path: not a setting");
}

static void missing_settings_are_named(void)
{
    dpdk_refused("memif:socket=/a", 0, "role= is missing");
    dpdk_refused("vhost:", 0, "path= is missing");
    dpdk_refused("tap", 0, "iface= is missing");
    dpdk_refused("pci:", 0, "address= is missing");
}

static void wrong_values_say_what_is_allowed(void)
{
    dpdk_refused("memif:socket=a,role=server", 0, "socket=a: has to be an absolute path");
    dpdk_refused("memif:socket=/a,role=master", 0, "role=master: has to be server");
    dpdk_refused("memif:socket=/a,role=server,id=x", 0, "id=x: has to be a number up to 65535");
    dpdk_refused("memif:socket=/a,role=server,id=65536", 0, "id=65536");
    dpdk_refused("memif:socket=/a,role=server,id=-1", 0, "id=-1");
    dpdk_refused("virtio_user:path=/a,server=yes", 0, "server=yes: has to be 0 or 1");
    dpdk_refused("tap:iface=a-name-that-is-long", 0, "at most 15 bytes");
    dpdk_refused("tap:iface=", 0, "has to be not empty");
    dpdk_refused("tap:iface=a,iface=b", 0, "iface is given twice");
    dpdk_refused("ring:name=abcdefghijklmnopqrstuvwxyz", 0, "at most 24 bytes");
}

static void long_texts_are_refused(void)
{
    char text[700] = "memif:role=server,socket=/";

    memset(text + strlen(text), 'x', 120);
    dpdk_refused(text, 0, "at most 107");
    memset(text + strlen(text), 'x', sizeof(text) - strlen(text) - 1);
    dpdk_refused(text, 0, "at most 511");
}

static void numbers_out_of_range_are_refused(void)
{
    char reason[DEVICE_REASON_BYTES] = "";
    struct device_options options = {.text = "ring:name=a", .packets = 10, .reason = reason};
    struct device *device = NULL;

    dpdk_refused("ring:name=a", 500, "mtu 500: a ring device takes 576 to 9000");
    dpdk_refused("ring:name=a", 9001, "mtu 9001");
    CHECK(dpdk_ops->open(&options, &device) == -EINVAL);
    CHECK(strstr(reason, "packets 10: may be 1024 to 1048576") != NULL);
    options.reason = NULL; /* whoever does not want to know */
    CHECK(dpdk_ops->open(&options, &device) == -EINVAL);
}

static void interfaces_that_are_not_there_are_named(void)
{
    dpdk_refused("af_packet:iface=ewnothere", 0, "ewnothere: No such device");
    dpdk_refused("af_xdp:iface=ewnothere", 0, "ip link");
}

int main(void)
{
    RUN(unknown_kinds_are_named);
    RUN(unknown_settings_show_the_form);
    RUN(missing_settings_are_named);
    RUN(wrong_values_say_what_is_allowed);
    RUN(long_texts_are_refused);
    RUN(numbers_out_of_range_are_refused);
    RUN(interfaces_that_are_not_there_are_named);
    return 0;
}
