/* Socket options: one table of those that are a number of the stack, and a few of their own. */
#include "tests/pkt/packetdrill/adapter.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include "transport/net/cc.h"

struct mapping {
    int level, name;
    enum net_option option;
    uint64_t unit; /* of the option, in those of the socket's */
};

static const struct mapping mappings[] = {
    {IPPROTO_TCP, TCP_NODELAY, NET_OPTION_NODELAY, 1},
    {IPPROTO_TCP, TCP_CORK, NET_OPTION_CORK, 1},
    {IPPROTO_TCP, TCP_QUICKACK, NET_OPTION_QUICK_ACK, 1},
    {IPPROTO_TCP, TCP_MAXSEG, NET_OPTION_MSS, 1},
    {IPPROTO_TCP, TCP_KEEPINTVL, NET_OPTION_KEEPALIVE_INTERVAL_NS, PD_SEC},
    {IPPROTO_TCP, TCP_KEEPCNT, NET_OPTION_KEEPALIVE_COUNT, 1},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, NET_OPTION_USER_TIMEOUT_NS, PD_MS},
    {IPPROTO_TCP, TCP_SYNCNT, NET_OPTION_SYN_RETRIES, 1},
    {IPPROTO_TCP, TCP_LINGER2, NET_OPTION_FIN_WAIT_NS, PD_SEC},
    {SOL_SOCKET, SO_RCVBUF, NET_OPTION_RECV_BYTES, 1},
    {SOL_SOCKET, SO_SNDBUF, NET_OPTION_SEND_BYTES, 1},
    {IPPROTO_IP, IP_TOS, NET_OPTION_CLASS, 1},
    {IPPROTO_IP, IP_TTL, NET_OPTION_HOP_LIMIT, 1},
    {IPPROTO_IPV6, IPV6_TCLASS, NET_OPTION_CLASS, 1},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, NET_OPTION_HOP_LIMIT, 1},
};

static const struct {
    int level, name;
} ignored[] = {
    {SOL_SOCKET, SO_REUSEADDR},       {SOL_SOCKET, SO_REUSEPORT},     {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_MARK},            {SOL_SOCKET, SO_TIMESTAMP},     {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_V6ONLY},      {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
};

static const char *const congestion_names[NET_CC_KINDS] = {"reno", "cubic", "dctcp"};

static const struct mapping *find_mapping(int level, int name)
{
    for (size_t i = 0; i < sizeof(mappings) / sizeof(mappings[0]); i++)
        if (mappings[i].level == level && mappings[i].name == name)
            return &mappings[i];
    return NULL;
}

static bool is_ignored(int level, int name)
{
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        if (ignored[i].level == level && ignored[i].name == name)
            return true;
    return false;
}

static bool has_stream(const struct pd_socket *socket)
{
    return socket->kind == PD_STREAM || socket->kind == PD_LISTENER;
}

/* ---- what is set before connect or listen ---- */

static int remember(struct pd_socket *socket, enum net_option option, uint64_t value)
{
    uint32_t i = 0;

    while (i < socket->sets && socket->set[i].option != option)
        i += 1;
    if (i == PD_OPTIONS)
        return -ENOBUFS;
    socket->set[i].option = option;
    socket->set[i].value = value;
    socket->sets = i == socket->sets ? i + 1 : socket->sets;
    return 0;
}

static int set_number(struct adapter *adapter, struct pd_socket *socket, enum net_option option,
                      uint64_t value)
{
    uint64_t before;
    int code;

    if (has_stream(socket))
        return ewi_net_set(adapter->net, socket->stream, option, value);
    ewi_net_get(adapter->net, 0, option, &before); /* is the value one that it takes? */
    code = ewi_net_set(adapter->net, 0, option, value);
    ewi_net_set(adapter->net, 0, option, before);
    return code != 0 ? code : remember(socket, option, value);
}

static int get_number(struct adapter *adapter, struct pd_socket *socket, enum net_option option,
                      uint64_t *value)
{
    if (has_stream(socket))
        return ewi_net_get(adapter->net, socket->stream, option, value);
    for (uint32_t i = 0; i < socket->sets; i++) {
        if (socket->set[i].option != option)
            continue;
        *value = socket->set[i].value;
        return 0;
    }
    return ewi_net_get(adapter->net, 0, option, value);
}

void pd_options_begin(struct adapter *adapter, struct pd_socket *socket, uint64_t saved[PD_OPTIONS])
{
    for (uint32_t i = 0; i < socket->sets; i++) {
        ewi_net_get(adapter->net, 0, socket->set[i].option, &saved[i]);
        ewi_net_set(adapter->net, 0, socket->set[i].option, socket->set[i].value);
    }
}

void pd_options_end(struct adapter *adapter, struct pd_socket *socket,
                    const uint64_t saved[PD_OPTIONS])
{
    for (uint32_t i = 0; i < socket->sets; i++)
        ewi_net_set(adapter->net, 0, socket->set[i].option, saved[i]);
}

/* ---- TCP_INFO ---- */

/* Linux's numbers of the states, which are not RFC 9293's order. */
static uint8_t linux_state(enum net_tcp_state state)
{
    static const uint8_t numbers[NET_TCP_STATES] = {
        [NET_TCP_CLOSED] = TCP_CLOSE,           [NET_TCP_LISTEN] = TCP_LISTEN,
        [NET_TCP_SYN_SENT] = TCP_SYN_SENT,      [NET_TCP_SYN_RECEIVED] = TCP_SYN_RECV,
        [NET_TCP_ESTABLISHED] = TCP_ESTABLISHED, [NET_TCP_FIN_WAIT_1] = TCP_FIN_WAIT1,
        [NET_TCP_FIN_WAIT_2] = TCP_FIN_WAIT2,   [NET_TCP_CLOSE_WAIT] = TCP_CLOSE_WAIT,
        [NET_TCP_CLOSING] = TCP_CLOSING,        [NET_TCP_LAST_ACK] = TCP_LAST_ACK,
        [NET_TCP_TIME_WAIT] = TCP_TIME_WAIT,
    };

    return numbers[state];
}

static uint32_t segments(uint32_t bytes, const struct net_tcp_info *info)
{
    return info->send_mss == 0 ? 0 : (bytes + info->send_mss - 1) / info->send_mss;
}

static struct tcp_info linux_info(const struct net_tcp_info *info)
{
    bool is_first = info->ssthresh >= NET_CC_WINDOW_MAX;

    return (struct tcp_info){
        .tcpi_state = linux_state(info->state),
        .tcpi_ca_state = (uint8_t)info->recovery,
        .tcpi_probes = info->probes,
        .tcpi_backoff = info->backoff,
        .tcpi_options = (uint8_t)((info->timestamps ? TCPI_OPT_TIMESTAMPS : 0) |
                                  (info->sack ? TCPI_OPT_SACK : 0) |
                                  (info->scaled ? TCPI_OPT_WSCALE : 0) |
                                  (info->ecn ? TCPI_OPT_ECN : 0)),
        .tcpi_snd_wscale = (unsigned)info->send_scale & 15u,
        .tcpi_rcv_wscale = (unsigned)info->receive_scale & 15u,
        .tcpi_rto = (uint32_t)(info->rto / 1000),
        .tcpi_snd_mss = info->send_mss,
        .tcpi_rcv_mss = info->receive_mss,
        .tcpi_unacked = segments(info->in_flight + info->sacked + info->lost, info),
        .tcpi_sacked = segments(info->sacked, info),
        .tcpi_lost = segments(info->lost, info),
        .tcpi_last_data_recv = (uint32_t)(info->since_heard / PD_MS),
        .tcpi_pmtu = info->path_mtu,
        .tcpi_rtt = (uint32_t)(info->srtt / 1000),
        .tcpi_rttvar = (uint32_t)(info->rttvar / 1000),
        .tcpi_snd_ssthresh = is_first ? 0x7fffffff : segments(info->ssthresh, info),
        .tcpi_snd_cwnd = segments(info->cwnd, info),
        .tcpi_advmss = info->receive_mss,
        .tcpi_rcv_space = info->receive_window,
        .tcpi_total_retrans = (uint32_t)info->segments_resent,
    };
}

static int get_info(struct adapter *adapter, struct pd_socket *socket, void *value, socklen_t *bytes)
{
    struct net_tcp_info own = {.state = NET_TCP_CLOSED};
    struct tcp_info info;
    int code = 0;

    if (socket->kind == PD_LISTENER)
        own.state = NET_TCP_LISTEN;
    else if (socket->kind == PD_STREAM)
        code = ewi_net_tcp_info(adapter->net, socket->stream, &own);
    if (code != 0)
        return code;
    info = linux_info(&own);
    *bytes = *bytes < sizeof(info) ? *bytes : (socklen_t)sizeof(info);
    memcpy(value, &info, *bytes);
    return 0;
}

/* ---- set ---- */

static int set_keepalive(struct adapter *adapter, struct pd_socket *socket)
{
    uint64_t idle = socket->keepalive != 0 ? (uint64_t)socket->keepidle_s * PD_SEC : 0;

    return set_number(adapter, socket, NET_OPTION_KEEPALIVE_NS, idle);
}

static int set_congestion(struct adapter *adapter, struct pd_socket *socket, const char *name,
                          socklen_t bytes)
{
    for (uint64_t kind = 0; kind < NET_CC_KINDS; kind++)
        if (strlen(congestion_names[kind]) == strnlen(name, bytes) &&
            memcmp(congestion_names[kind], name, strlen(congestion_names[kind])) == 0)
            return set_number(adapter, socket, NET_OPTION_CONGESTION, kind);
    return -ENOENT;
}

int pd_setsockopt(struct adapter *adapter, struct pd_socket *socket, int level, int name,
                  const void *value, socklen_t bytes)
{
    const struct mapping *mapping = find_mapping(level, name);
    struct linger linger;
    int number = 0, code;

    if (level == IPPROTO_TCP && name == TCP_CONGESTION)
        return set_congestion(adapter, socket, value, bytes);
    if (level == SOL_SOCKET && name == SO_LINGER) {
        if (bytes < sizeof(linger))
            return -EINVAL;
        memcpy(&linger, value, sizeof(linger));
        socket->resets = linger.l_onoff != 0 && linger.l_linger == 0;
        socket->linger_s = linger.l_onoff != 0 ? linger.l_linger : 0;
        return 0;
    }
    if (bytes < sizeof(number))
        return -EINVAL;
    memcpy(&number, value, sizeof(number));
    if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
        socket->keepalive = number;
        return set_keepalive(adapter, socket);
    }
    if (level == IPPROTO_TCP && name == TCP_KEEPIDLE) {
        socket->keepidle_s = number;
        return number <= 0 ? -EINVAL : set_keepalive(adapter, socket);
    }
    if (mapping == NULL)
        return is_ignored(level, name) ? 0 : -ENOPROTOOPT;
    if (number < 0)
        return -EINVAL;
    code = set_number(adapter, socket, mapping->option, (uint64_t)number * mapping->unit);
    if (mapping->option == NET_OPTION_CORK && code == 0)
        socket->is_corked = number != 0;
    pd_run(adapter); /* NODELAY and the end of a cork let data go */
    return code;
}

/* ---- get ---- */

static int give(void *value, socklen_t *bytes, const void *from, size_t length)
{
    *bytes = *bytes < length ? *bytes : (socklen_t)length;
    memcpy(value, from, *bytes);
    return 0;
}

static int give_number(void *value, socklen_t *bytes, uint64_t number)
{
    int small = number > INT32_MAX ? INT32_MAX : (int)number;

    return give(value, bytes, &small, sizeof(small));
}

int pd_getsockopt(struct adapter *adapter, struct pd_socket *socket, int level, int name, void *value,
                  socklen_t *bytes)
{
    const struct mapping *mapping = find_mapping(level, name);
    struct linger linger = {socket->resets || socket->linger_s > 0, socket->linger_s};
    uint64_t number = 0;
    int code;

    if (level == IPPROTO_TCP && name == TCP_INFO)
        return get_info(adapter, socket, value, bytes);
    if (level == SOL_SOCKET && name == SO_ERROR)
        return give_number(value, bytes,
                           socket->kind == PD_STREAM ? (uint64_t)-pd_error(adapter, socket) : 0);
    if (level == SOL_SOCKET && name == SO_TYPE)
        return give_number(value, bytes, socket->kind == PD_UDP ? SOCK_DGRAM : SOCK_STREAM);
    if (level == SOL_SOCKET && name == SO_ACCEPTCONN)
        return give_number(value, bytes, socket->kind == PD_LISTENER);
    if (level == SOL_SOCKET && name == SO_KEEPALIVE)
        return give_number(value, bytes, socket->keepalive != 0);
    if (level == SOL_SOCKET && name == SO_LINGER)
        return give(value, bytes, &linger, sizeof(linger));
    if (level == IPPROTO_TCP && name == TCP_KEEPIDLE)
        return give_number(value, bytes, (uint64_t)socket->keepidle_s);
    if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
        code = get_number(adapter, socket, NET_OPTION_CONGESTION, &number);
        return code != 0 || number >= NET_CC_KINDS
                   ? -EINVAL
                   : give(value, bytes, congestion_names[number],
                          strlen(congestion_names[number]) + 1);
    }
    if (mapping == NULL)
        return is_ignored(level, name) ? give_number(value, bytes, 0) : -ENOPROTOOPT;
    code = get_number(adapter, socket, mapping->option, &number);
    return code != 0 ? code : give_number(value, bytes, number / mapping->unit);
}

int pd_ioctl(struct adapter *adapter, struct pd_socket *socket, unsigned long request, int *value)
{
    struct net_tcp_info info;
    uint64_t released;

    if (request == FIONBIO) {
        socket->is_nonblock = *value != 0;
        return 0;
    }
    if (socket->kind != PD_STREAM)
        return -EINVAL;
    if (request == SIOCOUTQ) {
        if (ewi_net_released(adapter->net, socket->stream, &released) != 0)
            return -EINVAL;
        *value = (int)(socket->sent - released);
        return 0;
    }
    if (request != FIONREAD)
        return -ENOTTY;
    if (ewi_net_tcp_info(adapter->net, socket->stream, &info) != 0)
        return -EINVAL;
    *value = (int)(info.readable + socket->peeked_bytes);
    return 0;
}
