#include "transport/stack.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Digits only, no sign, no blanks: strtoul accepts both. */
static bool read_number(const char *text, size_t length, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;

    if (length == 0 || length > 10)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    if (value > max)
        return false;
    *out = (uint32_t)value;
    return true;
}

/* An IPv4-mapped address would be IPv4 behind the back of every rule about addresses. */
static bool is_mapped(const uint8_t ip[16])
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(ip, prefix, sizeof(prefix)) == 0;
}

static bool read_ip6(const char *text, size_t length, struct stack_addr *out)
{
    char host[INET6_ADDRSTRLEN];
    const char *percent = memchr(text, '%', length);
    size_t host_length = percent == NULL ? length : (size_t)(percent - text);

    if (host_length >= sizeof(host))
        return false;
    memcpy(host, text, host_length);
    host[host_length] = '\0';
    if (inet_pton(AF_INET6, host, out->ip) != 1 || is_mapped(out->ip))
        return false;
    out->family = 6;
    if (percent == NULL)
        return true;
    return read_number(percent + 1, length - host_length - 1, UINT32_MAX, &out->scope);
}

static bool read_ip4(const char *text, size_t length, struct stack_addr *out)
{
    char host[INET_ADDRSTRLEN];

    if (length >= sizeof(host))
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    out->family = 4;
    return inet_pton(AF_INET, host, out->ip) == 1;
}

int ewi_addr_parse(const char *text, struct stack_addr *out)
{
    struct stack_addr addr = {0};
    const char *colon = strrchr(text, ':');
    uint32_t port;
    size_t length;

    if (colon == NULL || !read_number(colon + 1, strlen(colon + 1), UINT16_MAX, &port))
        return EW_EINVAL;
    length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        if (!read_ip6(text + 1, length - 2, &addr))
            return EW_EINVAL;
    } else if (!read_ip4(text, length, &addr)) {
        return EW_EINVAL;
    }
    addr.port = (uint16_t)port;
    *out = addr;
    return EW_OK;
}

void ewi_addr_format(const struct stack_addr *addr, char *out, size_t room)
{
    char host[INET6_ADDRSTRLEN];

    if (addr->family == 4 && inet_ntop(AF_INET, addr->ip, host, sizeof(host)) != NULL)
        snprintf(out, room, "%s:%u", host, addr->port);
    else if (addr->family != 6 || inet_ntop(AF_INET6, addr->ip, host, sizeof(host)) == NULL)
        snprintf(out, room, "?");
    else if (addr->scope != 0)
        snprintf(out, room, "[%s%%%u]:%u", host, addr->scope, addr->port);
    else
        snprintf(out, room, "[%s]:%u", host, addr->port);
}

bool ewi_addr_is_loopback(const struct stack_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1}; /* ::1, RFC 4291 section 2.5.3 */

    if (addr->family == 4)
        return addr->ip[0] == 127; /* RFC 1122 section 3.2.1.3 (g) */
    return addr->family == 6 && memcmp(addr->ip, one, sizeof(one)) == 0;
}
