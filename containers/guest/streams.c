/* Who else holds this process's own standard output or standard error.
 *
 * The engine ends both some seconds after this process, and whoever writes there then is ended by
 * SIGPIPE. So as long as somebody is left behind who may write, this process stays. */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

struct streams {
    struct stat of[2];
    pid_t holder;
};

static bool is_same(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

static bool look_for_streams(const struct process *process, void *context) {
    struct streams *streams = context;
    char path[300];
    if (process->pid == getpid())
        return true;
    snprintf(path, sizeof path, "/proc/%d/fd", process->pid);
    DIR *folder = opendir(path);
    struct dirent *one;
    while (folder != NULL && (one = readdir(folder)) != NULL) {
        struct stat at;
        snprintf(path, sizeof path, "/proc/%d/fd/%s", process->pid, one->d_name);
        if (stat(path, &at) == 0 &&
            (is_same(&at, &streams->of[0]) || is_same(&at, &streams->of[1])))
            streams->holder = process->pid;
    }
    if (folder != NULL)
        closedir(folder);
    return streams->holder == 0;
}

/* A process that holds one of them; 0 where there is none. */
pid_t holder_of_streams(void) {
    struct streams streams = {.holder = 0};
    if (fstat(1, &streams.of[0]) == 0 && fstat(2, &streams.of[1]) == 0)
        for_each_process(look_for_streams, &streams);
    return streams.holder;
}

/* Stays until nobody else holds them. */
void outlast_holders(void) {
    pid_t holder;
    while ((holder = holder_of_streams()) != 0) {
        struct pollfd end = {.fd = pidfd_open(holder, 0), .events = POLLIN};
        if (end.fd >= 0) {
            poll(&end, 1, -1);
            close(end.fd);
        } else if (errno != ESRCH) { /* not every kernel tells of an end */
            sleep(1);
        }
    }
}
