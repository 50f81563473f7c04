/* What can read the shell's terminal beside the shell: job control holds back the jobs of its own
 * session, but nobody of another one, and nobody in the shell's own group (`set +m`). */
#include "guest.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { MOST_READERS = 256, LOOKS = 50, PAUSE_MS = 20, BASH_TERMINAL = 255 };

struct search {
    struct process shell;
    uint64_t not_before; /* in clock ticks since the machine started */
    pid_t found[MOST_READERS];
    size_t count;
};

/* The kernel spells a terminal's number in /proc/PID/stat in a way of its own. */
static dev_t device_of(int terminal) {
    unsigned int number = (unsigned int)terminal;
    return makedev(number >> 8 & 0xfff, (number & 0xff) | (number >> 12 & 0xfff00));
}

/* What was opened as /dev/tty keeps that number, also in a process that has no terminal any more. */
static bool is_terminal(const char *path, const struct search *search) {
    struct stat at;
    return stat(path, &at) == 0 && S_ISCHR(at.st_mode) &&
           (at.st_rdev == device_of(search->shell.terminal) || at.st_rdev == makedev(5, 0));
}

/* Standard output and error are for writing, and a bash keeps its terminal at 255. */
static bool holds_terminal(const struct process *process, const struct search *search) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", process->pid);
    DIR *folder = opendir(path);
    struct dirent *one;
    bool holds = false;
    while (folder != NULL && !holds && (one = readdir(folder)) != NULL) {
        uint64_t fd;
        if (!parse_number(one->d_name, INT32_MAX, &fd) || fd == 1 || fd == 2 || fd == BASH_TERMINAL)
            continue;
        snprintf(path, sizeof path, "/proc/%d/fd/%d", process->pid, (int)fd);
        holds = is_terminal(path, search);
    }
    if (folder != NULL)
        closedir(folder);
    return holds;
}

static bool is_beside(const struct process *process, const struct search *search) {
    const struct process *shell = &search->shell;
    if (process->pid == shell->pid || process->started < search->not_before ||
        is_own(process->pid))
        return false;
    if (process->session == shell->session && process->group != shell->group)
        return false;
    return process->terminal == 0 || process->terminal == shell->terminal;
}

static bool collect(const struct process *process, void *context) {
    struct search *search = context;
    if (is_beside(process, search) && holds_terminal(process, search))
        search->found[search->count++] = process->pid;
    return search->count < MOST_READERS;
}

static bool are_gone(const struct search *search) {
    struct process process;
    for (size_t i = 0; i < search->count; i++)
        if (look_at(search->found[i], &process) && process.state != 'Z' && process.state != 'X')
            return false;
    return true;
}

static uint64_t ticks_since_start(uint64_t seconds_ago) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t at = (uint64_t)now.tv_sec > seconds_ago ? (uint64_t)now.tv_sec - seconds_ago : 0;
    return at * (uint64_t)sysconf(_SC_CLK_TCK);
}

/* readers MOST_AGE: ends those that have run for no more seconds, 0 for all; says how many. */
int command_readers(int count, char **arguments) {
    static struct search search;
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    uint64_t age = number_of(count == 1 ? arguments[0] : "", UINT32_MAX);
    search.not_before = age == 0 ? 0 : ticks_since_start(age);
    pid_t shell = session_shell();
    if (shell != 0 && look_at(shell, &search.shell) && search.shell.terminal != 0)
        for_each_process(collect, &search);
    for (size_t i = 0; i < search.count; i++)
        kill(search.found[i], SIGKILL);
    for (int looks = LOOKS; looks > 0 && !are_gone(&search); looks--)
        nanosleep(&pause, NULL);
    say_text("%zu", search.count);
    say_end();
    return 0;
}
