/* A ring has two ends in one process, and what one end sent outlives it as long as the other has it. */
#include "tests/dpdk/dpdk_base.h"

static void frames_cross_both_ways(void)
{
    struct device *one = dpdk_open("ring:name=r"), *other;
    uint32_t bytes, rx, tx;

    CHECK(!dpdk_ops->carrier(one));
    other = dpdk_open("ring:name=r");
    dpdk_until_up(one); /* it is looked at every 10 ms */
    dpdk_until_up(other);
    for (uint32_t number = 0; number < 3000; number++) {
        dpdk_send(one, number, 60 + number % 1400);
        CHECK_EQ(dpdk_take(other, &bytes), number);
        CHECK_EQ(bytes, 60 + number % 1400);
        dpdk_send(other, number, 60);
        CHECK_EQ(dpdk_take(one, &bytes), number);
    }
    ewi_dpdk_buffers(one, &rx, &tx);
    CHECK(rx == 0 && tx == 0);
    dpdk_refused("ring:name=r", 0, "both ends are open");
    dpdk_ops->close(one);
    dpdk_refused("ring:name=r", 0, "one end was closed");
    dpdk_ops->close(other);
}

static void a_packet_outlives_its_sender(void)
{
    struct device *one = dpdk_open("ring:name=r"), *other = dpdk_open("ring:name=r");
    struct net_rx packet;

    dpdk_send(one, 7, 100);
    CHECK_EQ(dpdk_ops->receive(other, &packet, 1), 1);
    dpdk_ops->close(one);
    CHECK_EQ(dpdk_read(&packet), 7);
    dpdk_ops->give_back(other, &packet.ref, 1);
    dpdk_ops->close(other);
}

static void a_full_ring_takes_no_more_and_loses_nothing(void)
{
    struct device *one = dpdk_open("ring:name=r"), *other = dpdk_open("ring:name=r");
    struct net_frame frames[DEVICE_BURST];
    uint32_t sent = 0, count, bytes, refused = 0;

    memset(frames, 0, sizeof(frames));
    while (refused == 0) {
        uint32_t armed = dpdk_ops->arm(one, frames, DEVICE_BURST);

        for (uint32_t i = 0; i < armed; i++)
            frames[i].bytes = dpdk_write(frames[i].room, sent + i, 60);
        count = dpdk_ops->transmit(one, frames, armed);
        for (uint32_t i = 0; i < armed; i++)
            CHECK((frames[i].room == NULL) == (i < count));
        refused = armed - count;
        sent += count;
    }
    CHECK(sent >= 1000);
    for (uint32_t number = 0; number < sent; number++)
        CHECK_EQ(dpdk_take(other, &bytes), number);
    CHECK_EQ(dpdk_take(other, &bytes), -1);
    dpdk_ops->close(one);
    dpdk_ops->close(other);
}

int main(void)
{
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    RUN(frames_cross_both_ways);
    RUN(a_packet_outlives_its_sender);
    RUN(a_full_ring_takes_no_more_and_loses_nothing);
    return 0;
}
