/* The rules of a session, one at a time, against a peer that lies. What they add up to is in
 * tests/sim/test_session.c. Each "catches" names a line of session.c without which the test fails. */
#include "tests/c/harness.h"
#include "transport/session/session.h"

enum { INBOX = RECORD_BYTES_MAX, RECORD = 64, SENT = 1024 };

static const uint8_t zeros[16];

static struct record record_of(enum record_kind kind)
{
    return (struct record){.bytes = kind == RECORD_DATA ? RECORD : RECORD_HEADER_BYTES,
                           .kind = (uint8_t)kind};
}

/* Attached with generation 1, 1024 bytes sent, nothing received. */
static struct session attached(bool opener)
{
    struct session session;

    ewi_session_init(&session, opener, zeros, zeros, INBOX);
    if (opener)
        CHECK_EQ(ewi_session_dial(&session), 1);
    CHECK_EQ(opener ? ewi_session_welcomed(&session, 1, 0, 0)
                    : ewi_session_accept(&session, 1, 0, 0),
             EW_OK);
    CHECK_EQ(ewi_session_attach(&session, 0, INBOX), 0);
    ewi_session_on_sent(&session, SENT);
    return session;
}

/* ... and START(0) and so many records have arrived. */
static struct session receiving(int records)
{
    struct session session = attached(false);
    bool take;

    CHECK_EQ(ewi_session_on_start(&session, 1, 0), EW_OK);
    while (records-- > 0) {
        CHECK_EQ(ewi_session_on_record(&session, 1, record_of(RECORD_DATA), &take), EW_OK);
        CHECK(take);
    }
    return session;
}

static int take_kind(struct session *session, enum record_kind kind)
{
    bool take = false;
    int code = ewi_session_on_record(session, session->generation, record_of(kind), &take);

    CHECK_EQ(code == EW_OK, take);
    return code;
}

static int ack(struct session *session, uint64_t taken, uint64_t consumed, uint64_t limit)
{
    const struct wire_ack said = {taken, consumed, limit};
    struct session before = *session;
    int code = ewi_session_on_ack(session, 1, &said);

    if (code != EW_OK)
        CHECK(memcmp(&before, session, sizeof(before)) == 0); /* refused: nothing changed */
    return code;
}

/* ---- attach ---- */

/* catches: dial without raising the generation */
static void every_dial_has_a_higher_generation(void)
{
    struct session session;

    ewi_session_init(&session, true, zeros, zeros, INBOX);
    CHECK_EQ(ewi_session_dial(&session), 1);
    CHECK_EQ(ewi_session_dial(&session), 2);
}

/* catches: accept with `<` for `<=`, or without the comparison */
static void an_equal_or_lower_generation_is_refused_and_changes_nothing(void)
{
    struct session session = attached(false);

    CHECK_EQ(ewi_session_accept(&session, 1, 0, SENT), EW_EAGAIN);
    CHECK_EQ(ewi_session_accept(&session, 7, 0, SENT), EW_OK);
    ewi_session_attach(&session, 0, INBOX);
    CHECK_EQ(ewi_session_accept(&session, 6, 0, SENT), EW_EAGAIN);
    CHECK_EQ(ewi_session_accept(&session, 7, 0, SENT), EW_EAGAIN);
    CHECK_EQ(ewi_session_accept(&session, 0, 0, SENT), EW_EAGAIN);
    CHECK(session.attached && session.generation == 7);
}

static void only_the_welcome_to_the_last_dial_counts(void)
{
    struct session session = attached(true);

    CHECK_EQ(ewi_session_dial(&session), 2);
    CHECK_EQ(ewi_session_welcomed(&session, 1, 0, SENT), EW_EAGAIN);
    CHECK_EQ(ewi_session_welcomed(&session, 3, 0, SENT), EW_EPROTO);
    CHECK_EQ(ewi_session_welcomed(&session, 2, 0, SENT), EW_OK);
}

/* catches: any part of the condition in learn_taken */
static void a_peer_that_took_what_was_not_sent_is_refused(void)
{
    struct session session = attached(false);

    CHECK_EQ(ewi_session_accept(&session, 2, SENT + 8, 2 * SENT), EW_EPROTO); /* not sent */
    CHECK_EQ(ewi_session_accept(&session, 2, SENT, SENT - 8), EW_EPROTO);     /* not committed */
    CHECK_EQ(ewi_session_accept(&session, 2, 4, SENT), EW_EPROTO);
    CHECK_EQ(ewi_session_accept(&session, 2, UINT64_MAX - 7, SENT), EW_EPROTO);
    CHECK_EQ(ack(&session, 512, 0, INBOX), EW_OK);
    CHECK(session.attached && session.generation == 1); /* the link that is up stays up */
    CHECK_EQ(ewi_session_accept(&session, 2, 520, SENT), EW_OK);
    CHECK_EQ(ewi_session_attach(&session, 512, INBOX), 520);
}

/* catches: learn_taken that refuses less than before, or believes it */
static void a_hello_that_was_overtaken_by_an_ack_takes_nothing_back(void)
{
    struct session session = attached(false);

    CHECK_EQ(ack(&session, 512, 0, INBOX), EW_OK);
    CHECK_EQ(ewi_session_accept(&session, 2, 504, SENT), EW_OK);
    CHECK_EQ(ewi_session_attach(&session, 0, INBOX), 512);
}

/* catches: attach that takes the link's limit as it is */
static void a_new_link_does_not_lower_the_limit(void)
{
    struct session session = attached(false);

    CHECK_EQ(ack(&session, 0, 0, 2 * INBOX), EW_OK);
    CHECK_EQ(ewi_session_accept(&session, 2, 0, SENT), EW_OK);
    ewi_session_attach(&session, 0, INBOX);
    CHECK_EQ(session.limit, 2 * INBOX);
}

/* catches: attach that keeps `said`: a flush would wait for an ACK that was lost with its link */
static void on_a_new_link_everything_is_said_again(void)
{
    struct session session = receiving(4);

    ewi_session_make_ack(&session, 4 * RECORD);
    CHECK(!ewi_session_ack_differs(&session, 4 * RECORD));
    CHECK_EQ(ewi_session_accept(&session, 2, 0, SENT), EW_OK);
    ewi_session_attach(&session, 0, INBOX);
    CHECK(ewi_session_ack_differs(&session, 4 * RECORD));
}

/* catches: detach of whatever is attached */
static void the_end_of_an_old_link_does_not_detach_the_new_one(void)
{
    struct session session = attached(false);

    CHECK_EQ(ewi_session_accept(&session, 2, 0, SENT), EW_OK);
    ewi_session_attach(&session, 0, INBOX);
    ewi_session_detach(&session, 1);
    CHECK(session.attached);
    ewi_session_detach(&session, 2);
    CHECK(!session.attached);
}

/* catches: is_current without `attached`, or without the generation */
static void an_old_link_and_one_that_ended_are_not_heard(void)
{
    const struct wire_ack said = {8, 0, INBOX};
    struct session session = receiving(1);
    bool take = false;

    for (uint64_t generation = 0; generation < 2; generation++) {
        struct session before = session;

        CHECK_EQ(ewi_session_on_start(&session, generation, 0), EW_EAGAIN);
        CHECK_EQ(ewi_session_on_record(&session, generation, record_of(RECORD_DATA), &take),
                 EW_EAGAIN);
        CHECK_EQ(ewi_session_on_ack(&session, generation, &said), EW_EAGAIN);
        CHECK(!take && memcmp(&before, &session, sizeof(before)) == 0);
        ewi_session_detach(&session, 1); /* second round: the current generation, detached */
        CHECK(!ewi_session_may_store(&session, record_of(RECORD_DATA)));
    }
}

/* ---- START and records ---- */

/* catches: each part of the condition in on_start */
static void a_start_that_would_lose_records_is_refused(void)
{
    struct session session = attached(false);

    CHECK_EQ(ewi_session_on_start(&session, 1, 8), EW_EPROTO); /* above taken */
    session = receiving(4);
    CHECK_EQ(ewi_session_on_start(&session, 1, 0), EW_EPROTO); /* the second one */
    CHECK_EQ(ewi_session_accept(&session, 2, 0, SENT), EW_OK);
    ewi_session_attach(&session, 0, INBOX);
    CHECK_EQ(ewi_session_on_start(&session, 2, 4 * RECORD + 8), EW_EPROTO);
    CHECK_EQ(ewi_session_on_start(&session, 2, 4), EW_EPROTO);
    CHECK_EQ(ewi_session_on_start(&session, 2, UINT64_MAX - 7), EW_EPROTO);
    CHECK_EQ(ewi_session_on_start(&session, 2, 4 * RECORD), EW_OK);
}

static void no_record_comes_before_start(void)
{
    struct session session = attached(false);

    CHECK(!ewi_session_may_store(&session, record_of(RECORD_DATA)));
    CHECK_EQ(take_kind(&session, RECORD_DATA), EW_EPROTO);
}

/* catches: repetitions that are taken again; the check that they end by `taken` */
static void a_repetition_is_dropped_and_must_end_where_the_record_did(void)
{
    struct session session = receiving(2);
    bool take = true;

    CHECK_EQ(ewi_session_accept(&session, 2, 0, SENT), EW_OK);
    ewi_session_attach(&session, 0, INBOX);
    CHECK_EQ(ewi_session_on_start(&session, 2, RECORD), EW_OK);
    CHECK(!ewi_session_may_store(&session, record_of(RECORD_DATA)));
    CHECK_EQ(ewi_session_on_record(&session, 2, record_of(RECORD_DATA), &take), EW_OK);
    CHECK(!take && session.taken == 2 * RECORD);
    CHECK_EQ(take_kind(&session, RECORD_DATA), EW_OK);
    CHECK_EQ(session.taken, 3 * RECORD);

    CHECK_EQ(ewi_session_accept(&session, 3, 0, SENT), EW_OK);
    ewi_session_attach(&session, 0, INBOX);
    CHECK_EQ(ewi_session_on_start(&session, 3, 3 * RECORD - 8), EW_OK); /* inside a record */
    CHECK_EQ(ewi_session_on_record(&session, 3, record_of(RECORD_DATA), &take), EW_EPROTO);
    CHECK_EQ(session.taken, 3 * RECORD);
}

/* catches: the comparison with limit_said, in on_record and in may_store (I4) */
static void a_record_above_the_limit_is_refused(void)
{
    struct session session = receiving(INBOX / RECORD);

    CHECK(!ewi_session_may_store(&session, record_of(RECORD_DATA)));
    CHECK_EQ(take_kind(&session, RECORD_DATA), EW_EPROTO);
    CHECK_EQ(take_kind(&session, RECORD_EOF), EW_EPROTO);
    CHECK_EQ(ewi_session_make_ack(&session, 3 * RECORD).limit, INBOX + 3 * RECORD);
    CHECK(ewi_session_may_store(&session, record_of(RECORD_DATA)));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(take_kind(&session, RECORD_DATA), EW_OK);
    CHECK_EQ(take_kind(&session, RECORD_DATA), EW_EPROTO);
}

/* catches: peer_closed in on_record, in may_store */
static void nothing_follows_close(void)
{
    const enum record_kind kinds[] = {RECORD_DATA, RECORD_ABORT, RECORD_EOF, RECORD_CLOSE};
    struct session session = receiving(1);

    CHECK_EQ(take_kind(&session, RECORD_CLOSE), EW_OK);
    CHECK(session.peer_closed);
    CHECK(!ewi_session_may_store(&session, record_of(RECORD_DATA)));
    for (int i = 0; i < 4; i++)
        CHECK_EQ(take_kind(&session, kinds[i]), EW_EPROTO);
}

/* catches: peer_eof in on_record, in may_store */
static void only_close_follows_eof(void)
{
    struct session session = receiving(1);

    CHECK_EQ(take_kind(&session, RECORD_EOF), EW_OK);
    CHECK(!ewi_session_may_store(&session, record_of(RECORD_DATA)));
    CHECK_EQ(take_kind(&session, RECORD_DATA), EW_EPROTO);
    CHECK_EQ(take_kind(&session, RECORD_ABORT), EW_EPROTO);
    CHECK_EQ(take_kind(&session, RECORD_EOF), EW_EPROTO);
    CHECK_EQ(take_kind(&session, RECORD_CLOSE), EW_OK);
}

/* ---- ACK ---- */

/* catches: each part of the first condition in on_ack */
static void an_ack_that_cannot_be_is_refused(void)
{
    struct session session = attached(false);

    CHECK_EQ(ack(&session, SENT + 8, 0, 2 * INBOX), EW_EPROTO);
    CHECK_EQ(ack(&session, 512, 520, 2 * INBOX), EW_EPROTO); /* consumed, not taken */
    CHECK_EQ(ack(&session, 12, 0, 2 * INBOX), EW_EPROTO);
    CHECK_EQ(ack(&session, UINT64_MAX - 7, 0, UINT64_MAX), EW_EPROTO);
    CHECK_EQ(ack(&session, SENT, SENT, SENT - 8), EW_EPROTO); /* a limit below consumed */
    CHECK_EQ(ack(&session, SENT, SENT, SENT + INBOX), EW_OK);
}

/* catches: each part of the second condition in on_ack */
static void an_ack_does_not_go_backwards(void)
{
    struct session session = attached(false);

    CHECK_EQ(ack(&session, 512, 256, 2 * INBOX), EW_OK);
    CHECK_EQ(ack(&session, 504, 256, 2 * INBOX), EW_EPROTO);
    CHECK_EQ(ack(&session, 512, 248, 2 * INBOX), EW_EPROTO);
    CHECK_EQ(ack(&session, 512, 256, 2 * INBOX - 8), EW_EPROTO);
    CHECK_EQ(ack(&session, 512, 256, 2 * INBOX), EW_OK); /* the same again says nothing new */
}

/* catches: on_sent that stores what it is told */
static void what_was_sent_stays_sent_when_a_new_link_begins_further_back(void)
{
    struct session session = attached(false);

    ewi_session_on_sent(&session, 64);
    CHECK_EQ(session.sent, SENT);
}

/* catches: `consumed` or `taken` left out of ack_differs; a quarter that is never reached */
static void an_ack_is_due_when_something_new_is_to_be_said(void)
{
    struct session session = receiving(INBOX / RECORD);

    CHECK(ewi_session_ack_differs(&session, 0));
    ewi_session_make_ack(&session, 0);
    CHECK(!ewi_session_ack_differs(&session, 0));
    CHECK(ewi_session_ack_differs(&session, 8));
    CHECK(!ewi_session_ack_urgent(&session, INBOX / 4 - 8));
    CHECK(ewi_session_ack_urgent(&session, INBOX / 4));
}

int main(void)
{
    RUN(every_dial_has_a_higher_generation);
    RUN(an_equal_or_lower_generation_is_refused_and_changes_nothing);
    RUN(only_the_welcome_to_the_last_dial_counts);
    RUN(a_peer_that_took_what_was_not_sent_is_refused);
    RUN(a_hello_that_was_overtaken_by_an_ack_takes_nothing_back);
    RUN(a_new_link_does_not_lower_the_limit);
    RUN(on_a_new_link_everything_is_said_again);
    RUN(the_end_of_an_old_link_does_not_detach_the_new_one);
    RUN(an_old_link_and_one_that_ended_are_not_heard);
    RUN(a_start_that_would_lose_records_is_refused);
    RUN(no_record_comes_before_start);
    RUN(a_repetition_is_dropped_and_must_end_where_the_record_did);
    RUN(a_record_above_the_limit_is_refused);
    RUN(nothing_follows_close);
    RUN(only_close_follows_eof);
    RUN(an_ack_that_cannot_be_is_refused);
    RUN(an_ack_does_not_go_backwards);
    RUN(what_was_sent_stays_sent_when_a_new_link_begins_further_back);
    RUN(an_ack_is_due_when_something_new_is_to_be_said);
    return 0;
}
