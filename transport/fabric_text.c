/* What is said of a fabric network in texts: configuration and addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/error.h"
#include "transport/fabric.h"

static const char scheme[] = "dpdk://";

static bool is_name(const char *text, size_t length)
{
    if (length == 0 || length >= FABRIC_NETWORK_BYTES || text[0] == '-' || text[0] == '.')
        return false;
    for (size_t i = 0; i < length; i++)
        if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') &&
            text[i] != '-' && text[i] != '.' && text[i] != '_')
            return false;
    return true;
}

bool ewi_fabric_split(const char *address, char network[FABRIC_NETWORK_BYTES], const char **addr)
{
    const char *name = address + strlen(scheme), *slash;

    if (strncmp(address, scheme, strlen(scheme)) != 0)
        return false;
    slash = strchr(name, '/');
    if (slash == NULL || !is_name(name, (size_t)(slash - name)))
        return false;
    memcpy(network, name, (size_t)(slash - name));
    network[slash - name] = '\0';
    *addr = slash + 1;
    return true;
}

/* ---- configuration ---- */

struct line {
    const char *key, *value;
    size_t key_bytes, value_bytes;
};

static bool is_key(const struct line *line, const char *key)
{
    return line->key_bytes == strlen(key) && memcmp(line->key, key, line->key_bytes) == 0;
}

static int take_network(struct fabric_text *out, const struct line *line)
{
    if (out->network[0] != '\0')
        return ewi_fail(EW_EINVAL, "fabric: network is given twice");
    if (!is_name(line->value, line->value_bytes))
        return ewi_fail(EW_EINVAL,
                        "fabric network \"%.*s\": must be 1 to 63 of a-z, 0-9, '-', '_' and '.', and "
                        "begin with a letter or digit",
                        (int)line->value_bytes, line->value);
    memcpy(out->network, line->value, line->value_bytes);
    return EW_OK;
}

static int take_port(struct fabric_text *out, const struct line *line)
{
    char *end;
    long port = strtol(line->value, &end, 10);

    if (line->value_bytes == 0 || line->value[0] < '0' || line->value[0] > '9' ||
        end != line->value + line->value_bytes || port > UINT16_MAX)
        return ewi_fail(EW_EINVAL, "fabric port \"%.*s\": must be 0 to 65535",
                        (int)line->value_bytes, line->value);
    out->port = (uint16_t)port;
    return EW_OK;
}

/* "IP/PREFIX": the prefix is the plug-in's, which judges it. */
static int take_address(struct fabric_text *out, const struct line *line)
{
    const char *slash = memchr(line->value, '/', line->value_bytes);
    size_t ip_bytes = slash != NULL ? (size_t)(slash - line->value) : 0;
    bool is_ip6 = memchr(line->value, ':', ip_bytes) != NULL;
    char text[80];

    if (out->addresses_count == FABRIC_ADDRESSES_MAX)
        return ewi_fail(EW_EINVAL, "fabric: more than %d addresses", FABRIC_ADDRESSES_MAX);
    snprintf(text, sizeof(text), is_ip6 ? "[%.*s]:0" : "%.*s:0", (int)ip_bytes, line->value);
    if (slash == NULL || ip_bytes > 64 ||
        ewi_addr_parse(text, &out->addresses[out->addresses_count]) != EW_OK)
        return ewi_fail(EW_EINVAL, "fabric address \"%.*s\": must be A.B.C.D/PREFIX or A::B/PREFIX",
                        (int)line->value_bytes, line->value);
    out->addresses_count += 1;
    return EW_OK;
}

/* What is ours is read, the rest kept. */
static int take_line(struct fabric_text *out, const struct line *line)
{
    int code = EW_OK;

    if (is_key(line, "network"))
        return take_network(out, line);
    if (is_key(line, "port"))
        return take_port(out, line);
    if (is_key(line, "address"))
        code = take_address(out, line);
    if (code == EW_OK) {
        size_t bytes = line->key_bytes + 1 + line->value_bytes;

        memcpy(out->rest + out->rest_bytes, line->key, bytes); /* no longer than the whole text */
        out->rest[out->rest_bytes + bytes] = '\n';
        out->rest_bytes += bytes + 1;
    }
    return code;
}

static int take_lines(struct fabric_text *out, const char *text)
{
    int code = EW_OK;

    while (code == EW_OK && *text != '\0') {
        const char *end = strchr(text, '\n');
        size_t length = end != NULL ? (size_t)(end - text) : strlen(text);
        const char *equals = memchr(text, '=', length);

        if (length > 0 && equals == NULL)
            return ewi_fail(EW_EINVAL, "fabric \"%.*s\": must be key=value", (int)length, text);
        if (length > 0) {
            const struct line line = {.key = text,
                                      .key_bytes = (size_t)(equals - text),
                                      .value = equals + 1,
                                      .value_bytes = length - (size_t)(equals - text) - 1};

            code = take_line(out, &line);
        }
        text += end != NULL ? length + 1 : length;
    }
    return code;
}

int ewi_fabric_parse(const char *text, struct fabric_text *out)
{
    int code;

    *out = (struct fabric_text){.rest = calloc(1, strlen(text) + 2)};
    if (out->rest == NULL)
        return ewi_fail(EW_EMEMORY, "no memory for a fabric");
    code = take_lines(out, text);
    if (code == EW_OK && out->network[0] == '\0')
        code = ewi_fail(EW_EINVAL, "fabric: network is missing, the name of what the port is on");
    if (code == EW_OK && out->addresses_count == 0)
        code = ewi_fail(EW_EINVAL, "fabric: address is missing, as A.B.C.D/PREFIX");
    if (code != EW_OK)
        free(out->rest);
    for (uint32_t i = 0; i < out->addresses_count; i++)
        out->addresses[i].port = out->port;
    return code;
}
