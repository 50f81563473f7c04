/* Files without a name, which take room as long as a process holds them: by a descriptor, as its
 * program, by a mapping of its memory, or on their way through a socket. */
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/magic.h>

enum { MOST_MAPPED = 1024 };

struct search {
    each_file *visit;
    void *context;
    size_t mapped;
    bool is_whole;
};

/* Memory file systems are no disk. */
static bool is_on_disk(const char *path) {
    struct statfs system;
    return statfs(path, &system) == 0 && system.f_type != TMPFS_MAGIC &&
           system.f_type != RAMFS_MAGIC && system.f_type != HUGETLBFS_MAGIC;
}

/* An inode is enough: where a mapping shows one, it may be that of a layer below. */
static void see_file(struct search *search, const char *path, const struct stat *status) {
    if (status->st_nlink != 0 || !is_on_disk(path) || !count_once(0, status->st_ino))
        return;
    struct found found = {.bytes = (uint64_t)status->st_blocks * 512, .mode = status->st_mode};
    search->visit(&found, search->context);
}

static void see_descriptor(struct search *search, const char *process, pid_t pid, int number);

static void see_sent(struct search *search, const struct msghdr *message, size_t *count) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR((struct msghdr *)message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const int *descriptors = (const int *)(const void *)CMSG_DATA(part);
        for (size_t i = 0; i < (part->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++, ++*count) {
            see_descriptor(search, "self", 0, descriptors[i]);
            close(descriptors[i]);
        }
    }
}

/* Looks at the descriptors that wait in a socket to be received, without receiving them. */
static void see_waiting(struct search *search, int socket, unsigned long waiting) {
    static const size_t MOST_IN_ONE = 253;
    size_t size = CMSG_SPACE(MOST_IN_ONE * sizeof(int)), count = 0;
    char byte, *control = grow(NULL, size);
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = size};
    if (recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) >= 0)
        see_sent(search, &message, &count);
    free(control);
    if (count < waiting)
        search->is_whole = false; /* behind the first message none is seen */
}

static void see_socket(struct search *search, const char *process, pid_t pid, int number) {
    char path[128], text[1024];
    snprintf(path, sizeof path, "/proc/%s/fdinfo/%d", process, number);
    size_t size = read_file(AT_FDCWD, path, text, sizeof text - 1);
    text[size] = '\0';
    const char *line = strstr(text, "scm_fds:");
    unsigned long waiting = line == NULL ? 0 : strtoul(line + strlen("scm_fds:"), NULL, 10);
    if (waiting == 0)
        return;
    if (pid == 0) {
        see_waiting(search, number, waiting);
        return;
    }
    int other = (int)syscall(SYS_pidfd_open, pid, 0);
    int socket = other < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, other, number, 0);
    if (socket >= 0)
        see_waiting(search, socket, waiting);
    else
        search->is_whole = false;
    close(socket);
    close(other);
}

/* Looks at a descriptor of a process; of our own where `pid` is 0. */
static void see_descriptor(struct search *search, const char *process, pid_t pid, int number) {
    char path[128];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%s/fd/%d", process, number);
    if (stat(path, &status) != 0)
        return;
    if (S_ISREG(status.st_mode))
        see_file(search, path, &status);
    else if (S_ISSOCK(status.st_mode) && (pid == 0 || count_once(1, status.st_ino)))
        see_socket(search, process, pid, number);
}

static void see_descriptors(struct search *search, pid_t pid, const char *thread) {
    char path[128];
    snprintf(path, sizeof path, "/proc/%s/fd", thread);
    DIR *descriptors = opendir(path);
    if (descriptors == NULL)
        return; /* it has ended */
    struct dirent *one;
    uint64_t number;
    while ((one = readdir(descriptors)) != NULL)
        if (parse_number(one->d_name, INT32_MAX, &number))
            see_descriptor(search, thread, pid, (int)number);
    closedir(descriptors);
}

/* A thread can have descriptors of its own. */
static void see_threads(struct search *search, pid_t pid) {
    char path[64];
    uint64_t number;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL)
        return;
    struct dirent *one;
    while ((one = readdir(threads)) != NULL) {
        if (!parse_number(one->d_name, INT32_MAX, &number))
            continue;
        snprintf(path, sizeof path, "%d/task/%d", pid, (int)number);
        see_descriptors(search, (pid_t)number, path);
    }
    closedir(threads);
}

static void see_program(struct search *search, pid_t pid) {
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (stat(path, &status) == 0)
        see_file(search, path, &status);
}

/* What only a mapping holds cannot be looked at: it counts as far as it is mapped. */
static void see_mappings(struct search *search, pid_t pid) {
    char path[64], *line = NULL;
    size_t room = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return;
    while (getline(&line, &room, maps) > 0) {
        unsigned long long from, to, offset, inode;
        unsigned int major, minor;
        static const char gone[] = " (deleted)\n";
        size_t size = strlen(line);
        if (size < sizeof gone || strcmp(line + size - (sizeof gone - 1), gone) != 0 ||
            strstr(line, " /dev/") != NULL || strstr(line, " /memfd:") != NULL ||
            strstr(line, " /SYSV") != NULL ||
            sscanf(line, "%llx-%llx %*s %llx %x:%x %llu", &from, &to, &offset, &major, &minor,
                   &inode) != 6 ||
            inode == 0 || !count_once(0, inode))
            continue;
        if (++search->mapped > MOST_MAPPED)
            search->is_whole = false;
        struct found found = {.bytes = offset + (to - from), .mode = S_IFREG};
        search->visit(&found, search->context);
    }
    free(line);
    fclose(maps);
}

static bool search_process(const struct process *process, void *context) {
    see_threads(context, process->pid);
    see_program(context, process->pid);
    see_mappings(context, process->pid);
    return true;
}

bool find_hidden(each_file *visit, void *context) {
    struct search search = {.visit = visit, .context = context, .is_whole = true};
    for_each_process(search_process, &search);
    return search.is_whole;
}
