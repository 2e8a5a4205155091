/* The shared object, as the tool uses it: loaded by dlopen, packets and calls only through the table.
 * usage: test_packetdrill [OBJECT] */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "tests/pkt/packetdrill/tool.h"

static void options_of(char *names, size_t room)
{
    const uint8_t *tcp = packet + head();
    size_t end_at = (size_t)(tcp[12] >> 4) * 4, used = 0;

    for (size_t at = NET_TCP_BYTES; at < end_at && used + 2 < room; at += tcp[at] < 2 ? 1 : tcp[at + 1])
        names[used++] = (char)('0' + tcp[at]);
    names[used] = '\0';
}

static void check_order(const char *flags, const char *want)
{
    struct net_tcp first = syn(NET_TCP_SYN, 0);
    char names[32];

    begin(flags);
    first.has |= NET_TCP_HAS_TIMES;
    first.time = 77;
    listener();
    arrives(first, "");
    departs(NET_TCP_SYN | NET_TCP_ACK);
    options_of(names, sizeof(names));
    CHECK(strcmp(names, want) == 0);
    end();
}

static void options_of_a_syn_are_in_the_order_of_linux(void)
{
    check_order("", "24813");
    check_order("order=linux", "24813");
}

static void options_of_a_syn_are_in_the_plain_order_on_request(void)
{
    check_order("order=plain,mtu=1500", "21348");
}

static void mtu_of_the_flags_decides_the_mss(void)
{
    begin("mtu=1000 order=plain");
    listener();
    arrives(syn(NET_TCP_SYN, 0), "");
    departs(NET_TCP_SYN | NET_TCP_ACK);
    CHECK_EQ(seen.tcp.mss, 960);
    end();
}

static void data_goes_both_ways_and_ends(void)
{
    char room[16];
    int fd, left;

    begin(NULL);
    fd = accepted();
    CHECK_EQ(tool.write(tool.userdata, fd, "hello", 5), 5);
    departs(NET_TCP_ACK);
    CHECK(seen.payload_bytes == 5 && memcmp(seen.payload, "hello", 5) == 0);
    CHECK_EQ(tool.ioctl(tool.userdata, fd, SIOCOUTQ, &left), 0);
    CHECK_EQ(left, 5);
    arrives(segment(NET_TCP_ACK, ISS + 1, our_next()), "world!");
    CHECK_EQ(tool.ioctl(tool.userdata, fd, SIOCOUTQ, &left), 0);
    CHECK_EQ(left, 0);
    CHECK_EQ(tool.ioctl(tool.userdata, fd, FIONREAD, &left), 0);
    CHECK_EQ(left, 6);
    CHECK_EQ(tool.recv(tool.userdata, fd, room, sizeof(room), MSG_PEEK), 6);
    CHECK_EQ(tool.read(tool.userdata, fd, room, sizeof(room)), 6);
    CHECK(memcmp(room, "world!", 6) == 0);
    arrives(segment(NET_TCP_ACK | NET_TCP_FIN, ISS + 7, our_next()), "");
    CHECK_EQ(tool.read(tool.userdata, fd, room, sizeof(room)), 0);
    CHECK_EQ(tool.close(tool.userdata, fd), 0);
    do
        CHECK(anything_departs());
    while ((seen.tcp.flags & NET_TCP_FIN) == 0);
    arrives(segment(NET_TCP_ACK, ISS + 8, our_next()), "");
    CHECK_EQ(tool.read(tool.userdata, fd, room, sizeof(room)), -1);
    CHECK_EQ(errno, EBADF);
    end();
}

static void handshake_and_data_work_over_ipv6(void)
{
    int fd;

    begin("local6=fd3d:a0b:17d6::1");
    is_ip6 = true;
    fd = accepted();
    CHECK_EQ(tool.send(tool.userdata, fd, "six", 3, 0), 3);
    departs(NET_TCP_ACK);
    CHECK_EQ(seen.payload_bytes, 3);
    end();
}

/* Nobody sleeps: a second passes because there is nothing else to do. */
static void lost_segment_is_sent_again_after_a_virtual_second(void)
{
    long long first_us;
    int fd;

    begin(NULL);
    fd = accepted();
    CHECK_EQ(tool.write(tool.userdata, fd, "lost", 4), 4);
    departs(NET_TCP_ACK);
    first_us = seen_us;
    departs(NET_TCP_ACK);
    CHECK(seen.payload_bytes == 4 && memcmp(seen.payload, "lost", 4) == 0);
    CHECK(seen_us > first_us && seen_us - first_us < 3000000);
    CHECK(clock_us() >= seen_us);
    CHECK(clock_us() < seen_us + 1000);
    end();
}

static void packet_of_a_sleep_bears_its_own_time(void)
{
    long long before_us;
    int fd;

    begin(NULL);
    fd = accepted();
    CHECK_EQ(tool.write(tool.userdata, fd, "x", 1), 1);
    departs(NET_TCP_ACK);
    before_us = clock_us();
    CHECK_EQ(tool.usleep(tool.userdata, 10000000), 0);
    CHECK(clock_us() - before_us >= 10000000);
    departs(NET_TCP_ACK);
    CHECK(seen_us < before_us + 3000000);
    end();
}

static void clock_moves_whenever_it_is_read(void)
{
    long long before_us;

    begin(NULL);
    before_us = clock_us();
    for (int i = 0; i < 5; i++) {
        long long now_us = clock_us();

        CHECK(now_us > before_us && now_us < before_us + 100);
        before_us = now_us;
    }
    end();
}

/* ---- the second thread ---- */

struct blocked {
    pthread_t thread;
    int fd;
    ssize_t result;
    int error;
    char room[16];
};

static void *reads(void *context)
{
    struct blocked *blocked = context;

    blocked->result = tool.read(tool.userdata, blocked->fd, blocked->room, sizeof(blocked->room));
    blocked->error = errno;
    return NULL;
}

static void *connects(void *context)
{
    struct blocked *blocked = context;
    struct sockaddr_storage remote;

    blocked->result = tool.connect(tool.userdata, blocked->fd, (void *)&remote,
                                   address(&remote, false, REMOTE_PORT));
    blocked->error = errno;
    return NULL;
}

static double real_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void blocked_read_ends_with_the_packet(void)
{
    struct blocked blocked = {0};
    double before = real_s();

    begin("patience_ms=60000");
    blocked.fd = accepted();
    CHECK_EQ(pthread_create(&blocked.thread, NULL, reads, &blocked), 0);
    arrives(segment(NET_TCP_ACK, ISS + 1, our_next()), "late");
    CHECK_EQ(pthread_join(blocked.thread, NULL), 0);
    CHECK_EQ(blocked.result, 4);
    CHECK(real_s() - before < 30); /* woken, not out of patience */
    end();
}

static void blocked_connect_ends_with_the_answer(void)
{
    struct blocked blocked = {0};

    begin(NULL);
    blocked.fd = new_socket(SOCK_STREAM);
    CHECK_EQ(pthread_create(&blocked.thread, NULL, connects, &blocked), 0);
    while (!anything_departs()) /* the other thread has not called yet */
        continue;
    CHECK_EQ(seen.tcp.flags, NET_TCP_SYN);
    arrives(syn(NET_TCP_SYN | NET_TCP_ACK, our_next()), "");
    CHECK_EQ(pthread_join(blocked.thread, NULL), 0);
    CHECK_EQ(blocked.result, 0);
    departs(NET_TCP_ACK);
    end();
}

static void read_that_nothing_can_end_gives_up(void)
{
    char room[4];
    int fd;

    begin("patience_ms=20");
    fd = accepted();
    CHECK_EQ(tool.read(tool.userdata, fd, room, sizeof(room)), -1);
    CHECK_EQ(errno, EDEADLK);
    end();
}

/* ---- readiness, options ---- */

static int started_connect(void)
{
    struct sockaddr_storage remote;
    socklen_t bytes = address(&remote, false, REMOTE_PORT);
    int fd = new_socket(SOCK_STREAM | SOCK_NONBLOCK);

    CHECK_EQ(tool.connect(tool.userdata, fd, (void *)&remote, bytes), -1);
    CHECK_EQ(errno, EINPROGRESS);
    departs(NET_TCP_SYN);
    return fd;
}

static void connect_without_waiting_reports_later(void)
{
    struct sockaddr_storage remote;
    struct pollfd one = {.events = POLLOUT};
    socklen_t bytes;
    int error = -1, fd;

    begin(NULL);
    one.fd = fd = started_connect();
    bytes = address(&remote, false, REMOTE_PORT);
    CHECK_EQ(tool.connect(tool.userdata, fd, (void *)&remote, bytes), -1);
    CHECK_EQ(errno, EALREADY);
    CHECK_EQ(tool.poll(tool.userdata, &one, 1, 0), 0);
    arrives(syn(NET_TCP_SYN | NET_TCP_ACK, our_next()), "");
    CHECK_EQ(tool.poll(tool.userdata, &one, 1, 0), 1);
    CHECK_EQ(one.revents, POLLOUT);
    bytes = sizeof(error);
    CHECK_EQ(tool.getsockopt(tool.userdata, fd, SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
    CHECK_EQ(error, 0);
    end();
}

static void refused_connect_says_so_once(void)
{
    socklen_t bytes = sizeof(int);
    int error = -1, fd;

    begin(NULL);
    fd = started_connect();
    arrives(segment(NET_TCP_RST | NET_TCP_ACK, 0, our_next()), "");
    CHECK_EQ(tool.getsockopt(tool.userdata, fd, SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
    CHECK_EQ(error, ECONNREFUSED);
    CHECK_EQ(tool.getsockopt(tool.userdata, fd, SOL_SOCKET, SO_ERROR, &error, &bytes), 0);
    CHECK_EQ(error, 0);
    end();
}

static void reset_stream_fails_once_and_then_is_at_its_end(void)
{
    char room[4];
    int fd;

    begin(NULL);
    fd = accepted();
    arrives(segment(NET_TCP_RST, ISS + 1, 0), "");
    CHECK_EQ(tool.read(tool.userdata, fd, room, sizeof(room)), -1);
    CHECK_EQ(errno, ECONNRESET);
    CHECK_EQ(tool.read(tool.userdata, fd, room, sizeof(room)), 0);
    CHECK_EQ(tool.write(tool.userdata, fd, "x", 1), -1);
    CHECK_EQ(errno, EPIPE);
    end();
}

static void linger_of_zero_resets(void)
{
    const struct linger now = {1, 0};
    int fd;

    begin(NULL);
    fd = accepted();
    CHECK_EQ(tool.setsockopt(tool.userdata, fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    CHECK_EQ(tool.close(tool.userdata, fd), 0);
    CHECK(anything_departs());
    CHECK((seen.tcp.flags & NET_TCP_RST) != 0);
    end();
}

static void tcp_info_is_that_of_linux(void)
{
    struct tcp_info info;
    socklen_t bytes = sizeof(info);
    int fd;

    begin(NULL);
    fd = accepted();
    CHECK_EQ(tool.getsockopt(tool.userdata, fd, IPPROTO_TCP, TCP_INFO, &info, &bytes), 0);
    CHECK_EQ(bytes, sizeof(info));
    CHECK_EQ(info.tcpi_state, TCP_ESTABLISHED);
    CHECK_EQ(info.tcpi_snd_wscale, 7);
    CHECK_EQ(info.tcpi_snd_cwnd, 10); /* RFC 6928 section 2 */
    CHECK((info.tcpi_options & TCPI_OPT_SACK) != 0);
    end();
}

static void options_before_connect_are_kept(void)
{
    struct sockaddr_storage remote;
    char name[16];
    int fd, mss = 700, read;
    socklen_t bytes = sizeof(read);

    begin(NULL);
    fd = new_socket(SOCK_STREAM | SOCK_NONBLOCK);
    CHECK_EQ(tool.setsockopt(tool.userdata, fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)), 0);
    CHECK_EQ(tool.setsockopt(tool.userdata, fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    CHECK_EQ(tool.setsockopt(tool.userdata, fd, IPPROTO_TCP, TCP_CONGESTION, "none", 4), -1);
    tool.connect(tool.userdata, fd, (void *)&remote, address(&remote, false, REMOTE_PORT));
    departs(NET_TCP_SYN);
    CHECK_EQ(seen.tcp.mss, 700);
    CHECK_EQ(tool.getsockopt(tool.userdata, fd, IPPROTO_TCP, TCP_MAXSEG, &read, &bytes), 0);
    CHECK_EQ(read, 700);
    bytes = sizeof(name);
    CHECK_EQ(tool.getsockopt(tool.userdata, fd, IPPROTO_TCP, TCP_CONGESTION, name, &bytes), 0);
    CHECK(strcmp(name, "reno") == 0);
    started_connect(); /* another one is as ever */
    CHECK_EQ(seen.tcp.mss, 1460);
    end();
}

static void poll_lets_virtual_time_pass(void)
{
    struct pollfd one = {.events = POLLIN};
    long long before_us;

    begin(NULL);
    one.fd = accepted();
    before_us = clock_us();
    CHECK_EQ(tool.poll(tool.userdata, &one, 1, 60000), 0);
    CHECK(clock_us() - before_us >= 60000000);
    end();
}

static void epoll_reports_an_edge_once(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = 9}, found;
    int fd, epoll;

    begin(NULL);
    fd = accepted();
    epoll = tool.epoll_create(tool.userdata, 1);
    CHECK_EQ(tool.epoll_ctl(tool.userdata, epoll, EPOLL_CTL_ADD, fd, &event), 0);
    CHECK_EQ(tool.epoll_ctl(tool.userdata, epoll, EPOLL_CTL_ADD, fd, &event), -1);
    CHECK_EQ(errno, EEXIST);
    CHECK_EQ(tool.epoll_wait(tool.userdata, epoll, &found, 1, 0), 0);
    arrives(segment(NET_TCP_ACK, ISS + 1, our_next()), "x");
    CHECK_EQ(tool.epoll_wait(tool.userdata, epoll, &found, 1, 0), 1);
    CHECK(found.events == EPOLLIN && found.data.u64 == 9);
    CHECK_EQ(tool.epoll_wait(tool.userdata, epoll, &found, 1, 0), 0);
    CHECK_EQ(tool.close(tool.userdata, epoll), 0);
    end();
}

static void datagram_is_answered(void)
{
    struct net_udp udp = {.source_port = 7, .destination_port = 9, .payload_bytes = 2,
                          .has_checksum = true};
    struct sockaddr_storage local, from;
    socklen_t bytes = sizeof(from);
    uint8_t out[64], room[8];
    int fd;

    begin(NULL);
    fd = new_socket(SOCK_DGRAM);
    CHECK_EQ(tool.bind(tool.userdata, fd, (void *)&local, address(&local, true, 9)), 0);
    CHECK_EQ(tool.recv(tool.userdata, fd, room, sizeof(room), MSG_DONTWAIT), -1);
    CHECK_EQ(errno, EAGAIN);
    memcpy(out + NET_IP4_BYTES + NET_UDP_BYTES, "up", 2);
    ewi_net_udp_build(out + NET_IP4_BYTES, &udp, addresses(), ewi_net_sum("up", 2));
    arrives_ip(out, NET_UDP, NET_UDP_BYTES + 2);
    CHECK_EQ(tool.recvfrom(tool.userdata, fd, room, sizeof(room), 0, (void *)&from, &bytes), 2);
    CHECK_EQ(tool.sendto(tool.userdata, fd, "down", 4, 0, (void *)&from, bytes), 4);
    CHECK(anything_departs());
    CHECK(seen.udp.destination_port == 7 && seen.payload_bytes == 4);
    end();
}

static void absent_calls_say_so(void)
{
    struct sockaddr_storage local;
    int fds[2], fd, on = 1;

    begin(NULL);
    CHECK_EQ(tool.pipe(tool.userdata, fds), -1);
    CHECK_EQ(errno, ENOSYS);
    CHECK_EQ(tool.splice(tool.userdata, 0, NULL, 1, NULL, 1, 0), -1);
    CHECK_EQ(errno, ENOSYS);
    CHECK_EQ(tool.socket(tool.userdata, AF_UNIX, SOCK_STREAM, 0), -1);
    CHECK_EQ(errno, EAFNOSUPPORT);
    CHECK_EQ(tool.close(tool.userdata, 3), -1);
    CHECK_EQ(errno, EBADF);
    fd = new_socket(SOCK_STREAM);
    CHECK_EQ(tool.setsockopt(tool.userdata, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    CHECK_EQ(tool.setsockopt(tool.userdata, fd, SOL_SOCKET, 9999, &on, sizeof(on)), -1);
    CHECK_EQ(errno, ENOPROTOOPT);
    CHECK_EQ(tool.bind(tool.userdata, fd, (void *)&local, address(&local, true, 1)), 0);
    CHECK_EQ(tool.bind(tool.userdata, fd, (void *)&local, address(&local, true, 1)), -1);
    CHECK_EQ(errno, EINVAL);
    CHECK_EQ(tool.shutdown(tool.userdata, fd, SHUT_WR), -1);
    CHECK_EQ(errno, ENOTCONN);
    CHECK_EQ(tool.fcntl(tool.userdata, fd, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(tool.fcntl(tool.userdata, fd, F_GETFL), O_RDWR | O_NONBLOCK);
    CHECK_EQ(tool.netdev_send(tool.userdata, "", 0), -1);
    end();
}

static void unknown_flag_ends_the_program(void)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        fclose(stderr);
        begin("order=upside-down");
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

int main(int argc, char **argv)
{
    void *object;

    object = dlopen(argc > 1 ? argv[1] : "./ew_packetdrill.so", RTLD_NOW | RTLD_LOCAL);
    if (object == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(object != NULL);
    *(void **)&init = dlsym(object, "packetdrill_interface_init");
    CHECK(init != NULL);
    RUN(options_of_a_syn_are_in_the_order_of_linux);
    RUN(options_of_a_syn_are_in_the_plain_order_on_request);
    RUN(mtu_of_the_flags_decides_the_mss);
    RUN(data_goes_both_ways_and_ends);
    RUN(handshake_and_data_work_over_ipv6);
    RUN(lost_segment_is_sent_again_after_a_virtual_second);
    RUN(packet_of_a_sleep_bears_its_own_time);
    RUN(clock_moves_whenever_it_is_read);
    RUN(blocked_read_ends_with_the_packet);
    RUN(blocked_connect_ends_with_the_answer);
    RUN(read_that_nothing_can_end_gives_up);
    RUN(connect_without_waiting_reports_later);
    RUN(refused_connect_says_so_once);
    RUN(reset_stream_fails_once_and_then_is_at_its_end);
    RUN(linger_of_zero_resets);
    RUN(tcp_info_is_that_of_linux);
    RUN(options_before_connect_are_kept);
    RUN(poll_lets_virtual_time_pass);
    RUN(epoll_reports_an_edge_once);
    RUN(datagram_is_answered);
    RUN(absent_calls_say_so);
    RUN(unknown_flag_ends_the_program);
    return 0;
}
