/* The first process of a sandbox: reaps what is left behind to it, ends when its time is over, and
 * watches what the sandbox has on the machine's disk. No program of the guest can end, stop or trace
 * it. The engine learns from its exit status why it ended the sandbox. */
#include "guest.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_NS = 1000000000,
    IDLE_NS = 200000,          /* of processor time, in which nobody writes much */
    SHARE = 100,               /* looking takes at most one part in so many */
    REST_NS_MOST = 2000000000, /* times five: */
    RESTS = 5,
    MISSES = 3, /* looks that did not see all */
};

struct watch {
    uint64_t since, most_bytes, most_files;
    uint64_t looked, took, used, free_bytes;
    int misses;
};

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* The processor time that all but this process have used; it always grows where it is not told. */
static uint64_t used_by_others(void) {
    char text[512];
    uint64_t own = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    size_t size = read_file(AT_FDCWD, "/sys/fs/cgroup/cpu.stat", text, sizeof text - 1);
    text[size] = '\0';
    const char *line = strstr(text, "usage_usec ");
    if (line != NULL)
        return strtoull(line + strlen("usage_usec "), NULL, 10) * 1000 - own;
    size = read_file(AT_FDCWD, "/sys/fs/cgroup/cpuacct/cpuacct.usage", text, sizeof text - 1);
    text[size] = '\0';
    return size > 0 ? strtoull(text, NULL, 10) - own : clock_ns(CLOCK_BOOTTIME);
}

static uint64_t free_bytes(void) {
    struct statvfs disk;
    return statvfs("/", &disk) == 0 ? (uint64_t)disk.f_bfree * disk.f_frsize : 0;
}

static bool is_due(const struct watch *watch) {
    if (used_by_others() - watch->used < IDLE_NS)
        return false;
    if (watch->misses > 0)
        return true;
    uint64_t rest = SHARE * watch->took, most = RESTS * (uint64_t)REST_NS_MOST;
    uint64_t rested = clock_ns(CLOCK_BOOTTIME) - watch->looked, left = free_bytes();
    bool is_filling = left < watch->free_bytes && watch->free_bytes - left > watch->most_bytes / 8;
    return rested >= (is_filling ? rest / 10 : rest < most ? rest : most);
}

struct sum {
    uint64_t bytes, files;
    const struct watch *watch;
};

static bool add(const struct found *file, void *context) {
    struct sum *sum = context;
    if (file->is_again)
        return true;
    sum->bytes += file->bytes;
    sum->files++;
    return sum->bytes <= sum->watch->most_bytes && sum->files <= sum->watch->most_files;
}

/* Measures everything; returns why the sandbox must end, 0 if it need not. */
static int look(struct watch *watch) {
    uint64_t before = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    struct sum sum = {.watch = watch};
    watch->used = used_by_others();
    watch->free_bytes = free_bytes();
    bool is_whole = find_hidden(add, &sum);
    is_whole &= walk_changed(watch->since, add, &sum);
    forget_counted();
    watch->took = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before;
    watch->looked = clock_ns(CLOCK_BOOTTIME);
    watch->misses = is_whole ? 0 : watch->misses + 1;
    if (sum.bytes > watch->most_bytes)
        return TOO_MANY_BYTES;
    if (sum.files > watch->most_files)
        return TOO_MANY_FILES;
    return watch->misses >= MISSES ? CANNOT_MEASURE : 0;
}

static void reap_for(uint64_t ns) {
    const struct timespec wait = {(time_t)(ns / TICK_NS), (long)(ns % TICK_NS)};
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &wait);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

/* Shows as `init`, and not as what it was started with: nothing of that is the guest's business. */
static void take_name(int count, char **arguments) {
    for (int i = -2; i < count; i++)
        memset(arguments[i], 0, strlen(arguments[i]));
    strcpy(arguments[-2], "init");
    prctl(PR_SET_NAME, "init", 0, 0, 0);
}

/* init SECONDS [MOST_BYTES MOST_FILES] */
int command_init(int count, char **arguments) {
    uint64_t now = clock_ns(CLOCK_BOOTTIME);
    if (count != 3)
        fail("init: three numbers are needed");
    uint64_t end = now + number_of(arguments[0], INT32_MAX) * TICK_NS;
    struct watch watch = {
        .since = clock_ns(CLOCK_REALTIME) / TICK_NS,
        .most_bytes = number_of(arguments[1], UINT64_MAX),
        .most_files = number_of(arguments[2], UINT64_MAX),
        .free_bytes = free_bytes(),
    };
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    take_name(count, arguments);
    for (int why = 0; (now = clock_ns(CLOCK_BOOTTIME)) < end;) {
        uint64_t next = now + TICK_NS < end ? now + TICK_NS : end;
        for (; now < next; now = clock_ns(CLOCK_BOOTTIME))
            reap_for(next - now);
        if (is_due(&watch) && (why = look(&watch)) != 0)
            return why;
    }
    return 0;
}
