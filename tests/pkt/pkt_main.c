/* ew_pkt: run packet scripts. Every script runs in a process of its own, once for each family. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/pkt/pkt_script.h"

enum { OUTPUT_BYTES = 16384, SECONDS = 60, SCRIPTS_MAX = 2000 };

static const char help[] =
    "usage: ew_pkt [OPTION...] FILE-OR-FOLDER...\n"
    "\n"
    "Run packet scripts (tests/pkt/README.md) against the TCP/IP stack, in virtual time. A folder\n"
    "means all its *.pkt files. Exits 0 if every script holds over IPv4 and IPv6.\n"
    "\n"
    "  --ipv4, --ipv6  only this family\n"
    "  --copies        packets are given to the stack without a reference\n"
    "  --steps         no segment goes the short way: transport/net/tcp_input.c\n"
    "  --self          the scripts must fail, with what their line `fails TEXT` says\n"
    "  --trace         print every segment, not only the last ten of a script that fails\n"
    "  --here          run in this process, for a debugger; stops at the first failure\n"
    "  --stop          stop at the first script that fails\n"
    "  --list          only print the scripts\n"
    "  --help          this text\n";

static struct {
    bool self, here, list, stop;
    struct pkt_how how;
    int family; /* 0: both */
    char *script[SCRIPTS_MAX];
    int scripts, passed, failed;
} run;

/* Where the script of this process is: read by the parent when it dies without a word. */
int *pkt_line_seen;
bool pkt_trace;

void pkt_fail(const char *format, ...)
{
    static char text[1024], log[PKT_LOG * 260];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    pkt_print_log(log, sizeof(log));
    printf("%s:%d: [ipv%d] %s\n  at %+.3f ms; the last packets:\n%s", pkt_world.file,
           pkt_world.line, pkt_world.family, text, ((double)pkt_world.now - (double)PKT_START) / 1e6, log);
    fflush(stdout);
    _exit(PKT_EXIT_FAILED);
}

/* ------------------------------------------------------------------ one script */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t room = 1 << 18, length;
    char *text = malloc(room);

    if (file == NULL || text == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    length = fread(text, 1, room - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static void run_here(const char *path, const char *text, int family)
{
    pkt_run(path, text, family, run.how);
    fflush(stdout);
}

/* What it printed is in output; returns its exit code, or -1 if a signal ended it. */
static int run_child(const char *path, const char *text, int family, char *output)
{
    size_t length = 0;
    ssize_t got;
    int ends[2], status;
    pid_t child;

    fflush(NULL);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        perror("ew_pkt");
        exit(2);
    }
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        alarm(SECONDS);
        run_here(path, text, family);
        _exit(PKT_EXIT_PASSED);
    }
    close(ends[1]);
    while ((got = read(ends[0], output + length, OUTPUT_BYTES - 1 - length)) > 0)
        length += (size_t)got;
    output[length] = '\0';
    close(ends[0]);
    waitpid(child, &status, 0);
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    snprintf(output + length, OUTPUT_BYTES - length, "%s:%d: [ipv%d] ended by signal %d (%s)\n",
             path, *pkt_line_seen, family, WTERMSIG(status), strsignal(WTERMSIG(status)));
    return -1;
}

/* The text behind `fails` at the start of a line, NULL: there is none. */
static char *wanted_failure(const char *text)
{
    const char *at = strncmp(text, "fails ", 6) == 0 ? text : strstr(text, "\nfails ");

    if (at == NULL)
        return NULL;
    at += strlen(at == text ? "fails " : "\nfails ");
    return strndup(at, strcspn(at, "\n"));
}

static void judge(const char *path, const char *text, int code, int family, const char *output)
{
    char *wanted = run.self ? wanted_failure(text) : NULL;
    bool good;

    if (code == PKT_EXIT_NOT_HERE)
        return;
    if (run.self)
        good = code == PKT_EXIT_FAILED && wanted != NULL && strstr(output, wanted) != NULL;
    else
        good = code == PKT_EXIT_PASSED;
    run.passed += good;
    run.failed += !good;
    if (!good && run.self)
        printf("%s: [ipv%d] should fail with \"%s\", exit %d:\n%s", path, family,
               wanted != NULL ? wanted : "(no line `fails`)", code, output);
    else if (!good || pkt_trace)
        fputs(output, stdout);
    if (!good && code != PKT_EXIT_FAILED && code != PKT_EXIT_PASSED && !run.self)
        printf("%s:%d: [ipv%d] died\n", path, *pkt_line_seen, family);
    free(wanted);
}

static void run_script(const char *path)
{
    static char output[OUTPUT_BYTES];
    char *text = read_file(path);

    for (int family = 4; family <= 6; family += 2) {
        if (run.family != 0 && run.family != family)
            continue;
        if (run.here)
            run_here(path, text, family);
        else
            judge(path, text, run_child(path, text, family, output), family, output);
    }
    free(text);
}

/* ------------------------------------------------------------------ which scripts */

static void add_script(const char *path)
{
    if (run.scripts == SCRIPTS_MAX) {
        fprintf(stderr, "ew_pkt: more than %d scripts\n", SCRIPTS_MAX);
        exit(2);
    }
    run.script[run.scripts++] = strdup(path);
}

static int is_script(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);

    return length > 4 && strcmp(entry->d_name + length - 4, ".pkt") == 0;
}

static void add(const char *path)
{
    struct dirent **entries;
    struct stat status;
    char name[1024];
    int count;

    if (stat(path, &status) != 0) {
        fprintf(stderr, "ew_pkt: %s: %s\n", path, strerror(errno));
        exit(2);
    }
    if (!S_ISDIR(status.st_mode)) {
        add_script(path);
        return;
    }
    count = scandir(path, &entries, is_script, alphasort);
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
        add_script(name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void read_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            exit(0);
        } else if (strcmp(argv[i], "--ipv4") == 0) {
            run.family = 4;
        } else if (strcmp(argv[i], "--ipv6") == 0) {
            run.family = 6;
        } else if (strcmp(argv[i], "--self") == 0) {
            run.self = true;
        } else if (strcmp(argv[i], "--copies") == 0) {
            run.how.copies = true;
        } else if (strcmp(argv[i], "--steps") == 0) {
            run.how.steps = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            pkt_trace = true;
        } else if (strcmp(argv[i], "--here") == 0) {
            run.here = true;
        } else if (strcmp(argv[i], "--stop") == 0) {
            run.stop = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            run.list = true;
        } else if (argv[i][0] == '-') {
            fprintf(stderr, "ew_pkt: no option '%s'\n%s", argv[i], help);
            exit(2);
        } else {
            add(argv[i]);
        }
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    if (run.scripts == 0) {
        fputs(help, stderr);
        return 2;
    }
    pkt_line_seen = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < run.scripts; i++) {
        if (run.list)
            puts(run.script[i]);
        else if (!run.stop || run.failed == 0)
            run_script(run.script[i]);
        free(run.script[i]);
    }
    munmap(pkt_line_seen, 4096);
    if (!run.list)
        printf("%d scripts: %d runs passed, %d failed\n", run.scripts, run.passed, run.failed);
    return run.failed == 0 ? 0 : 1;
}
