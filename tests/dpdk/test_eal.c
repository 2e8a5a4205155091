/* What DPDK may not do to the process it is loaded into. Each situation is a process of its own. */
#include <fcntl.h>
#include <pthread.h>
#include <linux/mman.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/dpdk/dpdk_base.h"
#include "transport/dpdk/eal.h"

#define RING "ring:name=eal"

static void in_child(void (*work)(const char *))
{
    dpdk_ends_well(dpdk_child(work, NULL));
}

/* ---- affinity, signals ---- */

static void handler(int number)
{
    (void)number;
}

static void set_handlers(struct sigaction *kept)
{
    struct sigaction mine = {.sa_handler = handler};

    CHECK(sigaction(SIGBUS, &mine, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &mine, NULL) == 0);
    for (int number = 1; number < NSIG; number++)
        (void)sigaction(number, NULL, &kept[number]);
}

static void check_handlers(const struct sigaction *kept)
{
    for (int number = 1; number < NSIG; number++) {
        struct sigaction now = {.sa_handler = SIG_DFL};

        if (sigaction(number, NULL, &now) == 0)
            CHECK(now.sa_handler == kept[number].sa_handler && now.sa_flags == kept[number].sa_flags);
    }
}

static void open_and_compare(const char *text)
{
    static struct sigaction handlers[NSIG];
    cpu_set_t one, after;
    sigset_t mask_before, mask_after;
    struct device *device;

    CPU_ZERO(&one);
    CHECK(sched_getaffinity(0, sizeof(one), &one) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask_before) == 0);
    set_handlers(handlers);
    device = dpdk_open(text);
    CHECK(sched_getaffinity(0, sizeof(after), &after) == 0);
    CHECK(CPU_EQUAL(&one, &after));
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask_after) == 0);
    for (int number = 1; number < NSIG; number++)
        CHECK_EQ(sigismember(&mask_after, number), sigismember(&mask_before, number));
    check_handlers(handlers);
    dpdk_ops->close(device);
    check_handlers(handlers);
}

static void open_ring(const char *unused)
{
    (void)unused;
    open_and_compare(RING);
}

static void open_ring_pinned(const char *unused)
{
    cpu_set_t one;

    (void)unused;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
    open_and_compare(RING);
}

static void open_tap(const char *unused)
{
    (void)unused;
    open_and_compare("tap:iface=ewdevtap0");
}

static void affinity_mask_and_handlers_stay(void)
{
    in_child(open_ring);
    in_child(open_ring_pinned);
}

static void tap_takes_no_signal(void)
{
    if (geteuid() == 0 && access("/dev/net/tun", R_OK | W_OK) == 0)
        in_child(open_tap);
}

static int open_threads(uint64_t *blocked)
{
    char line[256], path[64];
    int threads = 0;

    for (int id = getpid(); id < getpid() + 64; id++) {
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%d/status", id);
        file = fopen(path, "r");
        if (file == NULL || id == getpid()) {
            if (file != NULL)
                fclose(file);
            continue;
        }
        threads += 1;
        while (fgets(line, sizeof(line), file) != NULL)
            if (strncmp(line, "SigBlk:", 7) == 0)
                *blocked &= strtoull(line + 7, NULL, 16);
        fclose(file);
    }
    return threads;
}

static void count_threads(const char *unused)
{
    uint64_t blocked = UINT64_MAX;
    struct device *device = dpdk_open(RING);

    (void)unused;
    CHECK(open_threads(&blocked) >= 1);
    CHECK((blocked >> (SIGTERM - 1) & 1) && (blocked >> (SIGUSR1 - 1) & 1));
    dpdk_ops->close(device);
}

static void threads_of_dpdk_take_no_signals(void)
{
    in_child(count_threads);
}

/* ---- output ---- */

static void open_silently(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct device *device;
    struct stat status;

    CHECK(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
    CHECK(dup2(fd, STDERR_FILENO) >= 0);
    device = dpdk_open(RING);
    dpdk_ops->close(device);
    CHECK(fstat(fd, &status) == 0);
    _exit(status.st_size == 0 ? 0 : 1);
}

static void nothing_is_printed(void)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/out", dpdk_folder());
    dpdk_ends_well(dpdk_child(open_silently, path));
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

static size_t heard;

static void hear(void *context, const char *text, size_t bytes)
{
    CHECK(context == &heard && text != NULL);
    heard += bytes;
}

static void open_loudly(const char *unused)
{
    struct device *device;

    (void)unused;
    ewi_dpdk_log_to(hear, &heard);
    device = dpdk_open(RING);
    CHECK(heard > 0);
    dpdk_ops->close(device);
}

static void a_callback_hears_the_log(void)
{
    in_child(open_loudly);
}

/* ---- once in a process ---- */

static void ask_for_pci_too_late(const char *unused)
{
    struct device *device = dpdk_open(RING);

    (void)unused;
    dpdk_refused("pci:0000:00:1f.6", 0, "open the pci: device first");
    dpdk_ops->close(device);
    device = dpdk_open(RING); /* all is as before */
    dpdk_ops->close(device);
}

static void pci_after_the_start_is_refused(void)
{
    in_child(ask_for_pci_too_late);
}

static void ask_for_no_such_card(const char *unused)
{
    (void)unused;
    dpdk_refused("pci:0000:fe:1f.6", 0, "vfio-pci");
    dpdk_ops->close(dpdk_open(RING)); /* what needs less may come later */
}

static void a_card_that_is_not_there_is_refused(void)
{
    in_child(ask_for_no_such_card);
}

static void ask_for_strange_pages(const char *unused)
{
    (void)unused;
    setenv("EASTWEST_DPDK_PAGES", "large", 1);
    dpdk_refused(RING, 0, "may be auto, huge or small");
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    dpdk_ops->close(dpdk_open(RING)); /* nothing was started */
}

static void unknown_pages_are_refused_before_the_start(void)
{
    in_child(ask_for_strange_pages);
}

static long free_huge_pages(void)
{
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
    long pages = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages;
}

static void use_huge_pages(const char *unused)
{
    struct device *device;
    long before = free_huge_pages();

    (void)unused;
    setenv("EASTWEST_DPDK_PAGES", "huge", 1);
    if (before < 16) {
        dpdk_refused(RING, 0, "vm.nr_hugepages");
        return;
    }
    device = dpdk_open(RING);
    dpdk_send(device, 1, 60);
    dpdk_ops->close(device);
}

static void huge_pages_are_used_or_the_refusal_says_how_many(void)
{
    in_child(use_huge_pages);
}

/* All but two of the free pages are promised to somebody who has not touched them. */
static void promise_huge_pages(long count)
{
    CHECK(mmap(NULL, (size_t)count << 21, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT, -1, 0) != MAP_FAILED);
}

static void use_promised_pages(const char *pages)
{
    long before = free_huge_pages();
    struct device *device;

    if (before < 16)
        return; /* none are configured: small ones are used anyway */
    promise_huge_pages(before - 2);
    CHECK_EQ(free_huge_pages(), before);
    setenv("EASTWEST_DPDK_PAGES", pages, 1);
    if (strcmp(pages, "huge") == 0) {
        dpdk_refused(RING, 0, "4 MiB of huge pages are free");
        return;
    }
    device = dpdk_open(RING);
    CHECK(!ewi_dpdk_has_huge_pages());
    dpdk_ops->close(device);
}

/* catches: two programs that start at once and both count on the pages that are free */
static void promised_pages_are_not_counted_on(void)
{
    dpdk_ends_well(dpdk_child(use_promised_pages, "auto"));
    dpdk_ends_well(dpdk_child(use_promised_pages, "huge"));
}

/* ---- fork ---- */

static void fork_with_a_device(const char *path)
{
    char text[128];
    struct device *device;
    pid_t pid;

    snprintf(text, sizeof(text), "memif:socket=%s,role=server", path);
    device = dpdk_open(text);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dpdk_ops->forked(device);
        dpdk_refused(RING, 0, "child of it by fork");
        exit(0); /* runs the destructors of DPDK, if any */
    }
    dpdk_ends_well(pid);
    CHECK(dpdk_ops->carrier(device) == false);
    dpdk_ops->close(device); /* the parent's is whole */
}

static void *wait_for_a_client(void *text)
{
    dpdk_refused(text, 0, "no vhost client came");
    return NULL;
}

/* catches: a child that waits for a lock which a thread of its parent has, for ever */
static void fork_while_another_thread_opens(const char *path)
{
    char text[128];
    pthread_t thread;
    pid_t pid;

    dpdk_ops->close(dpdk_open(RING));
    snprintf(text, sizeof(text), "virtio_user:path=%s,server=1", path);
    CHECK_EQ(pthread_create(&thread, NULL, wait_for_a_client, text), 0);
    while (access(path, F_OK) != 0)
        sched_yield();
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dpdk_refused(RING, 0, "child of it by fork");
        _exit(0);
    }
    dpdk_ends_well(pid);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void a_child_forked_during_an_open_is_refused(void)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/slow", dpdk_folder());
    dpdk_ends_well(dpdk_child(fork_while_another_thread_opens, path));
}

static void a_forked_child_ends_cleanly(void)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/m", dpdk_folder());
    dpdk_ends_well(dpdk_child(fork_with_a_device, path));
    unlink(path);
    *strrchr(path, '/') = '\0';
    rmdir(path);
}

int main(void)
{
    setenv("EASTWEST_DPDK_PAGES", "small", 1);
    RUN(affinity_mask_and_handlers_stay);
    RUN(tap_takes_no_signal);
    RUN(threads_of_dpdk_take_no_signals);
    RUN(nothing_is_printed);
    RUN(a_callback_hears_the_log);
    RUN(pci_after_the_start_is_refused);
    RUN(a_card_that_is_not_there_is_refused);
    RUN(unknown_pages_are_refused_before_the_start);
    RUN(huge_pages_are_used_or_the_refusal_says_how_many);
    RUN(promised_pages_are_not_counted_on);
    RUN(a_forked_child_ends_cleanly);
    RUN(a_child_forked_during_an_open_is_refused);
    return 0;
}
