#include "transport/shell/ask_row.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { ADDRESS_BYTES = 72, FAMILY_ANY = 0 };

/* ---- words ---- */

static void put_mac(struct text *text, const char *key, const uint8_t mac[6])
{
    char shown[24];

    snprintf(shown, sizeof(shown), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
             mac[4], mac[5]);
    ewi_text_string(text, key, shown, SIZE_MAX);
}

/* Without its port. */
static void put_ip(struct text *text, const char *key, const struct stack_addr *at)
{
    char host[INET6_ADDRSTRLEN] = "?", shown[ADDRESS_BYTES];

    (void)inet_ntop(at->family == 4 ? AF_INET : AF_INET6, at->ip, host, sizeof(host));
    if (at->family == 6 && at->scope != 0)
        snprintf(shown, sizeof(shown), "%s%%%u", host, at->scope);
    else
        snprintf(shown, sizeof(shown), "%s", host);
    ewi_text_string(text, key, shown, SIZE_MAX);
}

static void put_addr(struct text *text, const char *key, const struct stack_addr *at)
{
    char shown[ADDRESS_BYTES];

    if (at->family == FAMILY_ANY)
        snprintf(shown, sizeof(shown), "*:%u", at->port);
    else
        ewi_addr_format(at, shown, sizeof(shown));
    ewi_text_string(text, key, shown, SIZE_MAX);
}

static void put_caps(struct text *text, uint32_t caps)
{
    ewi_text_bool(text, "ethernet", (caps & NET_PORT_ETHERNET) != 0);
    ewi_text_bool(text, "tx_sum", (caps & NET_PORT_TX_SUM) != 0);
    ewi_text_bool(text, "tx_tso", (caps & NET_PORT_TX_TSO) != 0);
    ewi_text_bool(text, "rx_trust", (caps & NET_PORT_RX_TRUST) != 0);
}

/* ---- connections ---- */

static const char *recovery_word(enum net_tcp_recovery recovery)
{
    static const char *const words[] = {[NET_OPEN] = "open",         [NET_DISORDER] = "disorder",
                                        [NET_CWR] = "cwr",           [NET_RECOVERY] = "recovery",
                                        [NET_LOSS] = "loss"};

    return words[recovery];
}

static void put_windows(struct text *text, const struct net_tcp_info *info)
{
    ewi_text_u64(text, "send_mss", info->send_mss);
    ewi_text_u64(text, "receive_mss", info->receive_mss);
    ewi_text_u64(text, "path_mtu", info->path_mtu);
    ewi_text_u64(text, "cwnd", info->cwnd);
    ewi_text_u64(text, "ssthresh", info->ssthresh);
    ewi_text_u64(text, "send_window", info->send_window);
    ewi_text_u64(text, "receive_window", info->receive_window);
    ewi_text_u64(text, "in_flight", info->in_flight);
    ewi_text_u64(text, "lost", info->lost);
    ewi_text_u64(text, "sacked", info->sacked);
    ewi_text_u64(text, "unsent", info->unsent);
    ewi_text_u64(text, "readable", info->readable);
    ewi_text_u64(text, "charged", info->charged);
}

static void put_times(struct text *text, const struct net_tcp_info *info)
{
    ewi_text_u64(text, "rto_ns", info->rto);
    ewi_text_u64(text, "srtt_ns", info->srtt);
    ewi_text_u64(text, "rttvar_ns", info->rttvar);
    ewi_text_u64(text, "min_rtt_ns", info->min_rtt);
    ewi_text_u64(text, "since_heard_ns", info->since_heard);
    ewi_text_u64(text, "backoff", info->backoff);
    ewi_text_u64(text, "probes", info->probes);
}

static void put_totals(struct text *text, const struct net_tcp_info *info)
{
    ewi_text_u64(text, "bytes_sent", info->bytes_sent);
    ewi_text_u64(text, "bytes_acked", info->bytes_acked);
    ewi_text_u64(text, "bytes_received", info->bytes_received);
    ewi_text_u64(text, "segments_resent", info->segments_resent);
    ewi_text_u64(text, "timeouts", info->timeouts);
    ewi_text_u64(text, "undone", info->undone);
    ewi_text_u64(text, "spurious", info->spurious);
}

void ewi_ask_put_conn(struct text *text, const struct ask_conn *row)
{
    const struct net_look_conn *look = &row->look;
    const struct net_tcp_info *info = &look->info;

    ewi_text_begin(text);
    ewi_text_u64(text, "id", look->stream);
    ewi_text_string(text, "state", ewi_net_tcp_state_name(info->state), SIZE_MAX);
    put_addr(text, "local", &look->local);
    put_addr(text, "remote", &look->remote);
    ewi_text_bool(text, "pending", look->is_pending);
    ewi_text_bool(text, "finished", look->is_finished);
    ewi_text_bool(text, "passive", look->is_passive);
    ewi_text_u64(text, "age_ns", row->age_ns);
    ewi_text_string(text, "recovery", recovery_word(info->recovery), SIZE_MAX);
    ewi_text_string(text, "congestion", info->congestion, SIZE_MAX);
    ewi_text_bool(text, "timestamps", info->timestamps);
    ewi_text_bool(text, "sack", info->sack);
    ewi_text_bool(text, "ecn", info->ecn);
    ewi_text_bool(text, "scaled", info->scaled);
    ewi_text_u64(text, "send_scale", info->send_scale);
    ewi_text_u64(text, "receive_scale", info->receive_scale);
    put_windows(text, info);
    put_times(text, info);
    put_totals(text, info);
    if (info->soft_error != 0)
        ewi_text_string(text, "soft_error", strerror(-info->soft_error), SIZE_MAX);
    ewi_text_end(text);
}

void ewi_ask_put_listener(struct text *text, const struct net_look_listener *row)
{
    ewi_text_begin(text);
    put_addr(text, "local", &row->local);
    ewi_text_u64(text, "waiting", row->waiting);
    ewi_text_u64(text, "backlog", row->backlog);
    ewi_text_u64(text, "half_open", row->half_open);
    ewi_text_end(text);
}

/* ---- link, IP ---- */

void ewi_ask_put_neighbour(struct text *text, const struct net_look_neighbour *row)
{
    ewi_text_begin(text);
    put_ip(text, "address", &row->at);
    ewi_text_u64(text, "port", row->port);
    if (row->is_known)
        put_mac(text, "mac", row->mac);
    ewi_text_string(text, "state", ewi_net_look_neighbour_state(row), SIZE_MAX);
    ewi_text_u64(text, "asked", row->asked);
    ewi_text_u64(text, "waiting", row->waiting);
    ewi_text_end(text);
}

void ewi_ask_put_route(struct text *text, const struct net_look_route *row)
{
    ewi_text_begin(text);
    put_ip(text, "to", &row->to);
    ewi_text_u64(text, "prefix", row->prefix);
    ewi_text_u64(text, "port", row->port);
    if (row->via.family != 0)
        put_ip(text, "via", &row->via);
    ewi_text_end(text);
}

void ewi_ask_put_address(struct text *text, const struct net_look_address *row)
{
    static const char *const words[] = {[NET_ADDRESS_NONE] = "none",
                                        [NET_ADDRESS_TENTATIVE] = "tentative",
                                        [NET_ADDRESS_GOOD] = "good",
                                        [NET_ADDRESS_TWICE] = "duplicate"};

    ewi_text_begin(text);
    put_ip(text, "address", &row->at);
    ewi_text_u64(text, "prefix", row->prefix);
    ewi_text_u64(text, "port", row->port);
    ewi_text_string(text, "state", words[row->state], SIZE_MAX);
    if (row->has_other)
        put_mac(text, "other_mac", row->other);
    ewi_text_end(text);
}

void ewi_ask_put_path(struct text *text, const struct net_look_path *row)
{
    ewi_text_begin(text);
    put_ip(text, "to", &row->to);
    ewi_text_u64(text, "mtu", row->mtu);
    ewi_text_u64(text, "age_ns", row->age_ns);
    ewi_text_end(text);
}

void ewi_ask_put_limit(struct text *text, const struct net_look_limit *row)
{
    ewi_text_begin(text);
    ewi_text_string(text, "name", row->name, SIZE_MAX);
    ewi_text_u64(text, "used", row->used);
    ewi_text_u64(text, "max", row->max);
    ewi_text_u64(text, "used_max", row->used_max);
    if (row->refused != UINT64_MAX)
        ewi_text_u64(text, "refused", row->refused);
    ewi_text_string(text, "text", row->text, SIZE_MAX);
    ewi_text_end(text);
}

/* ---- ports ---- */

void ewi_ask_put_port(struct text *text, const struct ask_port *row)
{
    const struct device_counts *counts = &row->counts;

    ewi_text_begin(text);
    ewi_text_u64(text, "port", row->look.port);
    ewi_text_string(text, "name", row->facts.name, sizeof(row->facts.name));
    ewi_text_string(text, "driver", row->facts.driver, sizeof(row->facts.driver));
    put_mac(text, "mac", row->look.config.mac);
    ewi_text_u64(text, "mtu", row->look.config.mtu);
    ewi_text_bool(text, "carrier", !row->is_down);
    put_caps(text, row->look.config.caps);
    ewi_text_u64(text, "tso_max", row->look.config.tso_max);
    ewi_text_bool(text, "can_sleep", row->facts.can_sleep);
    ewi_text_bool(text, "remote_driver", row->facts.remote_driver);
    ewi_text_string(text, "why", row->facts.why, sizeof(row->facts.why));
    if (row->facts.shards > 1) {
        ewi_text_u64(text, "shard", row->facts.shard);
        ewi_text_u64(text, "shards", row->facts.shards);
    }
    ewi_text_u64(text, "rx_packets", counts->rx_packets);
    ewi_text_u64(text, "rx_bytes", counts->rx_bytes);
    ewi_text_u64(text, "rx_missed", counts->rx_missed);
    ewi_text_u64(text, "rx_errors", counts->rx_errors);
    ewi_text_u64(text, "rx_no_buffer", counts->rx_no_buffer);
    ewi_text_u64(text, "tx_packets", counts->tx_packets);
    ewi_text_u64(text, "tx_bytes", counts->tx_bytes);
    ewi_text_u64(text, "tx_dropped", counts->tx_dropped);
    ewi_text_end(text);
}
