/* tests/plugin/test_fabric.c - a context whose fabric is wrong, missing, late, lost or back. */
#include <sys/stat.h>

#include "tests/plugin/base.h"

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    CHECK(file != NULL);
    CHECK(fputs(text, file) >= 0);
    CHECK_EQ(fclose(file), 0);
}

/* catches: a text that is half read; the plug-in's judgement thrown away */
static void a_wrong_text_is_an_error_of_open(void)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"address=10.0.0.1/24", "network is missing"},
        {"network=rack", "address is missing"},
        {"network=rack\nnetwork=rack\naddress=10.0.0.1/24", "twice"},
        {"network=Rack A\naddress=10.0.0.1/24", "must be 1 to 63"},
        {"network=\naddress=10.0.0.1/24", "must be 1 to 63"},
        {"network=rack\naddress=10.0.0.1", "A.B.C.D/PREFIX"},
        {"network=rack\naddress=10.0.0.256/24", "A.B.C.D/PREFIX"},
        {"network=rack\naddress=::ffff:1.2.3.4/24", "A.B.C.D/PREFIX"},
        {"network=rack\naddress=10.0.0.1/24\nport=65536", "0 to 65535"},
        {"network=rack\naddress=10.0.0.1/24\nport=-1", "0 to 65535"},
        {"network=rack\naddress=10.0.0.1/24\nport=", "0 to 65535"},
        {"network=rack\naddress=10.0.0.1/24\nmtu", "key=value"},
        {"network=rack\naddress=10.0.0.1/24\ncolour=red", "unknown key \"colour\""},
    };
    char path[512];

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const ew_context_options options = {.fabric = wrong[i].text,
                                            .fabric_plugin = plugin_path(kind->plugin, path)};
        ew_context *context;

        CHECK_EQ(ew_context_open(&options, &context), EW_EINVAL);
        if (strstr(ew_error_text(), wrong[i].says) == NULL)
            printf("(%s) ", ew_error_text());
        CHECK(strstr(ew_error_text(), wrong[i].says) != NULL);
    }
}

/* catches: a context that does not open without its plug-in; a reason that does not help; an address
 * told where nobody listens */
static void without_a_plugin_that_fits_a_context_works(void)
{
    static const struct {
        const char *name, *says;
    } absent[] = {{NULL, "pip install eastwest-dpdk"},
                  {"nowhere", "pip install eastwest-dpdk"},
                  {"ew_stack_bad", "has ABI 2, this library"},
                  {"../libeastwest", "cannot be loaded"}};
    const ew_listen_options listen = {.service = "storm", .bind = "tcp://127.0.0.1:0", .fabric = 1};
    char path[512];

    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        const ew_context_options options = {
            .fabric = "network=rack\naddress=10.0.0.1/24\nport=7411",
            .fabric_plugin = absent[i].name != NULL ? plugin_path(absent[i].name, path) : NULL};
        ew_query_info query;
        ew_listener_info info;
        ew_listener *listener;
        ew_context *context;

        CHECK_EQ(ew_context_open(&options, &context), EW_OK);
        CHECK_EQ(fabric_of(context).state, EW_FABRIC_ABSENT);
        CHECK(strstr(fabric_of(context).reason, absent[i].says) != NULL);
        CHECK_EQ(ew_listen(context, &listen, &listener), EW_OK);
        CHECK_EQ(ew_listener_get_info(listener, &info), EW_OK);
        CHECK_EQ(strcmp(info.fabric_address, ""), 0);
        CHECK_EQ(ew_query(context, info.tcp_address, "storm", 10000 * MS, NULL, &query), EW_OK);
        CHECK_EQ(ew_query(context, "dpdk://rack/10.0.0.2:1", "storm", 10000 * MS, NULL, &query),
                 EW_EUNREACHABLE);
        CHECK(strstr(ew_error_text(), absent[i].says) != NULL);
        ew_listener_free(listener);
        ew_context_close(context);
    }
}

/* catches: a network that is not ours dialled all the same; an address that is half right */
static void only_its_own_network_is_dialled(void)
{
    ew_query_info query;
    ew_context *context, *plain;

    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    CHECK_EQ(ew_context_open(NULL, &plain), EW_OK);
    CHECK_EQ(fabric_of(plain).state, EW_FABRIC_NONE);
    CHECK_EQ(ew_query(context, "dpdk://hall/127.0.0.1:1", "", 0, NULL, &query), EW_EUNREACHABLE);
    CHECK(strstr(ew_error_text(), "this context's is on rack") != NULL);
    CHECK_EQ(ew_query(plain, "dpdk://rack/127.0.0.1:1", "", 0, NULL, &query), EW_EUNREACHABLE);
    CHECK(strstr(ew_error_text(), "no fabric_network") != NULL);
    CHECK_EQ(ew_query(context, "dpdk://127.0.0.1:1", "", 0, NULL, &query), EW_EINVAL);
    CHECK_EQ(ew_query(context, "dpdk:///127.0.0.1:1", "", 0, NULL, &query), EW_EINVAL);
    CHECK_EQ(ew_query(context, "dpdk://rack/127.0.0.1", "", 0, NULL, &query), EW_EINVAL);
    ew_context_close(plain);
    ew_context_close(context);
}

/* catches: no second attempt; a listener that is forgotten when the device comes; news not told */
static void a_device_that_comes_later_is_used(void)
{
    const ew_listen_options listen = {.service = "storm", .fabric = 1};
    char device[256], path[128];
    const struct fabric_kind fails = {"ew_stack_plain", device};
    ew_listener_info info;
    ew_listener *listener;
    ew_query_info query;
    ew_context *context;

    snprintf(path, sizeof(path), "%s/away", directory);
    snprintf(device, sizeof(device), "test,fails_while=%s", path);
    kind = &fails;
    write_file(path, "the socket is not there yet");
    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    CHECK_EQ(fabric_of(context).state, EW_FABRIC_CLOSED);
    CHECK_EQ(strcmp(fabric_of(context).reason, "the socket is not there yet"), 0);
    CHECK_EQ(ew_listen(context, &listen, &listener), EW_OK);
    CHECK_EQ(ew_query(context, "dpdk://rack/127.0.0.1:1", "", 0, NULL, &query), EW_EUNREACHABLE);
    CHECK(strstr(ew_error_text(), "the socket is not there yet") != NULL);
    CHECK_EQ(unlink(path), 0);
    await_state(context, EW_FABRIC_UP);
    CHECK_EQ(ew_listener_get_info(listener, &info), EW_OK);
    CHECK_EQ(strncmp(info.fabric_address, "dpdk://rack/127.0.0.1:", 22), 0);
    CHECK_EQ(ew_query(context, info.fabric_address, "storm", 10000 * MS, NULL, &query), EW_OK);
    ew_listener_free(listener);
    ew_context_close(context);
    kind = kinds;
}

/* catches: an attempt that outlives its context */
static void a_context_may_go_while_it_tries(void)
{
    char device[256], path[128];
    const struct fabric_kind fails = {"ew_stack_plain", device};
    ew_context *context;

    snprintf(path, sizeof(path), "%s/away", directory);
    snprintf(device, sizeof(device), "test,fails_while=%s", path);
    kind = &fails;
    write_file(path, "away");
    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    ew_context_close(context);
    CHECK_EQ(unlink(path), 0);
    kind = kinds;
}

/* catches: two ports for two listeners; another port after the loss; a listener reached over a stack
 * that it is not on; the end of one that closes the other's door */
static void listeners_share_a_port_that_survives_a_loss(void)
{
    const ew_listen_options first = {.service = "first", .fabric = 1},
                            second = {.service = "second", .fabric = 1},
                            third = {.service = "third", .bind = "tcp://127.0.0.1:0"};
    ew_listener *listeners[3];
    ew_listener_info before, after;
    ew_query_info query;
    ew_context *context, *client;

    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    CHECK_EQ(open_on("rack", "", -1, &client), EW_OK);
    CHECK_EQ(ew_listen(context, &first, &listeners[0]), EW_OK);
    CHECK_EQ(ew_listen(context, &second, &listeners[1]), EW_OK);
    CHECK_EQ(ew_listen(context, &third, &listeners[2]), EW_OK);
    CHECK_EQ(ew_listener_get_info(listeners[0], &before), EW_OK);
    CHECK_EQ(ew_listener_get_info(listeners[1], &after), EW_OK);
    CHECK_EQ(strcmp(before.fabric_address, after.fabric_address), 0);
    CHECK_EQ(ew_query(client, before.fabric_address, "third", 10000 * MS, NULL, &query),
             EW_ENOTFOUND);
    ask(context, "test lost");
    await_state(context, EW_FABRIC_LOST);
    CHECK_EQ(fabric_of(context).losses, 1);
    CHECK_EQ(ew_query(client, before.fabric_address, "first", 10000 * MS, NULL, &query),
             EW_EUNREACHABLE);
    ew_listener_free(listeners[0]);
    ask(context, "test back");
    await_state(context, EW_FABRIC_UP);
    CHECK_EQ(ew_query(client, before.fabric_address, "second", 10000 * MS, NULL, &query), EW_OK);
    CHECK_EQ(ew_listener_get_info(listeners[1], &after), EW_OK);
    CHECK_EQ(strcmp(before.fabric_address, after.fabric_address), 0);
    ew_listener_free(listeners[1]);
    ew_listener_free(listeners[2]);
    ew_context_close(client);
    ew_context_close(context);
}

/* catches: a client, which has no listener, that never learns that its port is back */
static void a_port_without_listeners_is_looked_for(void)
{
    ew_query_info query;
    ew_context *context;

    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    ask(context, "test lost");
    CHECK_EQ(fabric_of(context).state, EW_FABRIC_UP); /* nobody has noticed */
    CHECK_EQ(ew_query(context, "dpdk://rack/127.0.0.1:1", "", 10000 * MS, NULL, &query),
             EW_EUNREACHABLE);
    CHECK_EQ(fabric_of(context).state, EW_FABRIC_LOST);
    ask(context, "test back");
    await_state(context, EW_FABRIC_UP);
    ew_context_close(context);
}

/* catches: a device that cannot come back by itself and is waited for; one attempt only; why, not told */
static void a_device_that_is_lost_for_good_is_opened_again(void)
{
    const ew_listen_options listen = {.service = "storm", .fabric = 1};
    ew_listener *listener;
    ew_listener_info info;
    ew_query_info query;
    ew_context *context;
    bool has_said_why = false;

    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    CHECK_EQ(ew_listen(context, &listen, &listener), EW_OK);
    CHECK_EQ(ew_listener_get_info(listener, &info), EW_OK);
    ask(context, "test broken");
    await_state(context, EW_FABRIC_LOST);
    while (fabric_of(context).state == EW_FABRIC_LOST)
        has_said_why |= strstr(fabric_of(context).reason, "nobody listens there yet") != NULL;
    CHECK_EQ(fabric_of(context).state, EW_FABRIC_UP);
    CHECK(has_said_why);
    CHECK_EQ(ew_query(context, info.fabric_address, "storm", 10000 * MS, NULL, &query), EW_OK);
    ew_listener_free(listener);
    ew_context_close(context);
}

/* How often poll is called in a while; the test's own patience is no measure, so: until it was. */
static void await_polls(ew_context *context, uint64_t more)
{
    uint64_t until = ask(context, "test polls") + more;

    while (ask(context, "test polls") < until)
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}

/* catches: a deadline of poll that is thrown away; one that is taken for a period of nothing */
static void the_deadline_of_poll_is_kept(void)
{
    uint64_t before;
    ew_context *context;

    CHECK_EQ(open_on("rack", "deadline_ns=20000000\n", -1, &context), EW_OK);
    await_polls(context, 5);
    before = ask(context, "test polls");
    nanosleep(&(struct timespec){.tv_nsec = 200 * 1000 * 1000}, NULL);
    CHECK(ask(context, "test polls") - before < 20); /* ten, if nobody is late */
    ew_context_close(context);
}

/* catches: what cannot sleep said to sleep, since nobody has to poll it */
static void what_looks_by_itself_says_how_often(void)
{
    static const struct fabric_kind looks = {"ew_stack_plain", "test,looks"};
    ew_context *context;

    kind = &looks;
    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    CHECK_EQ(fabric_of(context).poll_interval_ns, 1000 * 1000);
    CHECK(strstr(fabric_of(context).reason, "cannot sleep") != NULL);
    ew_context_close(context);
    kind = kinds;
}

/* catches: a device that cannot sleep and is not looked at, or is although nothing is open */
static void what_cannot_sleep_is_polled_while_streams_are_open(void)
{
    const ew_listen_options listen = {.service = "storm", .fabric = 1};
    ew_listener *listener;
    ew_context *context;
    uint64_t idle;

    kind = &kinds[2];
    CHECK_EQ(open_on("rack", "", -1, &context), EW_OK);
    CHECK_EQ(fabric_of(context).poll_interval_ns, 1000 * 1000);
    CHECK(strstr(fabric_of(context).reason, "cannot sleep") != NULL);
    CHECK_EQ(ew_listen(context, &listen, &listener), EW_OK);
    await_polls(context, 20);
    ew_listener_free(listener);
    do { /* until the last stream is gone, and then for good */
        idle = ask(context, "test polls");
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    } while (ask(context, "test polls") != idle);
    ew_context_close(context);
    kind = kinds;
}

int main(int argc, char **argv)
{
    begin_plugin(argc, argv);
    RUN(a_wrong_text_is_an_error_of_open);
    RUN(without_a_plugin_that_fits_a_context_works);
    RUN(only_its_own_network_is_dialled);
    RUN(a_device_that_comes_later_is_used);
    RUN(a_context_may_go_while_it_tries);
    EACH_KIND(listeners_share_a_port_that_survives_a_loss);
    EACH_KIND(a_port_without_listeners_is_looked_for);
    EACH_KIND(a_device_that_is_lost_for_good_is_opened_again);
    RUN(the_deadline_of_poll_is_kept);
    RUN(what_cannot_sleep_is_polled_while_streams_are_open);
    RUN(what_looks_by_itself_says_how_often);
    return rmdir(directory);
}
