#include "transport/net/tcp_parts.h"

enum { TIMES_BYTES = 12 }; /* with its padding */

/* RFC 6691 section 2: of the path, fixed headers only. */
uint16_t ewi_net_tcp_mss_of(uint8_t family, uint16_t mtu)
{
    return (uint16_t)(mtu - ewi_net_ip_header_bytes(family) - NET_TCP_BYTES);
}

/* RFC 7323 section 2.2: the least shift with which the field can say all that we may ever offer. */
uint8_t ewi_net_tcp_scale_for(const struct net_settings *settings)
{
    uint8_t scale = 0;

    while (scale < NET_TCP_SCALE_MAX && settings->recv_bytes / 2 >> scale > UINT16_MAX)
        scale += 1;
    return scale;
}

void ewi_net_conn_set_mtu(struct ewi_net *net, struct net_conn *conn, uint16_t mtu)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);
    uint32_t mss = ewi_min_u32(ewi_net_tcp_mss_of(conn->tuple.family, mtu), conn->mss_peer);

    if (settings->mss != 0)
        mss = ewi_min_u32(mss, settings->mss);
    if (conn->flags & NET_CONN_TIMES)
        mss -= TIMES_BYTES;
    conn->path_mtu = mtu;
    if (conn->mss == mss)
        return;
    conn->mss = (uint16_t)mss;
    if (ewi_net_conn_is_synchronized(conn))
        ewi_net_cc_set_smss(&conn->cc, mss);
}

/* RFC 9293 section 3.7.1; RFC 7323 sections 2.2, 3.2; RFC 2018 section 2; RFC 3168 section 6.1.1. */
void ewi_net_conn_agree(struct ewi_net *net, struct net_conn *conn, const struct net_tcp *syn)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);

    if (syn->has & NET_TCP_HAS_MSS) /* one that is absurd would make us send headers only */
        conn->mss_peer = (uint16_t)ewi_max_u32(syn->mss, NET_SETTINGS_MSS_MIN);
    if ((syn->has & NET_TCP_HAS_SCALE) && settings->scale) {
        conn->flags |= NET_CONN_SCALED;
        conn->send_scale = syn->scale;
    }
    if ((syn->has & NET_TCP_HAS_SACK_PERMITTED) && settings->sack)
        conn->flags |= NET_CONN_SACK;
    if ((syn->has & NET_TCP_HAS_TIMES) && settings->timestamps) {
        conn->flags |= NET_CONN_TIMES;
        conn->ts_recent = syn->time;
    }
    if (conn->flags & NET_CONN_SACK)
        ewi_net_rack_init(&conn->u.rack);
    else
        ewi_net_dupack_init(&conn->u.dupack, NET_SEQ_FIRST + conn->iss);
}

void ewi_net_conn_offer(struct ewi_net *net, const struct net_conn *conn, struct net_tcp *syn)
{
    const struct net_settings *settings = ewi_net_conn_settings(net, conn);
    bool answers = (syn->flags & NET_TCP_ACK) != 0;
    uint32_t mss = ewi_net_tcp_mss_of(conn->tuple.family, conn->path_mtu);

    syn->has = NET_TCP_HAS_MSS;
    syn->mss = (uint16_t)(settings->mss != 0 ? ewi_min_u32(mss, settings->mss) : mss);
    if (answers ? conn->flags & NET_CONN_SCALED : settings->scale) {
        syn->has |= NET_TCP_HAS_SCALE;
        syn->scale = conn->receive_scale; /* as it was when the first SYN left */
    }
    if (answers ? conn->flags & NET_CONN_SACK : settings->sack)
        syn->has |= NET_TCP_HAS_SACK_PERMITTED;
    if (answers ? conn->flags & NET_CONN_TIMES : settings->timestamps) {
        syn->has |= NET_TCP_HAS_TIMES;
        syn->time = ewi_net_conn_time(net, conn);
        syn->time_echo = answers ? conn->ts_recent : 0;
    }
}
