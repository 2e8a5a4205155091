/* The passive side: listeners, the SYN queue, SYN cookies. RFC 9293 section 3.10.7.2, RFC 4987. */
#include "transport/net/cookie.h"
#include "transport/net/tcp_parts.h"

#define SYN_ACK_WAIT_MAX UINT64_C(60000000000)
#define COOKIES_FOR      ((NET_COOKIE_AGE_MAX + 1) * NET_COOKIE_STEP_NS)

enum { SYN_ACK_RETRIES = 5, DUE = 64, NO_SAMPLE = 255, CHALLENGES = 10 };

static struct net_listener *listener_at(struct ewi_net *net, uint32_t index)
{
    return ewi_net_pool_at(&net->tcp.listeners, index);
}

uint32_t ewi_net_listener_for(struct ewi_net *net, const struct net_arrived *arrived,
                              uint16_t local_port)
{
    struct net_listen local = {.port = local_port,
                               .scope = arrived->tuple.scope,
                               .family = arrived->tuple.family};

    memcpy(local.address, arrived->tuple.local, sizeof(local.address));
    return ewi_net_listeners_find(&net->tcp.listening, &local);
}

const struct net_settings *ewi_net_listener_settings(struct ewi_net *net, uint32_t listener)
{
    return ewi_net_settings_at(&net->tcp.settings, listener_at(net, listener)->settings);
}

/* ---- SYN-ACK ---- */

static uint16_t path_mtu(struct ewi_net *net, const struct net_tuple *tuple)
{
    struct net_way way;

    if (ewi_net_way(net, tuple, &way) == NET_WAY_NONE)
        return 0;
    return ewi_net_path_mtu(net, tuple, way.mtu);
}

static void grant(const struct net_settings *settings, const struct net_half *half,
                  struct net_tcp *tcp, uint16_t mtu)
{
    uint32_t mss = ewi_net_tcp_mss_of(half->tuple.family, mtu);

    tcp->has = NET_TCP_HAS_MSS;
    tcp->mss = (uint16_t)(settings->mss != 0 ? ewi_min_u32(mss, settings->mss) : mss);
    if ((half->has & NET_TCP_HAS_SCALE) && settings->scale) {
        tcp->has |= NET_TCP_HAS_SCALE;
        tcp->scale = ewi_net_tcp_scale_for(settings);
    }
    if ((half->has & NET_TCP_HAS_SACK_PERMITTED) && settings->sack)
        tcp->has |= NET_TCP_HAS_SACK_PERMITTED;
    if ((half->has & NET_TCP_HAS_TIMES) && settings->timestamps)
        tcp->has |= NET_TCP_HAS_TIMES;
}

/* times: TSval; a cookie hides options in it. */
static void send_syn_ack(struct ewi_net *net, const struct net_half *half, uint32_t time)
{
    const struct net_settings *settings = ewi_net_settings_at(&net->tcp.settings, half->settings);
    uint16_t mtu = path_mtu(net, &half->tuple);
    struct net_tcp tcp = {.sequence = half->iss,
                          .acknowledgment = half->irs + 1,
                          .flags = NET_TCP_SYN | NET_TCP_ACK,
                          .window = (uint16_t)half->window,
                          .time = time,
                          .time_echo = half->ts_recent};

    if (mtu == 0) {
        net->count.no_route += 1;
        return;
    }
    grant(settings, half, &tcp, mtu);
    if (half->ecn)
        tcp.flags |= NET_TCP_ECE;
    ewi_net_tcp_reply(net, &half->tuple, &tcp, half->settings, 0);
}

static uint32_t half_time(const struct ewi_net *net, const struct net_half *half)
{
    return ewi_net_tcp_ms(net->now) + half->ts_offset;
}

/* ---- the SYN ---- */

static void from_syn(struct ewi_net *net, const struct net_listener *listener, uint32_t index,
                     const struct net_segment *segment, struct net_half *half)
{
    const struct net_settings *settings =
        ewi_net_settings_at(&net->tcp.settings, listener->settings);
    const struct net_tuple *tuple = &segment->arrived->tuple;
    uint8_t both = NET_TCP_ECE | NET_TCP_CWR;

    *half = (struct net_half){.tuple = *tuple,
                              .sent_ns = net->now,
                              .irs = segment->tcp.sequence,
                              .ts_recent = segment->tcp.time,
                              .ts_offset = (uint32_t)ewi_net_tuple_hash(net->tcp.times_key, tuple),
                              .listener = index,
                              .window = ewi_min_u32(settings->recv_bytes / 2, UINT16_MAX),
                              .mss = tuple->family == 4 ? NET_MSS_DEFAULT4 : NET_MSS_DEFAULT6,
                              .scale = segment->tcp.scale,
                              .has = segment->tcp.has,
                              .settings = listener->settings,
                              .ecn = settings->ecn != 2 && (segment->tcp.flags & both) == both};
    if (segment->tcp.has & NET_TCP_HAS_MSS)
        half->mss = segment->tcp.mss;
    ewi_net_timer_init(&half->timer);
}

/* A cookie is no number that could be chosen: that it is beyond what the last incarnation used (RFC 9293
 * section 3.6.1, MAY-2) is left to chance here. */
static void send_cookie(struct ewi_net *net, struct net_half *half)
{
    const struct net_settings *settings = ewi_net_settings_at(&net->tcp.settings, half->settings);
    struct net_cookie_options options = {
        .has_scale = (half->has & NET_TCP_HAS_SCALE) && settings->scale,
        .scale = half->scale,
        .sack = (half->has & NET_TCP_HAS_SACK_PERMITTED) && settings->sack,
        .ecn = half->ecn};

    half->iss = ewi_net_cookie_make(net->tcp.cookie_key, &half->tuple, half->irs, half->mss, net->now);
    if (!(half->has & NET_TCP_HAS_TIMES) || !settings->timestamps) {
        /* Nothing can carry them: only the MSS is granted. */
        half->has &= NET_TCP_HAS_MSS;
        half->ecn = false;
    }
    net->tcp.cookie_until = net->now + COOKIES_FOR;
    net->count.tcp_cookies_sent += 1;
    send_syn_ack(net, half, ewi_net_cookie_time_make(half_time(net, half), &options));
}

static uint64_t first_wait(const struct ewi_net *net, uint8_t settings)
{
    return ewi_net_limits(ewi_net_settings_at(&net->tcp.settings, settings))->initial;
}

static void take_syn(struct ewi_net *net, uint32_t index, const struct net_segment *segment,
                     uint32_t least_iss)
{
    struct net_tcp_all *tcp = &net->tcp;
    struct net_listener *listener = listener_at(net, index);
    struct net_half half, *kept;
    uint32_t place;

    if (listener->waiting >= listener->backlog) {
        net->count.drop_tcp_backlog += 1;
        return;
    }
    from_syn(net, listener, index, segment, &half);
    place = tcp->settings.syn_cookies == 2 ? NET_NONE : ewi_net_pool_take(&tcp->halves);
    if (place == NET_NONE) {
        if (tcp->settings.syn_cookies == 0) {
            net->count.drop_tcp_backlog += 1;
            return;
        }
        net->count.accepted += 1;
        send_cookie(net, &half);
        return;
    }
    half.iss = ewi_net_isn(tcp->isn_key, &half.tuple, net->now);
    if (least_iss != 0 && ewi_net_seq_before(half.iss, least_iss))
        half.iss = least_iss;
    kept = ewi_net_pool_at(&tcp->halves, place);
    *kept = half;
    if (ewi_net_table_insert(&tcp->half_table, segment->hash, place) != EW_OK) {
        ewi_net_pool_give(&tcp->halves, place);
        net->count.drop_tcp_backlog += 1;
        return;
    }
    ewi_net_settings_hold(&tcp->settings, half.settings);
    listener->halves += 1;
    net->count.accepted += 1;
    send_syn_ack(net, kept, half_time(net, kept));
    ewi_net_wheel_arm(&tcp->half_wheel, place, net->now + first_wait(net, half.settings));
}

/* ---- a connection comes of it ---- */

static void link_waiting(struct ewi_net *net, uint32_t index, struct net_conn *conn)
{
    struct net_listener *listener = listener_at(net, index);
    uint32_t place = ewi_net_conn_index(net, conn);

    conn->accept_next = NET_NONE;
    if (listener->last == NET_NONE)
        listener->first = place;
    else
        ewi_net_conn(net, listener->last)->accept_next = place;
    listener->last = place;
    listener->waiting += 1;
    ewi_net_events_raise(&net->tcp.events, net->config.conns_max + index, STACK_ACCEPT);
}

/* Our SYN-ACK is in flight since it was sent; one that was sent again gives no round trip (Karn). */
static bool book_syn_ack(struct ewi_net *net, struct net_conn *conn, const struct net_half *half)
{
    struct net_sent sent = {.now_ns = half->sent_ns, .bytes = 1, .segment_bytes = 1};

    if (ewi_net_runs_sent(&net->tcp.runs, &conn->runs, &sent) != EW_OK)
        return false;
    if (half->retries != 0) {
        /* A cookie's echo is up to 63 ms old: as if it had left now, so no echo is of it. */
        sent.now_ns = net->now;
        ewi_net_runs_resent(&net->tcp.runs, &conn->runs, conn->runs.una, &sent);
        if (half->retries != NO_SAMPLE)
            conn->flags |= NET_CONN_SYN_RESENT;
    }
    return true;
}

static struct net_conn *open_from(struct ewi_net *net, const struct net_half *half, uint64_t hash)
{
    struct net_conn_birth birth = {.tuple = &half->tuple,
                                   .hash = hash,
                                   .iss = half->iss,
                                   .ts_offset = half->ts_offset,
                                   .settings = half->settings,
                                   .state = NET_TCP_SYN_RECEIVED};
    struct net_tcp syn = {.has = half->has | NET_TCP_HAS_MSS,
                          .mss = half->mss,
                          .scale = half->scale,
                          .time = half->ts_recent};
    uint16_t mtu = path_mtu(net, &half->tuple);
    struct net_conn *conn = mtu == 0 ? NULL : ewi_net_conn_new(net, &birth);

    if (conn == NULL)
        return NULL;
    ewi_net_settings_hold(&net->tcp.settings, half->settings);
    conn->flags |= NET_CONN_PENDING | NET_CONN_PASSIVE | (half->ecn ? NET_CONN_ECN : 0u);
    conn->listener = half->listener;
    ewi_net_conn_agree(net, conn, &syn);
    ewi_net_conn_set_mtu(net, conn, mtu);
    conn->rcv_nxt = NET_SEQ_FIRST + half->irs + 1;
    conn->rcv_edge = half->irs + 1 + half->window;
    conn->irs = half->irs;
    conn->acked_to = half->irs + 1;
    if (!book_syn_ack(net, conn, half)) {
        ewi_net_conn_close(net, conn, -ENOBUFS);
        ewi_net_conn_free(net, conn);
        return NULL;
    }
    return conn;
}

static void complete(struct ewi_net *net, const struct net_half *half, struct net_segment *segment)
{
    struct net_conn *conn = open_from(net, half, segment->hash);

    if (conn == NULL) {
        net->count.drop_tcp_memory += 1;
        return;
    }
    link_waiting(net, half->listener, conn);
    ewi_net_conn_input(net, conn, segment);
    if (conn->state == NET_TCP_SYN_RECEIVED) { /* what it said is no good, so it is asked again */
        conn->rto_at = ewi_net_tcp_tick_of(net->now + ewi_net_conn_rto(net, conn));
        ewi_net_conn_rearm(net, conn);
    }
}

/* ---- ACK to a listener: a cookie? ---- */

/* It is a sum over the number before the peer's first byte, so only the first segment can bring it. Text
 * that overtakes that one is answered with RST, as section 3.10.7.2 wants and Linux does: it cannot be
 * told from what is left of a connection that we forgot, whose peer should hear so at once. */
static bool take_cookie(struct ewi_net *net, uint32_t index, struct net_segment *segment)
{
    struct net_listener *listener = listener_at(net, index);
    const struct net_settings *settings = ewi_net_listener_settings(net, index);
    const struct net_tcp *tcp = &segment->tcp;
    struct net_cookie_options options = {0};
    struct net_half half;

    if (net->tcp.cookie_until <= net->now || (tcp->flags & NET_TCP_SYN))
        return false;
    from_syn(net, listener, index, segment, &half);
    half.irs = tcp->sequence - 1;
    half.iss = tcp->acknowledgment - 1;
    if (!ewi_net_cookie_judge(net->tcp.cookie_key, &half.tuple, half.irs, half.iss, net->now,
                              &half.mss)) {
        net->count.tcp_cookies_bad += 1;
        return false;
    }
    half.has = NET_TCP_HAS_MSS;
    half.ecn = false;
    if ((tcp->has & NET_TCP_HAS_TIMES) && settings->timestamps) {
        ewi_net_cookie_time_read(tcp->time_echo, &options);
        half.has |= NET_TCP_HAS_TIMES;
        if (options.has_scale)
            half.has |= NET_TCP_HAS_SCALE;
        if (options.sack)
            half.has |= NET_TCP_HAS_SACK_PERMITTED;
        half.scale = options.scale;
        half.ecn = options.ecn && settings->ecn != 2;
    }
    half.retries = NO_SAMPLE; /* when the SYN-ACK left is not known, and its time held the options */
    if (listener->waiting >= listener->backlog) {
        net->count.drop_tcp_backlog += 1;
        return true;
    }
    net->count.tcp_cookies_taken += 1;
    complete(net, &half, segment);
    return true;
}

/* RFC 9293 section 3.10.7.2 */
void ewi_net_listen_input(struct ewi_net *net, uint32_t index, struct net_segment *segment,
                          uint32_t least_iss)
{
    uint8_t flags = segment->tcp.flags;

    if (flags & NET_TCP_RST) { /* first */
        net->count.drop_tcp_connection += 1;
        return;
    }
    if (flags & NET_TCP_ACK) { /* second */
        if (take_cookie(net, index, segment))
            return;
        net->count.drop_tcp_connection += 1;
        ewi_net_tcp_refuse(net, segment);
        return;
    }
    if (flags & NET_TCP_SYN) { /* third */
        take_syn(net, index, segment, least_iss);
        return;
    }
    net->count.drop_tcp_connection += 1;
}

/* ---- half-open ---- */

void ewi_net_half_give(struct ewi_net *net, uint32_t index)
{
    struct net_tcp_all *tcp = &net->tcp;
    struct net_half *half = ewi_net_pool_at(&tcp->halves, index);

    ewi_net_table_remove(&tcp->half_table, ewi_net_tuple_hash(tcp->table_key, &half->tuple), index);
    ewi_net_wheel_remove(&tcp->half_wheel, index);
    listener_at(net, half->listener)->halves -= 1;
    ewi_net_settings_drop(&tcp->settings, half->settings);
    ewi_net_pool_give(&tcp->halves, index);
}

static bool has_times(const struct ewi_net *net, const struct net_half *half)
{
    return (half->has & NET_TCP_HAS_TIMES) &&
           ewi_net_settings_at(&net->tcp.settings, half->settings)->timestamps;
}

/* An ACK of what is wrong: RFC 9293 section 3.10.7.4, first; RFC 5961. */
static void half_challenge(struct ewi_net *net, struct net_half *half)
{
    const struct net_settings *settings = ewi_net_settings_at(&net->tcp.settings, half->settings);
    bool scaled = (half->has & NET_TCP_HAS_SCALE) && settings->scale != 0;
    uint32_t scale = scaled ? ewi_net_tcp_scale_for(settings) : 0;
    struct net_tcp tcp = {.sequence = half->iss + 1,
                          .acknowledgment = half->irs + 1,
                          .flags = NET_TCP_ACK,
                          /* only a SYN's is not scaled: RFC 7323 section 2.2 */
                          .window = (uint16_t)((half->window + (1u << scale) - 1) >> scale),
                          .time = half_time(net, half),
                          .time_echo = half->ts_recent};

    net->count.drop_tcp_sequence += 1;
    if (half->challenges >= CHALLENGES) { /* RFC 5961 section 7; it does not live long */
        net->count.tcp_challenge_limited += 1;
        return;
    }
    half->challenges += 1;
    if (has_times(net, half))
        tcp.has = NET_TCP_HAS_TIMES;
    net->count.tcp_challenge_sent += 1;
    ewi_net_tcp_reply(net, &half->tuple, &tcp, half->settings, 0);
}

/* Steps 1 to 4 of SYN_RECEIVED. True: go on with the ACK. */
static bool half_judge(struct ewi_net *net, uint32_t index, struct net_half *half,
                       const struct net_segment *segment)
{
    const struct net_tcp *tcp = &segment->tcp;
    uint32_t offset = tcp->sequence - (half->irs + 1);

    if (tcp->flags & NET_TCP_RST) { /* the SYN was not the peer's: back to LISTEN */
        if (offset == 0) {
            net->count.accepted += 1;
            ewi_net_half_give(net, index);
        } else if (offset < half->window) {
            half_challenge(net, half);
        } else {
            net->count.drop_tcp_sequence += 1;
        }
        return false;
    }
    if ((tcp->flags & (NET_TCP_SYN | NET_TCP_ACK)) == NET_TCP_SYN && tcp->sequence == half->irs) {
        net->count.accepted += 1; /* it did not hear us */
        send_syn_ack(net, half, half_time(net, half));
        half->retries = (uint8_t)ewi_max_u32(half->retries, 1);
        return false;
    }
    if ((tcp->flags & NET_TCP_SYN) || offset >= half->window) {
        half_challenge(net, half);
        return false;
    }
    if (has_times(net, half) && (!(tcp->has & NET_TCP_HAS_TIMES) ||
                                 ewi_net_seq_before(tcp->time, half->ts_recent))) {
        /* RFC 7323 sections 3.2, 5.3 */
        net->count.drop_tcp_paws += 1;
        return false;
    }
    return true;
}

void ewi_net_half_input(struct ewi_net *net, uint32_t index, struct net_segment *segment)
{
    struct net_half *half = ewi_net_pool_at(&net->tcp.halves, index), copy;
    struct net_listener *listener = listener_at(net, half->listener);

    if (!half_judge(net, index, half, segment))
        return;
    if (!(segment->tcp.flags & NET_TCP_ACK)) {
        net->count.drop_tcp_sequence += 1;
        return;
    }
    if (segment->tcp.acknowledgment != half->iss + 1) { /* fifth */
        net->count.drop_tcp_sequence += 1;
        ewi_net_tcp_refuse(net, segment);
        return;
    }
    if (listener->waiting >= listener->backlog) { /* it will be sent again, or we ask again */
        net->count.drop_tcp_backlog += 1;
        return;
    }
    copy = *half;
    ewi_net_settings_hold(&net->tcp.settings, copy.settings);
    ewi_net_half_give(net, index);
    complete(net, &copy, segment);
    ewi_net_settings_drop(&net->tcp.settings, copy.settings);
}

void ewi_net_half_timers(struct ewi_net *net)
{
    struct net_tcp_all *tcp = &net->tcp;
    uint32_t due[DUE], count;

    do {
        count = ewi_net_wheel_advance(&tcp->half_wheel, net->now, due, DUE);
        for (uint32_t i = 0; i < count; i++) {
            struct net_half *half = ewi_net_pool_at(&tcp->halves, due[i]);

            if (half->retries >= SYN_ACK_RETRIES) {
                ewi_net_half_give(net, due[i]);
                continue;
            }
            half->retries += 1;
            send_syn_ack(net, half, half_time(net, half));
            ewi_net_wheel_arm(&tcp->half_wheel, due[i],
                              net->now + ewi_min_u64(first_wait(net, half->settings) << half->retries,
                                                     SYN_ACK_WAIT_MAX));
        }
    } while (count == DUE);
}

/* ---- the end of a listener ---- */

void ewi_net_listen_end(struct ewi_net *net, uint32_t index)
{
    struct net_listener *listener = listener_at(net, index);
    uint32_t next;

    for (uint32_t i = 0; listener->halves != 0 && i < net->tcp.halves.slots; i++)
        if (ewi_net_pool_is_taken(&net->tcp.halves, i) &&
            ((struct net_half *)ewi_net_pool_at(&net->tcp.halves, i))->listener == index)
            ewi_net_half_give(net, i);
    for (uint32_t i = listener->first; i != NET_NONE; i = next) {
        struct net_conn *conn = ewi_net_conn(net, i);

        next = conn->accept_next;
        if (conn->state != NET_TCP_CLOSED && conn->state != NET_TCP_TIME_WAIT)
            ewi_net_conn_reset(net, conn, -ECONNABORTED);
        ewi_net_conn_free(net, conn);
    }
    listener->first = listener->last = NET_NONE;
    listener->waiting = 0;
}
