#include "transport/dpdk/eal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_config.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "transport/dpdk/log.h"
#include "transport/shell/device.h"

enum { ARGUMENTS = 16, CORES_TEXT = 1024, SMALL_BYTES_MIN = 512 << 20, HUGE_PAGE = 2 << 20 };

enum state { NEVER, RUNNING, FAILED };

static struct {
    pthread_mutex_t lock;
    enum state state;
    struct dpdk_needs needs; /* of the start */
    bool huge;
    uint8_t *held; /* huge pages that the first device is going to have */
    size_t held_bytes;
    _Atomic pid_t owner; /* the first process that wanted a device, for good; 0: none yet */
    unsigned devices; /* opened since the start */
    sem_t stands, may_go; /* EAL's thread, while it is stopped */
    char why[DEVICE_REASON_BYTES];
    char cores[CORES_TEXT], memory[16]; /* EAL and syslog keep pointers to arguments */
} eal = {.lock = PTHREAD_MUTEX_INITIALIZER};

int ewi_dpdk_refuse(char *reason, int code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (reason != NULL)
        vsnprintf(reason, DEVICE_REASON_BYTES, format, arguments);
    va_end(arguments);
    return code;
}

/* EAL's only lcore may run on each CPU that the process may use: nothing of DPDK gets pinned. */
static void list_cores(void)
{
    cpu_set_t cpus, mine;
    size_t used = 0;
    char between = '(';

    if (sched_getaffinity(getpid(), sizeof(cpus), &cpus) != 0)
        CPU_ZERO(&cpus);
    if (sched_getaffinity(0, sizeof(mine), &mine) == 0)
        CPU_OR(&cpus, &cpus, &mine);
    used = (size_t)snprintf(eal.cores, sizeof(eal.cores), "0@");
    for (int cpu = 0; cpu < RTE_MAX_LCORE && used < sizeof(eal.cores) - 8; cpu++) {
        if (!CPU_ISSET((size_t)cpu, &cpus))
            continue;
        used += (size_t)snprintf(eal.cores + used, sizeof(eal.cores) - used, "%c%d", between, cpu);
        between = ',';
    }
    snprintf(eal.cores + used, sizeof(eal.cores) - used, ")");
}

static unsigned long huge_pages(const char *which)
{
    char path[96];
    unsigned long pages = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", which);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages;
}

/* Free, and not promised to a mapping that has not touched them yet. */
static uint64_t free_huge_bytes(void)
{
    unsigned long free_pages = huge_pages("free_hugepages"), promised = huge_pages("resv_hugepages");

    return free_pages > promised ? (uint64_t)(free_pages - promised) * HUGE_PAGE : 0;
}

/* What is mapped and not touched is promised by the kernel, to us and to nobody else: two programs that
 * start at once do not both count on the same pages. */
static bool hold(size_t bytes)
{
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0);

    if (mapped == MAP_FAILED)
        return false;
    eal.held = mapped;
    eal.held_bytes = bytes;
    return true;
}

/* All but so many bytes. */
static void hold_less(size_t bytes)
{
    if (eal.held_bytes <= bytes)
        return;
    munmap(eal.held + bytes, eal.held_bytes - bytes);
    eal.held_bytes = bytes;
}

void ewi_dpdk_let_pages_go(void)
{
    hold_less(0);
}

/* Channels want huge pages too: auto leaves them half of what is free. EAL starts with that half. */
static bool hold_half(uint64_t bytes)
{
    const size_t whole = (size_t)(bytes + HUGE_PAGE) / HUGE_PAGE * HUGE_PAGE;

    if (!hold(2 * whole))
        return false;
    hold_less(whole);
    return true;
}

static int choose_pages(const struct dpdk_needs *needs, char *reason)
{
    const char *asked = getenv("EASTWEST_DPDK_PAGES");
    uint64_t have;

    if (asked == NULL || asked[0] == '\0' || strcmp(asked, "auto") == 0) {
        eal.huge = hold_half(needs->bytes + HUGE_PAGE);
        return 0;
    }
    if (strcmp(asked, "small") != 0 && strcmp(asked, "huge") != 0)
        return ewi_dpdk_refuse(reason, -EINVAL, "EASTWEST_DPDK_PAGES=%.32s: may be auto, huge or small",
                               asked);
    eal.huge = strcmp(asked, "huge") == 0;
    have = free_huge_bytes();
    if (eal.huge && have < needs->bytes + HUGE_PAGE)
        return ewi_dpdk_refuse(reason, -ENOMEM,
                               "EASTWEST_DPDK_PAGES=huge: %llu MiB of huge pages are free, %llu are "
                               "needed: raise sysctl vm.nr_hugepages, or say small",
                               (unsigned long long)(have >> 20),
                               (unsigned long long)(needs->bytes >> 20) + 2);
    return 0;
}

static void *run(void *out)
{
    char *arguments[ARGUMENTS] = {"eastwest", "--lcores", eal.cores, "--no-telemetry",
                                  "--no-shconf", "--single-file-segments", "--iova-mode=va",
                                  "--file-prefix=eastwest"};
    int count = 8;

    if (eal.huge) {
        arguments[count++] = "--in-memory";
    } else {
        arguments[count++] = "--no-huge";
        arguments[count++] = "-m";
        arguments[count++] = eal.memory;
    }
    if (eal.needs.pci) /* an allow list that names nothing: a device is named when it is opened */
        arguments[count++] = "--allow=ffff:ff:1f.7";
    else
        arguments[count++] = "--no-pci";
    *(int *)out = rte_eal_init(count, arguments) < 0 ? -(rte_errno != 0 ? rte_errno : EIO) : 0;
    return NULL;
}

/* In a thread that ends: EAL sets the affinity of its caller, and stays the "main lcore". */
static int start(const struct dpdk_needs *needs, char *reason)
{
    uint64_t bytes = needs->bytes * 2 > SMALL_BYTES_MIN ? needs->bytes * 2 : SMALL_BYTES_MIN;
    char tail[DEVICE_REASON_BYTES - 32];
    pthread_t thread;
    int error, code = choose_pages(needs, reason);

    if (code != 0)
        return code;
    if ((code = ewi_dpdk_log_open()) != 0)
        return ewi_dpdk_refuse(reason, code, "DPDK's log: %s", strerror(-code));
    list_cores();
    sem_init(&eal.stands, 0, 0);
    sem_init(&eal.may_go, 0, 0);
    eal.needs = *needs;
    snprintf(eal.memory, sizeof(eal.memory), "%u", (unsigned)(bytes >> 20));
    error = pthread_create(&thread, NULL, run, &code);
    if (error != 0)
        return ewi_dpdk_refuse(reason, -error, "no thread for DPDK's start: %s", strerror(error));
    pthread_join(thread, NULL);
    rmdir(rte_eal_get_runtime_dir()); /* made by EAL, empty, of no use */
    eal.state = code == 0 ? RUNNING : FAILED;
    if (code != 0) {
        ewi_dpdk_log_tail(tail, sizeof(tail));
        ewi_dpdk_refuse(eal.why, code, "DPDK does not start: %s", tail);
    }
    return 0;
}

static int begin(const struct dpdk_needs *needs, char *reason)
{
    int code;

    if (eal.state == NEVER && (code = start(needs, reason)) != 0)
        return code;
    if (eal.state == FAILED)
        return ewi_dpdk_refuse(reason, -EIO, "%s", eal.why);
    if (needs->pci && !eal.needs.pci)
        return ewi_dpdk_refuse(reason, -EBUSY, "DPDK was started without PCI, by a device that needs "
                               "none, and cannot be started again: open the pci: device first");
    return 0;
}

void ewi_dpdk_enter_again(sigset_t *before)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before); /* threads made meanwhile inherit it */
    pthread_mutex_lock(&eal.lock);
}

/* Before the lock: a child made by fork may have it as it was in the middle of an open. */
static int own(char *reason)
{
    pid_t owner = 0;

    if (atomic_compare_exchange_strong_explicit(&eal.owner, &owner, getpid(),
                                                memory_order_relaxed,    /* E1 */
                                                memory_order_relaxed) || /* E1 */
        owner == getpid())
        return 0;
    return ewi_dpdk_refuse(reason, -EPERM, "DPDK belongs to process %d, this is a child of it by fork: "
                           "start a new program (exec) instead", (int)owner);
}

int ewi_dpdk_enter(const struct dpdk_needs *needs, sigset_t *before, char *reason)
{
    int code = own(reason);

    if (code != 0)
        return code;
    ewi_dpdk_enter_again(before);
    code = begin(needs, reason);
    if (code != 0)
        ewi_dpdk_leave(before);
    return code;
}

static void stand_still(void *unused)
{
    (void)unused;
    sem_post(&eal.stands);
    while (sem_wait(&eal.may_go) != 0)
        continue;
}

bool ewi_dpdk_stop_thread(void)
{
    if (rte_eal_alarm_set(1, stand_still, NULL) != 0)
        return false;
    while (sem_wait(&eal.stands) != 0)
        continue;
    return true;
}

void ewi_dpdk_let_thread_go(bool stopped)
{
    if (stopped)
        sem_post(&eal.may_go);
}

/* Drivers write to sockets whose peer is gone: what that raised is not for the caller. */
static void swallow_sigpipe(void)
{
    sigset_t pending, pipe;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe, NULL, &(struct timespec){.tv_sec = 0});
}

void ewi_dpdk_leave(const sigset_t *before)
{
    ewi_dpdk_let_pages_go();
    if (!sigismember(before, SIGPIPE))
        swallow_sigpipe();
    pthread_mutex_unlock(&eal.lock);
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

bool ewi_dpdk_has_huge_pages(void)
{
    return eal.huge;
}

bool ewi_dpdk_is_ours(void)
{
    return atomic_load_explicit(&eal.owner, memory_order_relaxed) == getpid(); /* E1 */
}

unsigned ewi_dpdk_next_number(void)
{
    return eal.devices++;
}
