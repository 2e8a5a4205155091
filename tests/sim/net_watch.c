#include "tests/sim/net_watch.h"

/* ---- rules for what is sent ---- */

void watch_about(const struct watch_segment *s, const char *what)
{
    const struct watch_side *me = &s->flow->side[s->from], *peer = &s->flow->side[!s->from];

    fprintf(stderr,
            "\n    at %" PRIu64 " ns, ports %u > %u: %s\n    flags %02x seq +%" PRIu64 " (%" PRId64
            " before next) payload %u ack +%" PRIu64 " window %u, edge given +%" PRIu64
            ", next +%" PRIu64 ", peer next +%" PRIu64 "\n",
            sim.now, s->tcp.source_port, s->tcp.destination_port, what, s->tcp.flags,
            ewi_net_seq_unwrap(me->next, s->tcp.sequence) - me->first,
            (int64_t)(me->next - ewi_net_seq_unwrap(me->next, s->tcp.sequence)), s->payload_bytes,
            ewi_net_seq_unwrap(me->acked, s->tcp.acknowledgment) - peer->first, s->tcp.window,
            me->edge_given - me->first, me->next - me->first, peer->next - peer->first);
}

static bool is_scaled(const struct watch_flow *flow)
{
    return flow->side[0].scaled && flow->side[1].scaled;
}

static uint64_t watch_edge(const struct watch_segment *s, uint64_t ack)
{
    const struct watch_side *me = &s->flow->side[s->from];
    bool has_scale = is_scaled(s->flow) && (s->tcp.flags & NET_TCP_SYN) == 0;

    return ack + ((uint64_t)s->tcp.window << (has_scale ? me->scale : 0));
}

static void watch_syn(const struct watch_segment *s)
{
    struct watch_flow *flow = s->flow;
    struct watch_side *me = &flow->side[s->from];
    uint64_t first = NET_SEQ_FIRST + s->tcp.sequence;
    bool is_answer = (s->tcp.flags & NET_TCP_ACK) != 0;

    if (is_answer && me->syn_sent && !me->reset && /* to a copy of a SYN; or a cookie and none */
        (me->first != first || me->next > first + 1)) {
        me->reset = flow->side[!s->from].reset = true;
        return;
    }
    if (is_answer && me->reset)
        return; /* until the other end begins anew */
    if (me->syn_sent && me->first == first && !me->reset) {
        me->resent_segments += 1;
        return;
    }
    if (!is_answer && (me->syn_sent || flow->side[!s->from].has_acked))
        memset(flow->side, 0, sizeof(flow->side)); /* the name's next life */
    memset(me, 0, sizeof(*me));
    me->syn_sent = true;
    me->first = first;
    me->next = first + 1;
    me->scaled = (s->tcp.has & NET_TCP_HAS_SCALE) != 0;
    me->scale = s->tcp.scale;
    me->times = (s->tcp.has & NET_TCP_HAS_TIMES) != 0;
    me->sack = (s->tcp.has & NET_TCP_HAS_SACK_PERMITTED) != 0;
    me->mss = (s->tcp.has & NET_TCP_HAS_MSS) != 0 ? s->tcp.mss : 536;
    WATCH_CHECK(s, !me->scaled || !is_answer || flow->side[!s->from].scaled, "scale not offered");
    WATCH_CHECK(s, !me->times || !is_answer || flow->side[!s->from].times, "times not offered");
    WATCH_CHECK(s, !me->sack || !is_answer || flow->side[!s->from].sack, "SACK not offered");
    WATCH_CHECK(s, s->ecn == 0, "ECT in a SYN");
}

static void watch_ack(const struct watch_segment *s)
{
    struct watch_side *me = &s->flow->side[s->from], *peer = &s->flow->side[!s->from];
    uint64_t ack, edge;

    if ((s->tcp.flags & NET_TCP_ACK) == 0 || !peer->syn_sent)
        return;
    ack = ewi_net_seq_unwrap(me->has_acked ? me->acked : peer->first, s->tcp.acknowledgment);
    WATCH_CHECK(s, ack <= peer->next, "ACK of what was never sent");
    WATCH_CHECK(s, ack > peer->first, "ACK below the SYN");
    WATCH_CHECK(s, !me->has_acked || ack >= me->acked, "ACK goes back");
    me->acked = ack;
    me->has_acked = true;
    if (peer->fin_sent && ack > peer->fin)
        return; /* its window says nothing any more */
    edge = watch_edge(s, ack);
    if ((s->tcp.flags & NET_TCP_SYN) != 0 && me->has_edge)
        return; /* not scaled, so an ACK in between may have had to be rounded */
    WATCH_CHECK(s, !me->has_edge || edge >= me->edge || watch.may_shrink, "window shrinks");
    me->edge = edge;
    me->has_edge = true;
}

static void watch_options(const struct watch_segment *s)
{
    struct watch_side *me = &s->flow->side[s->from], *peer = &s->flow->side[!s->from];
    bool has_times = (s->tcp.has & NET_TCP_HAS_TIMES) != 0;
    uint32_t options = s->tcp.header_bytes - NET_TCP_BYTES;

    if (!me->syn_sent || !peer->syn_sent)
        return;
    WATCH_CHECK(s, has_times == (me->times && peer->times), "timestamps are not as negotiated");
    if (has_times)
        WATCH_CHECK(s, me->time == 0 || !ewi_net_seq_before(s->tcp.time, me->time),
                    "TSval goes back");
    if (has_times)
        me->time = s->tcp.time;
    WATCH_CHECK(s, s->tcp.sacks == 0 || (me->sack && peer->sack), "SACK was not negotiated");
    WATCH_CHECK(s, s->payload_bytes == 0 || s->payload_bytes + options <= peer->mss,
                "longer than the peer's MSS");
}

static void watch_content(const struct watch_segment *s, uint64_t position)
{
    const struct watch_source *source = &s->flow->source[s->from];
    uint64_t at = position - s->flow->side[s->from].first - 1;

    if (source->accepted == NULL)
        return;
    WATCH_CHECK(s, at + s->payload_bytes <= *source->accepted, "bytes that nobody gave");
    at = pattern_wrong(s->payload, source->seed, at, s->payload_bytes);
    WATCH_CHECK(s, at == s->payload_bytes, "not the bytes that were given");
}

static void watch_data(const struct watch_segment *s)
{
    struct watch_side *me = &s->flow->side[s->from], *peer = &s->flow->side[!s->from];
    uint64_t from = ewi_net_seq_unwrap(me->next, s->tcp.sequence);
    uint64_t end = from + s->payload_bytes;

    WATCH_CHECK(s, from <= me->next, "a gap in front of it");
    if (s->payload_bytes > 0 && from > me->first) {
        WATCH_CHECK(s, end <= me->edge_given + (s->payload_bytes == 1), "beyond the window");
        watch_content(s, from);
        me->data_segments += 1;
        me->data_bytes += s->payload_bytes;
        me->resent_segments += from < me->next;
        me->probes += end > me->edge_given;
        WATCH_CHECK(s, s->ecn != 3, "CE from a host");
    }
    WATCH_CHECK(s, !me->fin_sent || end <= me->fin + (s->payload_bytes == 0), "behind the FIN");
    if ((s->tcp.flags & NET_TCP_FIN) != 0) {
        WATCH_CHECK(s, !me->fin_sent || end == me->fin, "a second FIN elsewhere");
        WATCH_CHECK(s, end >= me->next || me->fin_sent, "FIN in front of sent bytes");
        me->resent_segments += me->fin_sent && s->payload_bytes == 0;
        me->fin_sent = true;
        me->fin = end++;
    }
    me->next = end > me->next ? end : me->next;
    me->pure_acks += s->payload_bytes == 0 && (s->tcp.flags & (NET_TCP_FIN | NET_TCP_SYN)) == 0 &&
                     peer->syn_sent;
    me->ece_sent += (s->tcp.flags & NET_TCP_ECE) != 0;
    me->cwr_sent += (s->tcp.flags & NET_TCP_CWR) != 0;
}

/* SIM_TRACE=1 in the environment: every segment, as it leaves. */
static void watch_trace(const struct watch_segment *s)
{
    const struct watch_side *me = &s->flow->side[s->from], *peer = &s->flow->side[!s->from];

    printf("%" PRIu64 " %u>%u %s%s%s%s%s +%" PRIu64 " (%u)%s ack +%" PRIu64 " win %u", sim.now / US,
           s->tcp.source_port, s->tcp.destination_port, s->tcp.flags & NET_TCP_SYN ? "S" : "",
           s->tcp.flags & NET_TCP_FIN ? "F" : "", s->tcp.flags & NET_TCP_RST ? "R" : "",
           s->tcp.flags & NET_TCP_ECE ? "E" : "", s->tcp.flags & NET_TCP_CWR ? "C" : "",
           ewi_net_seq_unwrap(me->next, s->tcp.sequence) - me->first, s->payload_bytes,
           ewi_net_seq_unwrap(me->next, s->tcp.sequence) < me->next ? " again" : "",
           ewi_net_seq_unwrap(peer->next, s->tcp.acknowledgment) - peer->first, s->tcp.window);
    for (int i = 0; i < s->tcp.sacks; i++)
        printf(" sack +%" PRIu64 "-%" PRIu64,
               ewi_net_seq_unwrap(peer->next, s->tcp.sack[i].left) - peer->first,
               ewi_net_seq_unwrap(peer->next, s->tcp.sack[i].right) - peer->first);
    printf("\n");
}

void watch_sent(const uint8_t *ip, uint32_t bytes, bool blank)
{
    struct watch_segment s = {0};
    struct watch_side *me;

    if (!watch_parse(ip, bytes, blank, &s)) {
        watch.not_tcp += 1;
        return;
    }
    watch.segments += 1;
    watch.bytes += s.payload_bytes;
    me = &s.flow->side[s.from];
    me->segments += 1;
    if (watch.traces)
        watch_trace(&s);
    if ((s.tcp.flags & NET_TCP_RST) != 0) {
        me->reset = s.flow->side[!s.from].reset = true;
        watch.resets += 1;
        return;
    }
    if ((s.tcp.flags & NET_TCP_SYN) != 0)
        watch_syn(&s);
    if (me->reset)
        return;
    watch_ack(&s);
    if ((s.tcp.flags & NET_TCP_SYN) == 0 && me->syn_sent) {
        WATCH_CHECK(&s, (s.tcp.flags & NET_TCP_ACK) != 0, "no ACK flag");
        watch_options(&s);
        watch_data(&s);
    }
}

void watch_given(const uint8_t *ip, uint32_t bytes, bool blank)
{
    struct watch_segment s = {0};
    struct watch_side *to, *from;
    uint64_t ack, edge;

    if (!watch_parse(ip, bytes, blank, &s))
        return;
    from = &s.flow->side[s.from];
    to = &s.flow->side[!s.from];
    to->ce_given += s.ecn == 3;
    if ((s.tcp.flags & (NET_TCP_RST | NET_TCP_ACK)) != NET_TCP_ACK || !to->syn_sent)
        return;
    ack = ewi_net_seq_unwrap(to->next, s.tcp.acknowledgment);
    if (ack > to->next || ack <= to->first || !from->syn_sent)
        return; /* of an earlier life */
    edge = watch_edge(&s, ack);
    if (edge > to->edge_given)
        to->edge_given = edge;
    if (ack > to->una)
        to->una = ack;
}
