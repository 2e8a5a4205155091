/* tests/c/test_shell_ask.c - questions about a stack that is in use, and captures of what it sends. */
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/c/stack_pair.h"
#include "transport/control/control.h"
#include "transport/shell/ask.h"

enum { ROOM = 32 * 1024, PCAP_HEAD = 24, RECORD_HEAD = 16, MANY = 40 };

static char answer[ROOM + 1];
static char folder[] = "/tmp/ew-ask-XXXXXX", path[64];

static int64_t ask_in(struct duo *duo, int which, const char *question, size_t room)
{
    struct side *side = &duo->side[which];
    int64_t length;

    memset(answer, 'x', sizeof(answer));
    length = side->ops->ask(side->stack, question, answer, room);
    CHECK(length <= (int64_t)room);
    if (length > 0) {
        CHECK_EQ(answer[length - 1], '\n');
        CHECK(room == ROOM || answer[room] == 'x'); /* nothing behind the room */
        answer[length < ROOM ? length : ROOM - 1] = '\0';
    }
    return length;
}

static const char *ask(struct duo *duo, int which, const char *question)
{
    int64_t length = ask_in(duo, which, question, ROOM);

    CHECK(length > 0);
    return answer;
}

static bool says(const char *text)
{
    if (strstr(answer, text) == NULL)
        fprintf(stderr, "no %s in %s\n", text, answer);
    return strstr(answer, text) != NULL;
}

static uint64_t number_behind(const char *key)
{
    const char *at = strstr(answer, key);

    CHECK(at != NULL);
    return strtoull(at + strlen(key), NULL, 10);
}

static uint32_t lines(const char *with)
{
    uint32_t count = 0;

    for (const char *at = answer; (at = strstr(at, with)) != NULL; at++)
        count += 1;
    return count;
}

/* ---- looks ---- */

static const char *at_listener(const struct duo *duo, const char *key)
{
    static char shown[64];

    snprintf(shown, sizeof(shown), "\"%s\":\"10.0.0.2:%u\"", key, duo->address.port);
    return shown;
}

static void a_connection_is_told_from_both_ends(void)
{
    struct duo duo = duo_open();

    CHECK_EQ(send_text(&duo, 0, "hello"), 5);
    expect_text(&duo, 1, "hello");
    run_for(&duo, 60 * 1000 * 1000); /* a late ACK */
    ask(&duo, 0, "conn");
    CHECK_EQ(lines("\"id\":"), 1);
    CHECK(says("\"state\":\"ESTABLISHED\"") && says(at_listener(&duo, "remote")));
    CHECK(says("\"passive\":false") && says("\"congestion\":\"cubic\"") && says("\"next\":0"));
    CHECK_EQ(number_behind("\"bytes_acked\":"), 5);
    CHECK(number_behind("\"srtt_ns\":") != 0);
    CHECK(number_behind("\"age_ns\":") >= 60 * 1000 * 1000);
    ask(&duo, 1, "conn");
    CHECK(says(at_listener(&duo, "local")) && says("\"passive\":true") && says("\"pending\":false"));
    CHECK_EQ(number_behind("\"bytes_received\":"), 5);
    ask(&duo, 1, "listen");
    CHECK(says(at_listener(&duo, "local")) && says("\"backlog\":16"));
    duo_close(&duo);
}

static void link_and_limits_are_told(void)
{
    struct duo duo = duo_open();

    ask(&duo, 0, "neigh");
    CHECK(says("\"address\":\"10.0.0.2\"") && says("\"state\":\"reachable\"") && says("\"mac\":\""));
    ask(&duo, 0, "addr");
    CHECK(says("\"address\":\"10.0.0.1\",\"prefix\":24") && says("\"state\":\"good\""));
    ask(&duo, 0, "route");
    CHECK(says("\"to\":\"10.0.0.0\",\"prefix\":24") && !strstr(answer, "via"));
    ask(&duo, 0, "port");
    CHECK(says("\"mtu\":1500") && says("\"carrier\":true") && says("\"ethernet\":true"));
    CHECK(number_behind("\"rx_packets\":") != 0 && number_behind("\"tx_packets\":") != 0);
    ask(&duo, 0, "limits");
    CHECK(says("{\"name\":\"connections\",\"used\":1,"));
    CHECK(says("\"name\":\"half_open\"") && says("\"name\":\"time_wait\""));
    ask(&duo, 0, "path");
    CHECK(says("{\"next\":0}"));
    ask(&duo, 0, "stats");
    CHECK(says("{\"name\":\"rx_packets\",\"value\":") && says("\"name\":\"drives\""));
    CHECK(says("\"text\":\"packets given to the stack\""));
    wire_set_carrier(WIRE, false);
    for (uint64_t end = ewi_now_ns() + WAIT_NS; strstr(answer, "\"carrier\":false") == NULL;) {
        CHECK(ewi_now_ns() < end);
        run_for(&duo, 10 * 1000 * 1000);
        ask(&duo, 0, "port");
    }
    duo_close(&duo);
}

static void calls_that_find_another_driving_are_counted(void)
{
    struct duo duo = duo_open();
    char byte;

    ask(&duo, 0, "stats");
    CHECK(says("{\"name\":\"tries_lost\",\"value\":0,"));
    ewi_shell_enter(duo.side[0].stack);
    CHECK_EQ(recv_once(&duo, 0, &byte, 1), -EAGAIN);
    CHECK_EQ(send_text(&duo, 0, "x"), -EAGAIN);
    ewi_lock_give(&duo.side[0].stack->guard);
    ask(&duo, 0, "stats");
    CHECK(says("{\"name\":\"tries_lost\",\"value\":2,"));
    duo_close(&duo);
}

/* catches: a row lost or doubled where a page ends; half a line */
static void a_long_table_comes_in_pages(void)
{
    struct duo duo = duo_with("", "");
    bool seen[65536] = {false};
    uint32_t pages = 0, rows = 0;
    uint64_t next = 0;

    for (int i = 0; i < MANY; i++)
        (void)connect_to(&duo);
    do {
        char question[32];

        snprintf(question, sizeof(question), next == 0 ? "conn" : "conn %llu",
                 (unsigned long long)next);
        CHECK(ask_in(&duo, 0, question, ASK_ROOM_MIN) > 0);
        for (const char *at = answer; (at = strstr(at, "\"local\":\"10.0.0.1:")) != NULL; at++) {
            uint64_t port = strtoull(at + 18, NULL, 10);

            CHECK(port < 65536 && !seen[port]);
            seen[port] = true;
            rows += 1;
        }
        CHECK_EQ(lines("\"next\":"), 1);
        next = number_behind("\"next\":");
        pages += 1;
    } while (next != 0);
    CHECK_EQ(rows, MANY + 1);
    CHECK(pages > MANY / 8);
    duo_close(&duo);
}

static void a_wrong_question_is_none(void)
{
    static const char *const wrong[] = {
        "",         "con",          "connx",       "conn x",         "conn 1 2",     "conn  1",
        "conn -1",  "port 1 1",     "stats 1",     "ping",           "ping nobody",  "ping 10.0.0.2 7",
        "pong",     "pong x",       "ping 10.0.0.2 1025", "ping 10.0.0.2 56 1", "capture", "capture now",
        "capture start", "capture start 1 2", "capture start x 0 /tmp/x", "conn 99999999999999999999999",
        "capture stop it"};
    struct duo duo = duo_open();

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int64_t code = ask_in(&duo, 0, wrong[i], ROOM);

        if (code != -EINVAL && strstr(answer, "\"error\":") == NULL)
            fprintf(stderr, "taken: %s\n", wrong[i]);
        CHECK(code == -EINVAL || strstr(answer, "\"error\":") != NULL);
    }
    CHECK_EQ(ask_in(&duo, 0, "conn", ASK_ROOM_MIN - 1), -ENOBUFS);
    ask(&duo, 0, "conn 18446744073709551615");
    CHECK(strcmp(answer, "{\"next\":0}\n") == 0);
    duo_close(&duo);
}

/* ---- ping ---- */

static void a_ping_is_answered(void)
{
    struct duo duo = duo_open();
    uint64_t end = ewi_now_ns() + WAIT_NS;
    char question[64];

    ask(&duo, 0, "ping 10.0.0.2 100");
    snprintf(question, sizeof(question), "pong %llu", (unsigned long long)number_behind("\"ping\":"));
    do {
        CHECK(ewi_now_ns() < end);
        turn(&duo);
        forget_events(&duo);
        ask(&duo, 0, question);
    } while (strstr(answer, "\"waiting\"") != NULL);
    CHECK(says("\"state\":\"answered\"") && says("\"hop_limit\":64"));
    CHECK(number_behind("\"rtt_ns\":") != 0);
    ask(&duo, 0, question);
    CHECK(says("\"state\":\"gone\""));
    ask(&duo, 0, "ping 192.0.2.1");
    CHECK(says("\"error\":\"unreachable\""));
    ask(&duo, 0, "ping 10.0.0.1");
    CHECK(says("address of our own"));
    ask(&duo, 0, "ping fd00::1"); /* there is no IPv6 here */
    CHECK(says("\"error\":\"unreachable\""));
    duo_close(&duo);
}

/* ---- by the control socket ---- */

static const char *control(struct duo *duo, const char *question, enum control_right right)
{
    static char reply[CONTROL_PACKET_BYTES + 1];
    size_t length =
        ewi_control_ask(duo->side[0].ops, duo->side[0].stack, question, right, reply);

    CHECK(length > 0 && length <= CONTROL_PACKET_BYTES);
    reply[length] = '\0';
    return reply;
}

/* catches: everybody may fill our disk, or make us send */
static void who_may_look_may_not_do_all(void)
{
    static const char *const looks[] = {"conn", "stats", "limits", "port", "neigh", "addr", "route"};
    struct duo duo = duo_open();

    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++)
        CHECK(strstr(control(&duo, looks[i], CONTROL_MAY_LOOK), "\"reply\":\"net\"") != NULL);
    CHECK(strstr(control(&duo, "ping 10.0.0.2", CONTROL_MAY_LOOK), "\"error\":\"access\"") != NULL);
    CHECK(strstr(control(&duo, "ping 10.0.0.2", CONTROL_MAY_SEND), "\"ping\":") != NULL);
    CHECK(strstr(control(&duo, "capture state", CONTROL_MAY_SEND), "\"error\":\"access\"") != NULL);
    CHECK(strstr(control(&duo, "capture state", CONTROL_MAY_WRITE), "\"capture\":\"never\"") != NULL);
    CHECK(ewi_control_ask(&ewi_kernel_stack, duo.side[0].stack, "conn", CONTROL_MAY_WRITE, answer) > 0);
    CHECK(says("\"error\":\"none\"")); /* which has no such call */
    CHECK(strstr(control(&duo, "nonsense", CONTROL_MAY_WRITE), "\"error\":\"question\"") != NULL);
    duo_close(&duo);
}

/* ---- capture ---- */

static const char *start(const char *limits)
{
    static char question[128];

    snprintf(question, sizeof(question), "capture start %s %s", limits, path);
    return question;
}

/* Frames in the file; each is whole. */
static uint32_t frames_in_file(size_t *bytes)
{
    static uint8_t file[1 << 20];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, file, sizeof(file));
    uint32_t magic, count = 0;

    close(fd);
    CHECK(length >= PCAP_HEAD);
    memcpy(&magic, file, sizeof(magic));
    CHECK_EQ(magic, 0xa1b23c4d);
    CHECK_EQ(file[20], 1); /* Ethernet */
    for (ssize_t at = PCAP_HEAD; at < length; count++) {
        uint32_t head[4];

        CHECK(length - at >= RECORD_HEAD);
        memcpy(head, file + at, sizeof(head));
        CHECK(head[0] > 1600000000 && head[1] < 1000000000 && head[2] == head[3]);
        at += RECORD_HEAD;
        CHECK(head[2] <= length - at && file[at + 12] == 8);
        at += head[2];
    }
    *bytes = (size_t)length;
    return count;
}

static void packets_of_both_directions_are_captured(void)
{
    struct duo duo = duo_open();
    struct stat status;
    size_t bytes;

    ask(&duo, 0, start("1000000 0"));
    CHECK(says("\"capture\":\"on\""));
    CHECK_EQ(stat(path, &status), 0);
    CHECK_EQ(status.st_mode & 07777, 0600);
    CHECK_EQ(send_text(&duo, 0, "ping"), 4);
    expect_text(&duo, 1, "ping");
    CHECK_EQ(send_text(&duo, 1, "pong"), 4);
    expect_text(&duo, 0, "pong");
    ask(&duo, 0, start("1000000 0"));
    CHECK(says("\"error\":\"busy\""));
    ask(&duo, 0, "capture stop");
    CHECK(says("\"capture\":\"stopped\""));
    CHECK(number_behind("\"packets\":") >= 2);
    CHECK_EQ(frames_in_file(&bytes), number_behind("\"packets\":"));
    CHECK_EQ(bytes, number_behind("\"bytes\":"));
    CHECK_EQ(send_text(&duo, 0, "more"), 4);
    expect_text(&duo, 1, "more");
    ask(&duo, 0, "capture state");
    CHECK_EQ(bytes, number_behind("\"bytes\":"));
    CHECK_EQ(unlink(path), 0);
    duo_close(&duo);
}

/* catches: a file that is there is written over, or a link is followed */
static void a_file_that_is_there_is_not_touched(void)
{
    struct duo duo = duo_open();
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct stat status;

    CHECK_EQ(write(fd, "mine", 4), 4);
    close(fd);
    ask(&duo, 0, start("1000000 0"));
    CHECK(says("\"error\":\"file\"") && says("File exists"));
    CHECK_EQ(stat(path, &status), 0);
    CHECK_EQ(status.st_size, 4);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(symlink("elsewhere", path), 0);
    ask(&duo, 0, start("1000000 0"));
    CHECK(says("\"error\":\"file\""));
    CHECK_EQ(unlink(path), 0);
    ask(&duo, 0, "capture start 1000000 0 relative");
    CHECK(says("\"error\":\"file\""));
    ask(&duo, 0, "capture state");
    CHECK(says("\"capture\":\"never\""));
    duo_close(&duo);
}

static void a_capture_is_bounded_in_bytes_and_time(void)
{
    struct duo duo = duo_open();
    char got[2000];
    size_t bytes;

    ask(&duo, 0, start("2048 0"));
    for (int i = 0; i < 4; i++) {
        memset(got, 'a', sizeof(got));
        CHECK_EQ(send_bytes(&duo, 0, got, sizeof(got)), sizeof(got));
        for (size_t have = 0; have < sizeof(got);)
            have += (size_t)receive(&duo, 1, got, sizeof(got));
    }
    ask(&duo, 0, "capture state");
    CHECK(says("\"capture\":\"full\""));
    CHECK(frames_in_file(&bytes) >= 1);
    CHECK(bytes <= 2048);
    CHECK_EQ(unlink(path), 0);
    ask(&duo, 0, start("100000 1"));
    run_for(&duo, UINT64_C(1050000000));
    ask(&duo, 0, "capture state");
    CHECK(says("\"capture\":\"stopped\""));
    CHECK_EQ(unlink(path), 0);
    duo_close(&duo);
}

int main(void)
{
    int before = open_descriptors();

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/file.pcap", folder);
    RUN(a_connection_is_told_from_both_ends);
    RUN(link_and_limits_are_told);
    RUN(calls_that_find_another_driving_are_counted);
    RUN(a_long_table_comes_in_pages);
    RUN(a_wrong_question_is_none);
    RUN(a_ping_is_answered);
    RUN(who_may_look_may_not_do_all);
    RUN(packets_of_both_directions_are_captured);
    RUN(a_file_that_is_there_is_not_touched);
    RUN(a_capture_is_bounded_in_bytes_and_time);
    CHECK_EQ(rmdir(folder), 0);
    CHECK_EQ(open_descriptors(), before);
    return 0;
}
