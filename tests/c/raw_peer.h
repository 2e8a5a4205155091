/* tests/c/raw_peer.h - the other end of a stream link, made by hand from a socket.
 *
 * Purpose    Say to a listener what a test wants, byte by byte, and hear what it answers.
 * Shape      raw_connect, then say_start, say_record, say
 * Owner      the test closes the socket
 * Threads    one
 * Trust      none: test code only
 * Errors     a CHECK fails
 * Invariants I1  no receive is longer than 5 seconds.
 * Ordering   none
 * Source     docs/reference/wire.md
 */
#ifndef TESTS_C_RAW_PEER_H
#define TESTS_C_RAW_PEER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/c/harness.h"
#include "transport/wire.h"

static inline void say(int fd, const void *bytes, size_t length)
{
    CHECK_EQ(send(fd, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
}

/* Connected and greeted; receive_bytes: of the kernel's buffer, 0: as it is. */
static inline int raw_connect(const char *tcp_address, const char *service, int receive_bytes)
{
    const struct timeval patience = {.tv_sec = 5};
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct hello hello = {.version = WIRE_VERSION,
                          .version_min = WIRE_VERSION,
                          .intent = WIRE_OPEN,
                          .generation = 1,
                          .message_bytes_max = 1 << 20,
                          .limit = UINT64_C(1) << 40,
                          .namespace_name = "default"};
    uint8_t bytes[WIRE_HELLO_BYTES];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(hello.service, sizeof(hello.service), "%s", service);
    address.sin_port = htons((uint16_t)atoi(strrchr(tcp_address, ':') + 1));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (receive_bytes > 0)
        CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes)), 0);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    ewi_wire_put_hello(bytes, RECORD_HELLO, &hello);
    say(fd, bytes, sizeof(bytes));
    CHECK_EQ(recv(fd, bytes, sizeof(bytes), MSG_WAITALL), WIRE_HELLO_BYTES);
    CHECK_EQ(ewi_record_decode(ewi_wire_get_header(bytes)).kind, RECORD_WELCOME);
    return fd;
}

static inline void say_record(int fd, const void *payload, uint32_t bytes, uint8_t flags)
{
    const uint64_t header = ewi_record_encode(RECORD_HEADER_BYTES + bytes, RECORD_DATA, flags);

    say(fd, &header, sizeof(header));
    say(fd, payload, bytes);
}

static inline void say_start(int fd)
{
    uint8_t start[WIRE_START_BYTES];

    say(fd, start, ewi_wire_put_u64(start, RECORD_START, 0));
}

#endif
