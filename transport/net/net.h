/* transport/net/net.h - TCP/IP as a value: packets in, frames out, a deadline.
 *
 * Purpose    The whole of TCP, UDP, IPv4 and IPv6 without I/O, threads, clocks, globals, callbacks or
 *            allocation after start, so that the same code runs under DPDK, a simulator with virtual
 *            time, packet scripts and fuzzers. All of them are shells around the calls below.
 * Shape      A shell repeats:  input -> tick -> events, user calls -> output, and sleeps until
 *            deadline().  All pull: a shell that is full asks for fewer frames, and only what has no
 *            connection (ARP, ICMP, RST, UDP) ever waits inside, in a bounded number of slots.
 *            Streams, listeners and UDP endpoints are 64-bit handles (slot and generation) as in
 *            transport/stack.h; 0 is never valid and a stale one gives -ESTALE.
 *            Times are u64 ns of one monotonic clock. `now` never falls; user calls without it mean
 *            the last one that was given.
 * Owner      The memory of init() is the stack's until the caller stops using it; there is nothing to
 *            close. A packet that input() keeps belongs to the stack until reclaim() gives its
 *            reference back; one reference has one owner. Frames are the shell's: no pointer into
 *            them stays. What send() took is read until `released` has reached it.
 * Threads    one caller at a time
 * Trust      packets are hostile; the shell and the user are not
 * Errors     negative errno for the user, counters (transport/net/counters.h) for packets. A stream
 *            that failed answers the same error until it is finished; what had arrived is read first.
 * Invariants I1  bytes are delivered in order and once; a send takes a prefix and says how much.
 *            I2  CLOSED is a stream's last event, and nothing of the caller's is referenced then.
 *            I3  every reference kept by input() comes out of reclaim() once, or is held by a token
 *                until its release.
 *            I4  the same seed, calls and times give the same frames and events.
 * Ordering   single threaded
 * Source     design, section 6; RFC 9293 section 3.9
 */
#ifndef EWI_TRANSPORT_NET_NET_H
#define EWI_TRANSPORT_NET_NET_H

#include "transport/net/counters.h"
#include "transport/net/header_tcp.h"
#include "transport/net/wheel.h" /* NET_NEVER */
#include "transport/stack.h"

struct ewi_net;

/* ---- start ---- */

struct net_config { /* how much of everything there may be; all memory is reserved at start */
    uint32_t conns_max;     /* open connections, 1 .. 2^20 * 4 */
    uint32_t listeners_max; /* 1 .. 65536 */
    uint32_t half_open_max; /* connections whose SYN was answered: the SYN queue */
    uint32_t time_waits_max;
    uint32_t packets_max;   /* packets kept: received and not yet read, or out of order */
    uint32_t runs_max;      /* runs of segments in flight, 56 bytes each */
    uint32_t spans_max;     /* spans accepted by send and not released */
    uint32_t troubles_max;  /* connections with loss or disorder at one time */
    uint32_t copies_max;    /* buffers of NET_COPY_BYTES for packets that came without a reference */
    uint32_t udp_max;       /* UDP endpoints */
    uint32_t ports_max;     /* devices, 1 .. 64 */
    uint32_t addresses_max, routes_max, neighbours_max, paths_max; /* paths: known path MTUs */
    uint32_t slots_max;     /* 16 or more: packets without a connection on their way out, or waiting for a neighbour */
    uint32_t slot_bytes;    /* the longest of them with its IP header: 1280 .. 65535 */
    uint32_t reassemblies_max; /* datagrams in pieces at one time, 64 KiB each */
    uint64_t rx_bytes_max;  /* of memory (charge) that all packets kept may pin */
};

enum { NET_COPY_BYTES = 2048 };

/* Sensible numbers for so many connections. */
void ewi_net_config_for(struct net_config *config, uint32_t conns);
/* 0: a number is out of range. */
size_t ewi_net_bytes(const struct net_config *config);
/* memory: ewi_net_bytes() of it, aligned to NET_ALIGN; may be untouched zero pages. NULL: as bytes(). */
struct ewi_net *ewi_net_init(void *memory, const struct net_config *config, const uint8_t seed[32],
                             uint64_t now);

/* ---- ports, addresses, routes, neighbours: 0 or a port's number, else negative errno ---- */

enum net_port_caps {
    NET_PORT_ETHERNET = 1u << 0, /* else bare IP packets: packet scripts, tun */
    NET_PORT_TX_SUM = 1u << 1,   /* the device finishes TCP's and UDP's checksums */
    NET_PORT_TX_TSO = 1u << 2,   /* and cuts segments: needs TX_SUM */
    NET_PORT_RX_TRUST = 1u << 3, /* a wire in memory between trusted ends: NET_RX_SUM_BLANK is fine */
};

struct net_port_config {
    uint8_t mac[6];
    uint16_t mtu;     /* of IP: 576 .. 65535; IPv6 needs 1280 */
    uint32_t caps;
    uint32_t tso_max; /* bytes of payload in a TSO frame */
};

int ewi_net_port_add(struct ewi_net *net, const struct net_port_config *port);
/* Another device is the port from now on, perhaps with another address and on another wire: what was learnt
 * of neighbours is forgotten. -EINVAL: no port of Ethernet, or no address of one station. */
int ewi_net_port_set_mac(struct ewi_net *net, int port, const uint8_t mac[6]);
int ewi_net_port_set_mtu(struct ewi_net *net, int port, uint16_t mtu);
/* Its link was down and is up again: whoever is there now is told our addresses. Not oftener than once in
 * two seconds, however often the link comes and goes. */
int ewi_net_port_is_back(struct ewi_net *net, int port);

enum net_address_flags {
    NET_ADDRESS_SURE = 1,  /* do not look for a duplicate (DAD, ARP probe): usable and announced at once */
    NET_ADDRESS_QUICK = 2, /* look sixteen times as fast as the standards: usable in 0.3 to 0.5 s */
};
/* The network of the prefix becomes a route. port of addr does not count. */
int ewi_net_address_add(struct ewi_net *net, int port, const struct stack_addr *address,
                        unsigned prefix, uint32_t flags);
enum net_address_state { NET_ADDRESS_NONE, NET_ADDRESS_TENTATIVE, NET_ADDRESS_GOOD, NET_ADDRESS_TWICE };
enum net_address_state ewi_net_address_state(const struct ewi_net *net, int port,
                                             const struct stack_addr *address);
/* via NULL: on the link. */
int ewi_net_route_add(struct ewi_net *net, const struct stack_addr *to, unsigned prefix, int port,
                      const struct stack_addr *via);
int ewi_net_neighbour_add(struct ewi_net *net, int port, const struct stack_addr *address,
                          const uint8_t mac[6]);

/* ---- the shell's side ---- */

enum net_rx_flags {
    NET_RX_SUM_GOOD = 1,  /* the device has judged the transport checksum */
    NET_RX_SUM_BLANK = 2, /* it was never computed: only from ports with RX_TRUST */
    NET_RX_KEPT = 4,      /* set by input(): the reference is the stack's until reclaim() */
};

struct net_rx {
    uint8_t *data;   /* writable, also `room` bytes behind it */
    void *ref;       /* given back by reclaim; NULL: memory is valid during the call only, it is copied */
    uint32_t bytes;
    uint32_t room;   /* unused bytes of the buffer behind the packet */
    uint32_t charge; /* bytes of memory that the reference pins, at least `bytes` */
    uint16_t port;
    uint16_t flags;
};
/* Entries without NET_RX_KEPT afterwards are the shell's again. */
void ewi_net_input(struct ewi_net *net, uint64_t now, struct net_rx *packets, uint32_t count);
uint32_t ewi_net_reclaim(struct ewi_net *net, void **refs, uint32_t room);
/* Does what is due. */
void ewi_net_tick(struct ewi_net *net, uint64_t now);

struct net_frame {
    uint8_t *room;      /* the shell's; at least the largest MTU of a port and 18 bytes, or skipped */
    uint32_t room_bytes;
    uint32_t bytes;     /* written */
    uint16_t port;
    uint16_t tso_mss;   /* not 0: the device cuts it into segments of so much payload */
    uint8_t link_bytes, network_bytes, transport_bytes; /* of headers */
    bool finish_sum;    /* the device finishes the checksum, which holds the pseudo-header's sum */
};
/* The shell fills room and room_bytes. Returns how many frames were filled; less than count: there
 * is nothing more to send now. */
uint32_t ewi_net_output(struct ewi_net *net, uint64_t now, struct net_frame *frames, uint32_t count);
/* When to call tick() though nothing arrives; 0: output() has something now; NET_NEVER. */
uint64_t ewi_net_deadline(const struct ewi_net *net);
/* As stack.h's poll: at most count. user, stream, bits. */
uint32_t ewi_net_events(struct ewi_net *net, struct stack_event *events, uint32_t count);
const struct net_counters *ewi_net_counters(const struct ewi_net *net);

/* ---- the user's side: the words of transport/stack.h ---- */

int ewi_net_listen(struct ewi_net *net, const struct stack_addr *local, uint32_t backlog,
                   uint64_t user, ewi_stream *out);
/* Our address for talking to remote, with its scope; the port of local stays. 0 or -ENETUNREACH. */
int ewi_net_source(struct ewi_net *net, const struct stack_addr *remote, struct stack_addr *local);
/* local NULL, or address or port zero: chosen. */
int ewi_net_connect(struct ewi_net *net, const struct stack_addr *local,
                    const struct stack_addr *remote, uint64_t user, uint64_t now, ewi_stream *out);
int ewi_net_accept(struct ewi_net *net, ewi_stream listener, uint64_t user, ewi_stream *out);

/* Takes a prefix of the spans (at most 8). -EAGAIN: no room; -EPIPE after shutdown; what was FAILED. */
int64_t ewi_net_send(struct ewi_net *net, ewi_stream stream, const struct stack_span *spans,
                     uint32_t count);
/* Stream bytes, from 0, acknowledged by the peer: their memory is the caller's again. */
int ewi_net_released(struct ewi_net *net, ewi_stream stream, uint64_t *out);
/* As stack.h: bytes copied, 0: the peer's FIN, -EAGAIN. */
int64_t ewi_net_recv_into(struct ewi_net *net, ewi_stream stream, const struct stack_room *rooms,
                          uint32_t count);

struct net_token {
    const uint8_t *data;
    uint32_t bytes;
    uint32_t id; /* for release, once; its window reopens then */
};
/* Tokens (at most count) for bytes that stay where they arrived; 0: the peer's FIN, -EAGAIN. They
 * outlive the stream. */
int ewi_net_recv(struct ewi_net *net, ewi_stream stream, struct net_token *tokens, uint32_t count);
void ewi_net_release(struct ewi_net *net, const struct net_token *tokens, uint32_t count);

uint32_t ewi_net_ready(struct ewi_net *net, ewi_stream stream); /* enum stack_event_bits, now */
int ewi_net_error(struct ewi_net *net, ewi_stream stream);      /* why FAILED, 0: it did not */
int ewi_net_shutdown(struct ewi_net *net, ewi_stream stream);   /* FIN behind what was accepted */
/* reset: RST now. Else an orderly end in the background; bytes that arrive or were not read reset it
 * (RFC 9293 section 3.6.1, SHLD-3). The handle is stale afterwards, CLOSED with it comes later. */
int ewi_net_finish(struct ewi_net *net, ewi_stream stream, bool reset, uint64_t now);
int ewi_net_watch(struct ewi_net *net, ewi_stream stream, uint32_t bits);
int ewi_net_addresses(struct ewi_net *net, ewi_stream stream, struct stack_addr *local,
                      struct stack_addr *remote);

enum net_option { /* of one stream; of a listener: of what it accepts; of stream 0: of all new ones */
    NET_OPTION_NODELAY,       /* 1: no Nagle. Default 0 */
    NET_OPTION_CORK,          /* 1: only full segments, at most 200 ms long */
    NET_OPTION_QUICK_ACK,     /* 1: no delayed ACK */
    NET_OPTION_RECV_BYTES,    /* memory that what was received may pin; the window follows. 1 MiB */
    NET_OPTION_SEND_BYTES,    /* bytes accepted and not released. 4 MiB */
    NET_OPTION_CONGESTION,    /* before connect or listen: enum net_cc_kind. CUBIC */
    NET_OPTION_TIMEOUTS,      /* enum net_timeouts. NET_TIMEOUTS_FABRIC */
    NET_OPTION_ECN,           /* before connect or listen. 1: ask for and accept it. 0: accept only; -> 2: never. Default 0 */
    NET_OPTION_TIMESTAMPS,    /* before connect or listen. Default 1 */
    NET_OPTION_SACK,          /* before connect or listen. Default 1 */
    NET_OPTION_SCALE,         /* 1: the least scale that RECV_BYTES needs; 0: none. Default 1 */
    NET_OPTION_MSS,           /* 0: what the path allows; else at most so much */
    NET_OPTION_KEEPALIVE_NS,  /* idle time before the first probe, 0: off. Default 0; every time without
                               * a limit of its own: at most 20 days */
    NET_OPTION_KEEPALIVE_INTERVAL_NS, /* 75 s, at most 2 hours; Linux answers one probe in 500 ms at most */
    NET_OPTION_KEEPALIVE_COUNT,       /* 9 */
    NET_OPTION_USER_TIMEOUT_NS,       /* RFC 5482: data unacknowledged, or no window, so long. 0: after
                                       * 15 retransmissions, R2 of RFC 9293 section 3.8.3 */
    NET_OPTION_SYN_RETRIES,           /* 7: three minutes, RFC 9293 section 3.8.3 */
    NET_OPTION_FIN_WAIT_NS,   /* how long a finished stream waits for the peer's FIN. 60 s */
    NET_OPTION_TIME_WAIT_NS,  /* 60 s; of stream 0 only */
    NET_OPTION_DELAY_ACK_NS,  /* 40 ms, with TIMEOUTS_SPIN at most 1 ms; RFC 9293 section 3.8.6.3: below 500 ms */
    NET_OPTION_SYN_ORDER,     /* enum net_tcp_order */
    NET_OPTION_SYN_COOKIES,   /* 0: never, 1: when the SYN queue is full, 2: always. Stream 0 only; 1 */
    NET_OPTION_HYSTART,       /* before connect or listen. 1 */
    NET_OPTION_CLASS,         /* traffic class: DSCP in the upper six bits */
    NET_OPTION_HOP_LIMIT,     /* 64 */
    NET_OPTIONS
};
enum net_timeouts { NET_TIMEOUTS_FABRIC, NET_TIMEOUTS_SPIN, NET_TIMEOUTS_RFC }; /* rtt.h's limits */
int ewi_net_set(struct ewi_net *net, ewi_stream stream, enum net_option option, uint64_t value);
int ewi_net_get(struct ewi_net *net, ewi_stream stream, enum net_option option, uint64_t *value);

enum net_tcp_state {
    NET_TCP_CLOSED, NET_TCP_LISTEN, NET_TCP_SYN_SENT, NET_TCP_SYN_RECEIVED, NET_TCP_ESTABLISHED,
    NET_TCP_FIN_WAIT_1, NET_TCP_FIN_WAIT_2, NET_TCP_CLOSE_WAIT, NET_TCP_CLOSING, NET_TCP_LAST_ACK,
    NET_TCP_TIME_WAIT, NET_TCP_STATES
};
const char *ewi_net_tcp_state_name(enum net_tcp_state state);

enum net_tcp_recovery { NET_OPEN, NET_DISORDER, NET_CWR, NET_RECOVERY, NET_LOSS };

struct net_tcp_info { /* as Linux's tcp_info, in bytes and ns */
    enum net_tcp_state state;
    enum net_tcp_recovery recovery;
    const char *congestion;
    bool timestamps, sack, ecn, scaled;
    uint8_t send_scale, receive_scale, backoff, probes;
    uint16_t send_mss, receive_mss, path_mtu;
    uint32_t cwnd, ssthresh, send_window, receive_window;
    uint32_t in_flight, lost, sacked; /* bytes */
    uint32_t unsent;
    uint32_t readable, charged;
    uint64_t rto, srtt, rttvar, min_rtt;
    uint64_t bytes_sent, bytes_acked, bytes_received; /* of the stream, without SYN and FIN */
    uint64_t segments_resent, timeouts, undone, spurious;
    uint64_t since_heard;
    int soft_error; /* what the network says, while TCP goes on trying; 0: nothing */
};
int ewi_net_tcp_info(struct ewi_net *net, ewi_stream stream, struct net_tcp_info *out);
enum stack_silence ewi_net_silence(struct ewi_net *net, ewi_stream stream, uint64_t *since);

/* ---- UDP ---- */

struct net_datagram {
    struct stack_addr local, remote; /* send: local may be all zero */
    const uint8_t *data;
    uint32_t bytes;
    uint32_t id; /* received: for ewi_net_udp_release */
    uint8_t traffic_class, hop_limit;
};
/* remote NULL: from anybody. local's port 0: chosen. Events: READABLE, FAILED (ICMP, when connected). */
int ewi_net_udp_open(struct ewi_net *net, const struct stack_addr *local,
                     const struct stack_addr *remote, uint64_t user, uint64_t now, ewi_stream *out);
/* Copied: data is the caller's again at once. -EMSGSIZE, -EAGAIN (no slot), -EHOSTUNREACH. */
int ewi_net_udp_send(struct ewi_net *net, ewi_stream endpoint, const struct net_datagram *datagram,
                     uint64_t now);
/* One at a time; -EAGAIN. data stays until release. */
int ewi_net_udp_recv(struct ewi_net *net, ewi_stream endpoint, struct net_datagram *out);
void ewi_net_udp_release(struct ewi_net *net, const struct net_datagram *datagram);
int ewi_net_udp_close(struct ewi_net *net, ewi_stream endpoint);

/* ---- echo requests of ours: ICMP, ICMPv6 ---- */

enum { NET_PING_BYTES_MIN = 8, NET_PING_BYTES_MAX = 1024 };
struct net_ping_answer {
    uint64_t rtt_ns;
    uint8_t hop_limit; /* that was left */
};
/* One request with so many bytes of payload; remote's port does not count. -EAGAIN: too many in this second,
 * -ENOBUFS: too many without an answer, -EHOSTUNREACH: no way there, or no address of ours for it. */
int ewi_net_ping(struct ewi_net *net, const struct stack_addr *remote, uint32_t bytes, uint64_t now,
                 uint64_t *out);
/* 0: the answer, once. -EAGAIN: none yet. -ESTALE: given up, or asked for before. */
int ewi_net_ping_answer(struct ewi_net *net, uint64_t ping, struct net_ping_answer *out);

/* ---- for tests, the simulator and the fuzzers ---- */

/* NULL, or a sentence about the first invariant of any connection, table or pool that does not hold. */
const char *ewi_net_check(struct ewi_net *net);

#endif
