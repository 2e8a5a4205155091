/* tests/c/test_addr.c - ewi_addr_parse, ewi_addr_format, ewi_addr_is_loopback. */
#include "tests/c/harness.h"
#include "transport/stack.h"

static void check_round_trip(const char *text)
{
    struct stack_addr addr;
    char back[72];

    CHECK_EQ(ewi_addr_parse(text, &addr), EW_OK);
    ewi_addr_format(&addr, back, sizeof(back));
    CHECK(strcmp(back, text) == 0);
}

static void check_refused(const char *text)
{
    struct stack_addr addr = {.family = 77};

    CHECK_EQ(ewi_addr_parse(text, &addr), EW_EINVAL);
    CHECK_EQ(addr.family, 77);
}

/* catches: a port in network order, a lost scope */
static void canonical_text_comes_back(void)
{
    check_round_trip("127.0.0.1:0");
    check_round_trip("255.255.255.255:65535");
    check_round_trip("[::]:80");
    check_round_trip("[fe80::1%7]:4000");
    check_round_trip("[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

/* catches: strtoul's tolerance, a port cut to 16 bits, names looked up */
static void what_is_not_numeric_is_refused(void)
{
    check_refused("");
    check_refused(":80");
    check_refused("127.0.0.1");
    check_refused("127.0.0.1:");
    check_refused("127.0.0.1:65536");
    check_refused("127.0.0.1:99999999999");
    check_refused("127.0.0.1:+1");
    check_refused("127.0.0.1: 1");
    check_refused("127.0.0.1:1 ");
    check_refused("127.1:80");
    check_refused("localhost:80");
    check_refused("1.2.3.4.5.6.7.8.9.10.11.12:80");
    check_refused("::1:80");
    check_refused("[::1]");
    check_refused("[::1]80");
    check_refused("[]:80");
    check_refused("[127.0.0.1]:80");
    check_refused("[fe80::1%eth0]:80");
    check_refused("[fe80::1%]:80");
    check_refused("[fe80::1%4294967296]:80");
}

/* catches: 127.0.0.1 in IPv6 clothes passing for an address that is not loopback */
static void mapped_addresses_are_refused(void)
{
    check_refused("[::ffff:127.0.0.1]:80");
    check_refused("[::ffff:8.8.8.8]:80");
}

static bool is_loopback(const char *text)
{
    struct stack_addr addr;

    CHECK_EQ(ewi_addr_parse(text, &addr), EW_OK);
    return ewi_addr_is_loopback(&addr);
}

/* catches: only 127.0.0.1 taken for loopback, ::1 compared in part */
static void loopback_is_all_of_127_and_one_ip6_address(void)
{
    CHECK(is_loopback("127.0.0.1:1"));
    CHECK(is_loopback("127.255.0.9:1"));
    CHECK(is_loopback("[::1]:1"));
    CHECK(!is_loopback("128.0.0.1:1"));
    CHECK(!is_loopback("0.0.0.0:1"));
    CHECK(!is_loopback("[::]:1"));
    CHECK(!is_loopback("[1::1]:1"));
}

int main(void)
{
    RUN(canonical_text_comes_back);
    RUN(what_is_not_numeric_is_refused);
    RUN(mapped_addresses_are_refused);
    RUN(loopback_is_all_of_127_and_one_ip6_address);
    return 0;
}
