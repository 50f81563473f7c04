/* Every file that a disk holds for this sandbox: on its own file system, and on what else of the
 * machine's disk is mounted for writing. What was there before the sandbox has an older change
 * time, which nobody in it can set. */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_PATH = 4096 };

struct walk {
    uint64_t since;
    each_file *visit;
    void *context;
    char path[MOST_PATH]; /* of the folder; empty where it is too long to be named */
    size_t length;        /* of it, however long */
    bool is_whole;
};

static struct inode {
    uint64_t device, number;
} *seen;
static size_t seen_room, seen_count;

void forget_counted(void) {
    free(seen);
    seen = NULL;
    seen_room = seen_count = 0;
}

/* Returns whether it is new. */
static bool put(struct inode one) {
    size_t at = (size_t)((one.number * 0x9e3779b97f4a7c15u ^ one.device) % seen_room);
    for (; seen[at].number != 0; at = (at + 1) % seen_room)
        if (seen[at].number == one.number && seen[at].device == one.device)
            return false;
    seen[at] = one;
    seen_count++;
    return true;
}

static void make_room(void) {
    struct inode *old = seen;
    size_t old_room = seen_room;
    seen_room = old_room == 0 ? 1024 : 2 * old_room;
    seen = memset(grow(NULL, seen_room * sizeof *seen), 0, seen_room * sizeof *seen);
    seen_count = 0;
    for (size_t i = 0; i < old_room; i++)
        if (old[i].number != 0)
            put(old[i]);
    free(old);
}

/* Says whether a file is seen for the first time: one with several names is on the disk once. */
bool count_once(uint64_t device, uint64_t inode) {
    if (2 * seen_count >= seen_room)
        make_room();
    return put((struct inode){device, inode});
}

static bool visit_one(struct walk *walk, const struct stat *status) {
    if ((uint64_t)status->st_ctim.tv_sec < walk->since)
        return true;
    struct found found = {
        .is_again = status->st_nlink > 1 && !S_ISDIR(status->st_mode) &&
                    !count_once(status->st_dev, status->st_ino),
        .path = walk->length < MOST_PATH ? walk->path : NULL,
        .bytes = (uint64_t)status->st_blocks * 512,
        .mode = status->st_mode,
    };
    return walk->visit(&found, walk->context);
}

/* Adds a name to the path; returns how long it was before. */
static size_t enter(struct walk *walk, const char *name) {
    size_t before = walk->length, size = strlen(name);
    if (before + 1 + size < MOST_PATH) {
        walk->path[before] = '/';
        memcpy(walk->path + before + 1, name, size + 1);
    }
    walk->length = before + 1 + size;
    return before;
}

static void leave(struct walk *walk, size_t before) {
    walk->length = before;
    if (before < MOST_PATH)
        walk->path[before] = '\0';
}

struct names {
    char *text;
    size_t size, room;
};

static void keep_name(struct names *names, const char *name) {
    size_t size = strlen(name) + 1;
    if (names->size + size > names->room) {
        names->room = 2 * (names->room + size);
        names->text = grow(names->text, names->room);
    }
    memcpy(names->text + names->size, name, size);
    names->size += size;
}

/* Looks at all in a folder, and keeps the names of the folders in it. */
static bool visit_all(struct walk *walk, int folder, dev_t device, struct names *below) {
    DIR *entries = fdopendir(dup(folder));
    if (entries == NULL) {
        walk->is_whole = false;
        return true;
    }
    bool go_on = true;
    struct dirent *one;
    while (go_on && (one = readdir(entries)) != NULL) {
        struct stat status;
        if (strcmp(one->d_name, ".") == 0 || strcmp(one->d_name, "..") == 0)
            continue;
        if (fstatat(folder, one->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            walk->is_whole &= errno == ENOENT; /* gone */
            continue;
        }
        if (S_ISDIR(status.st_mode)) {
            if (status.st_dev != device)
                continue; /* another file system */
            keep_name(below, one->d_name);
        }
        size_t before = enter(walk, one->d_name);
        go_on = visit_one(walk, &status);
        leave(walk, before);
    }
    closedir(entries);
    return go_on;
}

static bool walk_folder(struct walk *walk, int folder, dev_t device) {
    struct names below = {0};
    bool go_on = visit_all(walk, folder, device, &below);
    for (size_t at = 0; go_on && at < below.size; at += strlen(below.text + at) + 1) {
        int next = open_unseen(folder, below.text + at, O_DIRECTORY | O_NOFOLLOW);
        if (next < 0) {
            walk->is_whole &= errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
            continue;
        }
        size_t before = enter(walk, below.text + at);
        go_on = walk_folder(walk, next, device);
        leave(walk, before);
        close(next);
    }
    free(below.text);
    return go_on;
}

/* Each folder on the way down is held open. */
static void open_as_many_as_possible(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* What is mounted on a file has been seen in its folder. */
static bool walk_from(struct walk *walk, const char *path) {
    struct stat status;
    if (lstat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return true;
    walk->length = strcmp(path, "/") == 0 ? 0 : strlen(path);
    snprintf(walk->path, sizeof walk->path, "%s", walk->length == 0 ? "" : path);
    int folder = open_unseen(AT_FDCWD, path, O_DIRECTORY);
    if (folder < 0) {
        walk->is_whole = false;
        return true;
    }
    bool go_on = walk_folder(walk, folder, status.st_dev);
    close(folder);
    return go_on;
}

static const char *const NO_DISK[] = {"proc",   "sysfs",  "devpts",  "tmpfs",
                                      "mqueue", "cgroup", "cgroup2", "devtmpfs"};

static bool is_disk(const char *type) {
    for (size_t i = 0; i < sizeof NO_DISK / sizeof *NO_DISK; i++)
        if (strcmp(type, NO_DISK[i]) == 0)
            return false;
    return true;
}

/* Undoes the octal escapes of a mount's place, in which spaces are written. */
static void unescape(char *path) {
    char *to = path;
    for (; *path != '\0'; path++, to++) {
        if (path[0] == '\\' && strspn(path + 1, "01234567") >= 3) {
            *to = (char)((path[1] - '0') << 6 | (path[2] - '0') << 3 | (path[3] - '0'));
            path += 3;
        } else {
            *to = *path;
        }
    }
    *to = '\0';
}

/* Volumes of the image: "id parent dev root place options … - type source …". */
static bool walk_mounts(struct walk *walk) {
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    char *line = NULL, place[4096], options[256], type[64];
    size_t room = 0;
    bool go_on = true;
    if (mounts == NULL) {
        walk->is_whole = false;
        return true;
    }
    while (go_on && getline(&line, &room, mounts) > 0) {
        const char *rest = strstr(line, " - ");
        if (rest == NULL || sscanf(rest, " - %63s", type) != 1 ||
            sscanf(line, "%*s %*s %*s %*s %4095s %255s", place, options) != 2)
            continue;
        unescape(place);
        if (strncmp(options, "rw", 2) == 0 && is_disk(type) && strcmp(place, "/") != 0)
            go_on = walk_from(walk, place);
    }
    free(line);
    fclose(mounts);
    return go_on;
}

/* Returns whether everything was seen; `visit` can end it with false, which is no fault. */
bool walk_changed(uint64_t since, each_file *visit, void *context) {
    struct walk walk = {.since = since, .visit = visit, .context = context, .is_whole = true};
    open_as_many_as_possible();
    if (walk_from(&walk, "/"))
        walk_mounts(&walk);
    return walk.is_whole;
}
