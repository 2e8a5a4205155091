#include "transport/dpdk/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <rte_log.h>
#include <xdp/libxdp.h>

static struct {
    pthread_mutex_t lock;
    char ring[DPDK_LOG_TAIL];
    uint64_t written, marked; /* bytes since the start */
    int fd;
    void (*write)(void *context, const char *text, size_t bytes);
    void *context;
} log_state = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static ssize_t take(void *cookie, const char *text, size_t bytes)
{
    (void)cookie;
    pthread_mutex_lock(&log_state.lock);
    for (size_t i = 0; i < bytes; i++)
        log_state.ring[log_state.written++ % DPDK_LOG_TAIL] = text[i];
    if (log_state.write != NULL)
        log_state.write(log_state.context, text, bytes);
    if (log_state.fd >= 0 && write(log_state.fd, text, bytes) < 0)
        log_state.fd = -1;
    pthread_mutex_unlock(&log_state.lock);
    return (ssize_t)bytes;
}

static int take_format(const char *format, va_list arguments)
{
    char text[256];
    int bytes = vsnprintf(text, sizeof(text), format, arguments);

    if (bytes > 0)
        take(NULL, text, (size_t)bytes < sizeof(text) ? (size_t)bytes : sizeof(text) - 1);
    return bytes;
}

static int take_bpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
    return level == LIBBPF_DEBUG ? 0 : take_format(format, arguments);
}

static int take_xdp(enum libxdp_print_level level, const char *format, va_list arguments)
{
    return level == LIBXDP_DEBUG ? 0 : take_format(format, arguments);
}

static libbpf_print_fn_t bpf_before;
static libxdp_print_fn_t xdp_before;

void ewi_dpdk_log_catch(void)
{
    bpf_before = libbpf_set_print(take_bpf);
    xdp_before = libxdp_set_print(take_xdp);
}

void ewi_dpdk_log_release(void)
{
    libbpf_set_print(bpf_before);
    libxdp_set_print(xdp_before);
}

int ewi_dpdk_log_open(void)
{
    const char *path = getenv("EASTWEST_DPDK_LOG");
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take});

    if (stream == NULL)
        return -errno;
    setvbuf(stream, NULL, _IOLBF, 0);
    if (path != NULL && path[0] != '\0')
        log_state.fd = strcmp(path, "-") == 0
                           ? STDERR_FILENO
                           : open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return rte_openlog_stream(stream) == 0 ? 0 : -EIO;
}

void ewi_dpdk_log_to(void (*write)(void *context, const char *text, size_t bytes), void *context)
{
    pthread_mutex_lock(&log_state.lock);
    log_state.write = write;
    log_state.context = context;
    pthread_mutex_unlock(&log_state.lock);
}

void ewi_dpdk_log_mark(void)
{
    pthread_mutex_lock(&log_state.lock);
    log_state.marked = log_state.written;
    pthread_mutex_unlock(&log_state.lock);
}

void ewi_dpdk_log_tail(char *text, size_t bytes)
{
    uint64_t from;
    size_t used = 0;

    pthread_mutex_lock(&log_state.lock);
    from = log_state.written - log_state.marked;
    from = from < DPDK_LOG_TAIL ? from : DPDK_LOG_TAIL;
    from = log_state.written - (from < bytes / 2 ? from : bytes / 2);
    for (; from < log_state.written && used + 3 < bytes; from++) {
        char c = log_state.ring[from % DPDK_LOG_TAIL];

        if (c != '\n') {
            text[used++] = c;
        } else if (from + 1 < log_state.written && used > 0) {
            text[used++] = ';';
            text[used++] = ' ';
        }
    }
    text[used] = '\0';
    pthread_mutex_unlock(&log_state.lock);
}
