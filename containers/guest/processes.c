/* What runs in the sandbox, and its end. /proc/PID/stat is "pid (comm) state ppid pgrp session tty
 * tpgid …", and comm may hold anything but its last parenthesis. */
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>

enum { OWN = CAP_SYS_PTRACE, ROUNDS = 5, LOOKS = 25, PAUSE_MS = 20 };

static const char *entry(pid_t pid, const char *name) {
    static char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return path;
}

bool look_at(pid_t pid, struct process *process) {
    char text[1024];
    size_t size = read_file(AT_FDCWD, entry(pid, "stat"), text, sizeof text - 1);
    text[size] = '\0';
    const char *rest = strrchr(text, ')');
    unsigned long long started;
    if (rest == NULL ||
        sscanf(rest + 1, " %c %d %d %d %d %d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d %*d %llu",
               &process->state, &process->parent, &process->group, &process->session,
               &process->terminal, &process->foreground, &process->threads, &started) != 8)
        return false;
    process->pid = pid;
    process->started = started;
    return true;
}

/* One whose first thread has ended goes on as long as it has others. */
static bool has_ended(const struct process *process) {
    return (process->state == 'Z' && process->threads < 2) || process->state == 'X';
}

/* Those that have ended already are left out. */
void for_each_process(each_process *visit, void *context) {
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        fail("/proc cannot be read");
    struct dirent *one;
    while ((one = readdir(folder)) != NULL) {
        uint64_t pid;
        struct process process;
        if (!parse_number(one->d_name, INT32_MAX, &pid) || !look_at((pid_t)pid, &process))
            continue;
        if (!has_ended(&process) && !visit(&process, context))
            break;
    }
    closedir(folder);
}

/* A line of /proc/PID/status, as a number. */
static bool status_of(pid_t pid, const char *name, int base, unsigned long long *number) {
    char text[4096];
    size_t size = read_file(AT_FDCWD, entry(pid, "status"), text, sizeof text - 1);
    text[size] = '\0';
    const char *line = strstr(text, name);
    if (line == NULL)
        return false;
    *number = strtoull(line + strlen(name), NULL, base);
    return true;
}

/* Whether a process is plumb's: no program of the guest can have what its own have. */
bool is_own(pid_t pid) {
    unsigned long long capabilities;
    return status_of(pid, "\nCapPrm:", 16, &capabilities) && (capabilities >> OWN & 1) != 0;
}

uid_t user_of(pid_t pid) {
    unsigned long long uid;
    return status_of(pid, "\nUid:", 10, &uid) ? (uid_t)uid : (uid_t)-1;
}

static bool is_newer_shell(const struct process *process, void *context) {
    struct process *newest = context;
    /* Only the engine starts what has no parent in here, and only a shell on a terminal. */
    if (process->parent == 0 && process->terminal != 0 && process->session == process->pid &&
        !is_own(process->pid) && (newest->pid == 0 || process->started >= newest->started))
        *newest = *process;
    return true;
}

/* The shell of the session, whatever a prompt claims; 0 where there is none. */
pid_t session_shell(void) {
    struct process newest = {0};
    for_each_process(is_newer_shell, &newest);
    return newest.pid;
}

struct members {
    enum { SESSION, PROCESS, GROUP } of;
    pid_t id;
    int signal; /* what they get; 0 only counts them */
    size_t count;
};

static bool count_member(const struct process *process, void *context) {
    struct members *members = context;
    pid_t id = members->of == SESSION   ? process->session
               : members->of == PROCESS ? process->pid
                                        : process->group;
    if (id != members->id)
        return true;
    members->count++;
    if (members->signal != 0)
        kill(process->pid, members->signal);
    return true;
}

static size_t signal_all(struct members members, int signal) {
    members.signal = signal;
    for_each_process(count_member, &members);
    return members.count;
}

static bool gone_within(struct members members, int looks) {
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    for (; looks > 0; looks--) {
        if (signal_all(members, 0) == 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static bool kill_all(struct members members) {
    for (int round = 0; round < ROUNDS; round++) {
        signal_all(members, SIGKILL);
        if (gone_within(members, LOOKS))
            return true;
    }
    return false;
}

bool end_session(pid_t session) { return kill_all((struct members){.of = SESSION, .id = session}); }

static void say_line(const char *line) { write_all(1, line, strlen(line)); }

/* Says `shell` where the terminal's foreground group is the shell's own, so that only Ctrl-C can
 * help; `group` where it is another, and waits for a line before it waits for that to go. */
static bool end_foreground(pid_t shell) {
    struct process process;
    char line[16];
    if (!look_at(shell, &process))
        return true;
    if (process.foreground == process.group) {
        say_line("shell\n");
        _exit(0);
    }
    struct members group = {.of = GROUP, .id = process.foreground};
    say_line("group\n");
    alarm(20); /* the caller is gone */
    (void)!read(0, line, sizeof line);
    alarm(0);
    if (gone_within(group, 50))
        return true;
    signal_all(group, SIGTERM);
    return gone_within(group, LOOKS) || kill_all(group);
}

/* end session|process|foreground PID: says `gone` or `stuck` at the end. */
int command_end(int count, char **arguments) {
    if (count != 2)
        fail("end: a way and a process are needed");
    pid_t pid = (pid_t)number_of(arguments[1], INT32_MAX);
    bool gone;
    if (strcmp(arguments[0], "session") == 0)
        gone = end_session(pid);
    else if (strcmp(arguments[0], "process") == 0)
        gone = kill_all((struct members){.of = PROCESS, .id = pid});
    else
        gone = end_foreground(pid);
    say_line(gone ? "gone\n" : "stuck\n");
    return 0;
}

int command_cwd(int count, char **arguments) {
    (void)count, (void)arguments;
    char path[4096];
    pid_t shell = session_shell();
    ssize_t size = shell == 0 ? -1 : readlink(entry(shell, "cwd"), path, sizeof path);
    if (size < 0)
        fail("no shell is there");
    say(path, (size_t)size);
    say_end();
    return 0;
}

static bool say_process(const struct process *process, void *context) {
    static char command[4096];
    if (process->pid == *(pid_t *)context || is_own(process->pid))
        return true;
    size_t size = read_file(AT_FDCWD, entry(process->pid, "cmdline"), command, sizeof command);
    say_text("%d %d %u", process->pid, process->parent, user_of(process->pid));
    say_text("%zu", size);
    if (size > 0)
        say(command, size);
    return true;
}

/* Accounts, groups, the variables that the shell began with, and every process but that. */
int command_people(int count, char **arguments) {
    (void)count, (void)arguments;
    pid_t shell = session_shell();
    say_file("/etc/passwd", MOST_ACCOUNTS);
    say_file("/etc/group", MOST_ACCOUNTS);
    say_file(shell == 0 ? "/dev/null" : entry(shell, "environ"), MOST_ACCOUNTS);
    for_each_process(say_process, &shell);
    say_end();
    return 0;
}

/* The kernel's counts of what it killed for memory, of either version of its control groups. */
int command_memory(int count, char **arguments) {
    (void)count, (void)arguments;
    say_file("/sys/fs/cgroup/memory.events", 4096);
    say_file("/sys/fs/cgroup/memory/memory.oom_control", 4096);
    say_end();
    return 0;
}
