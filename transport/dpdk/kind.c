#include "transport/dpdk/kind.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/dpdk/eal.h"

static const struct dpdk_kind kinds[] = {
    {"memif", "net_memif", "memif:socket=PATH,role=server|client,id=N",
     {{"socket", DPDK_SOCKET, true}, {"role", DPDK_ROLE, true}, {"id", DPDK_NUMBER, false}},
     DPDK_SLEEP_NEVER, DPDK_OWN_MAC | DPDK_REMOTE | DPDK_UNMAPS | DPDK_JOINS_ONCE, 9000, 1024, 1024,
     "memif has no wake-up: both ends mask it; its peer must be trusted: the driver believes its offsets"},
    {"virtio_user", "net_virtio_user", "virtio_user:path=PATH[,server=1][,tso=1]",
     {{"path", DPDK_SOCKET, true}, {"server", DPDK_FLAG, false}, {"tso", DPDK_FLAG, false}},
     DPDK_SLEEP_QUEUE, DPDK_OWN_MAC | DPDK_REMOTE | DPDK_SUMS | DPDK_TRUST | DPDK_JOINS_ONCE, 9000, 256, 256,
     "no TSO: tso=1 at both ends has it; checksums are not computed on this wire"},
    {"vhost", "net_vhost", "vhost:path=PATH[,client=1][,tso=1]",
     {{"path", DPDK_SOCKET, true}, {"client", DPDK_FLAG, false}, {"tso", DPDK_FLAG, false}},
     DPDK_SLEEP_KICK, DPDK_OWN_MAC | DPDK_REMOTE | DPDK_SUMS | DPDK_TRUST, 9000, 256, 256,
     "no TSO: tso=1 at both ends has it; checksums are not computed on this wire"},
    {"af_packet", "net_af_packet", "af_packet:iface=NAME",
     {{"iface", DPDK_IFACE, true}},
     DPDK_SLEEP_SOCKET, DPDK_ON_IFACE, 9000, 512, 512,
     "no offloads here: on the other end of a veth, ethtool -K IFACE tx off gso off tso off gro off"},
    {"af_xdp", "net_af_xdp", "af_xdp:iface=NAME[,queue=N]",
     {{"iface", DPDK_IFACE, true}, {"queue", DPDK_NUMBER, false}},
     DPDK_SLEEP_SOCKET, DPDK_ON_IFACE | DPDK_UMEM, 3506, 2048, 2048,
     "no offloads here: on the other end of a veth, ethtool -K IFACE tx off gso off tso off gro off"},
    {"tap", "net_tap", "tap:iface=NAME",
     {{"iface", DPDK_IFACE, true}},
     DPDK_SLEEP_QUEUE, DPDK_OWN_MAC, 1500, 256, 256,
     "one system call for each packet and each look; the driver's real-time signal is refused"},
    {"ring", "net_ring", "ring:name=NAME",
     {{"name", DPDK_TEXT, true}},
     DPDK_SLEEP_NEVER, DPDK_OWN_MAC | DPDK_TRUST, 9000, 1024, 1024,
     "a ring in memory has no wake-up"},
    {"pci", "pci", "pci:0000:03:00.0", {{"address", DPDK_TEXT, true}},
     DPDK_SLEEP_QUEUE, DPDK_SUMS, 9000, 1024, 1024,
     "no TSO: no card has been tested with it"},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static int refuse_kind(const char *text, size_t bytes, char *reason)
{
    char known[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < KINDS; i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i == 0 ? "" : ", ",
                                 kinds[i].name);
    return ewi_dpdk_refuse(reason, -EINVAL, "device '%.*s': no kind '%.*s'; there are %s", 48, text,
                           (int)(bytes < 24 ? bytes : 24), text, known);
}

static int check_number(const char *value, unsigned long max)
{
    char *end;
    unsigned long number;

    if (value[0] < '0' || value[0] > '9')
        return -1;
    errno = 0;
    number = strtoul(value, &end, 10);
    return *end != '\0' || errno != 0 || number > max ? -1 : 0;
}

static int check(const struct dpdk_key *key, const char *value, char *reason)
{
    const char *allowed = NULL;

    switch (key->type) {
    case DPDK_NUMBER:
        allowed = check_number(value, 65535) != 0 ? "a number up to 65535" : NULL;
        break;
    case DPDK_FLAG:
        allowed = strcmp(value, "0") != 0 && strcmp(value, "1") != 0 ? "0 or 1" : NULL;
        break;
    case DPDK_ROLE:
        allowed = strcmp(value, "server") != 0 && strcmp(value, "client") != 0
                      ? "server (makes the socket) or client"
                      : NULL;
        break;
    case DPDK_SOCKET:
        allowed = value[0] != '/' ? "an absolute path" : NULL;
        break;
    case DPDK_IFACE:
        allowed = strlen(value) >= IFNAMSIZ || strpbrk(value, "/ ") != NULL
                      ? "the name of an interface, at most 15 bytes"
                      : NULL;
        break;
    case DPDK_TEXT:
        allowed = strlen(value) > 24 ? "at most 24 bytes" : NULL;
        break;
    }
    if (value[0] == '\0')
        allowed = "not empty";
    return allowed == NULL ? 0
                           : ewi_dpdk_refuse(reason, -EINVAL, "%s=%.64s: has to be %s", key->name, value,
                                             allowed);
}

static int refuse_key(const struct dpdk_kind *kind, const char *word, char *reason)
{
    return ewi_dpdk_refuse(reason, -EINVAL, "%.48s: not a setting of a %s device, which is written %s",
                           word, kind->name, kind->form);
}

/* One "key=value". */
static int read_setting(char *word, struct dpdk_text *out, char *reason)
{
    const struct dpdk_kind *kind = out->kind;
    char *value = strchr(word, '=');
    size_t length = value == NULL ? 0 : (size_t)(value - word);

    for (int i = 0; value != NULL && i < DPDK_KEYS && kind->keys[i].name != NULL; i++) {
        if (strlen(kind->keys[i].name) != length || memcmp(kind->keys[i].name, word, length) != 0)
            continue;
        value += 1;
        if (strlen(value) >= DPDK_VALUE_BYTES)
            return ewi_dpdk_refuse(reason, -EINVAL, "%.64s...: %zu bytes, at most %d", word,
                                   strlen(value), DPDK_VALUE_BYTES - 1);
        if (out->value[i][0] != '\0')
            return ewi_dpdk_refuse(reason, -EINVAL, "%s is given twice", kind->keys[i].name);
        memcpy(out->value[i], value, strlen(value) + 1);
        return check(&kind->keys[i], value, reason);
    }
    return refuse_key(kind, word, reason);
}

static int check_needed(const struct dpdk_text *text, char *reason)
{
    for (int i = 0; i < DPDK_KEYS && text->kind->keys[i].name != NULL; i++)
        if (text->kind->keys[i].needed && text->value[i][0] == '\0')
            return ewi_dpdk_refuse(reason, -EINVAL, "%s: %s= is missing; it is written %s",
                                   text->kind->name, text->kind->keys[i].name, text->kind->form);
    return 0;
}

int ewi_dpdk_text_read(const char *text, struct dpdk_text *out, char *reason)
{
    size_t name = strcspn(text, ":");
    char words[512], *rest, *word;
    int code = 0;

    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < KINDS; i++)
        if (strlen(kinds[i].name) == name && memcmp(kinds[i].name, text, name) == 0)
            out->kind = &kinds[i];
    if (out->kind == NULL)
        return refuse_kind(text, name, reason);
    if (strlen(text) >= sizeof(words))
        return ewi_dpdk_refuse(reason, -EINVAL, "%.48s...: %zu bytes, at most %zu", text, strlen(text),
                               sizeof(words) - 1);
    snprintf(words, sizeof(words), "%s", text[name] == ':' ? text + name + 1 : "");
    if (strcmp(out->kind->name, "pci") == 0 && words[0] != '\0') {
        snprintf(out->value[0], sizeof(out->value[0]), "%.100s", words);
        return check(&out->kind->keys[0], out->value[0], reason);
    }
    for (rest = words; code == 0 && (word = strsep(&rest, ",")) != NULL;)
        if (word[0] != '\0')
            code = read_setting(word, out, reason);
    return code != 0 ? code : check_needed(out, reason);
}

const char *ewi_dpdk_text_value(const struct dpdk_text *text, const char *key)
{
    for (int i = 0; i < DPDK_KEYS && text->kind->keys[i].name != NULL; i++)
        if (strcmp(text->kind->keys[i].name, key) == 0 && text->value[i][0] != '\0')
            return text->value[i];
    return NULL;
}

bool ewi_dpdk_text_flag(const struct dpdk_text *text, const char *key)
{
    const char *value = ewi_dpdk_text_value(text, key);

    return value != NULL && value[0] == '1';
}

bool ewi_dpdk_is_client(const struct dpdk_text *text)
{
    const char *role = ewi_dpdk_text_value(text, "role");

    if (strcmp(text->kind->name, "vhost") == 0)
        return ewi_dpdk_text_flag(text, "client");
    return role != NULL ? strcmp(role, "client") == 0 : !ewi_dpdk_text_flag(text, "server");
}
