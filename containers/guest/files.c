/* What is at some paths. A name may hold anything, a file may be anything. */
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char letter_of(mode_t mode) {
    return S_ISREG(mode)    ? 'f'
           : S_ISDIR(mode)  ? 'd'
           : S_ISLNK(mode)  ? 'l'
           : S_ISFIFO(mode) ? 'p'
           : S_ISSOCK(mode) ? 's'
           : S_ISBLK(mode)  ? 'b'
                            : 'c';
}

/* The accounts and groups, and for each path of the request what it is, where it points, and itself.
 * Those that are gone are left out. */
int command_stat(int count, char **arguments) {
    (void)count, (void)arguments;
    struct request request = read_request();
    char target[4096];
    say_file("/etc/passwd", MOST_ACCOUNTS);
    say_file("/etc/group", MOST_ACCOUNTS);
    for (char *path; (path = next_text(&request)) != NULL;) {
        struct stat at;
        if (lstat(path, &at) != 0)
            continue;
        ssize_t size = S_ISLNK(at.st_mode) ? readlink(path, target, sizeof target) : 0;
        say_text("%c %o %u %u %lld %lld %ld", letter_of(at.st_mode), at.st_mode & 07777, at.st_uid,
                 at.st_gid, (long long)at.st_size, (long long)at.st_mtim.tv_sec, at.st_mtim.tv_nsec);
        say_text("%zd", size > 0 ? size : 0);
        if (size > 0)
            say(target, (size_t)size);
        say(path, strlen(path));
    }
    say_end();
    return 0;
}

/* read MOST: for each file of the request its digest, its size, and its first bytes; a size of `-`
 * alone for one that cannot be read. */
int command_read(int count, char **arguments) {
    enum { PIECE = 64 * 1024, LARGEST = 64 * 1024 * 1024 };
    size_t most = (size_t)number_of(count == 1 ? arguments[0] : "", PIECE);
    struct request request = read_request();
    char *piece = grow(NULL, PIECE), *head = grow(NULL, PIECE);
    for (char *path; (path = next_text(&request)) != NULL;) {
        struct stat status;
        struct sha256 hash;
        char digest[65];
        int from = open_unseen(AT_FDCWD, path, O_NOFOLLOW);
        if (from < 0 || fstat(from, &status) != 0 || !S_ISREG(status.st_mode)) {
            if (from >= 0)
                close(from);
            say("-", 1);
            continue;
        }
        size_t kept = 0, seen = 0;
        ssize_t got;
        sha256_begin(&hash);
        while (seen < LARGEST && (got = read(from, piece, PIECE)) > 0) {
            size_t part = (size_t)got < most - kept ? (size_t)got : most - kept;
            memcpy(head + kept, piece, part);
            kept += part;
            seen += (size_t)got;
            sha256_add(&hash, piece, (size_t)got);
        }
        close(from);
        sha256_end(&hash, digest);
        say(digest, 64);
        say_text("%zu", kept);
        if (kept > 0)
            say(head, kept);
    }
    say_end();
    return 0;
}

int command_exists(int count, char **arguments) {
    say_text("%s", count == 1 && access(arguments[0], F_OK) == 0 ? "yes" : "no");
    say_end();
    return 0;
}

enum { MOST_NAMED = 8 * 1024 * 1024 }; /* bytes of all paths together */

struct naming {
    uint64_t left, bytes, too_long;
    bool is_cut;
};

static bool name(const struct found *file, void *context) {
    struct naming *naming = context;
    if (file->path == NULL) {
        naming->too_long++;
        return true;
    }
    size_t size = strlen(file->path);
    naming->is_cut = naming->left == 0 || naming->bytes < size;
    if (naming->is_cut)
        return false;
    naming->left--;
    naming->bytes -= size;
    say(file->path, size);
    return true;
}

/* changed SINCE MOST: the paths that were made or changed since then, in seconds since 1970; all names
 * of a file that has several. Then how many are too long to be named, and whether the list is cut. */
int command_changed(int count, char **arguments) {
    if (count != 2)
        fail("changed: two numbers are needed");
    struct naming naming = {.left = number_of(arguments[1], UINT64_MAX), .bytes = MOST_NAMED};
    walk_changed(number_of(arguments[0], UINT64_MAX), name, &naming);
    say_text("%llu %d", (unsigned long long)naming.too_long, naming.is_cut);
    say_end();
    return 0;
}
