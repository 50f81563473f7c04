/* Framed answers, whole requests. A frame is its size in four bytes, the first one highest, and its
 * data; an empty one ends the answer, so that one that was cut short is known for that. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_REQUEST = 8 * 1024 * 1024, BUFFER = 32 * 1024 };

static char buffer[BUFFER];
static size_t buffered;

static void flush_buffer(void) {
    if (!write_all(1, buffer, buffered))
        _exit(1);
    buffered = 0;
}

static void put(const void *data, size_t size) {
    if (size > BUFFER - buffered)
        flush_buffer();
    if (size > BUFFER) {
        if (!write_all(1, data, size))
            _exit(1);
        return;
    }
    memcpy(buffer + buffered, data, size);
    buffered += size;
}

void say(const void *data, size_t size) {
    unsigned char head[4];
    for (int i = 0; i < 4; i++)
        head[i] = (unsigned char)(size >> (24 - 8 * i));
    put(head, sizeof head);
    put(data, size);
}

void say_text(const char *format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say(text, size < (int)sizeof text ? (size_t)size : sizeof text - 1);
}

void say_end(void) {
    say("", 0);
    flush_buffer();
}

void fail(const char *why) {
    dprintf(2, "%s\n", why);
    _exit(getpid() == 1 ? CANNOT_MEASURE : 1);
}

bool write_all(int to, const void *data, size_t size) {
    const char *at = data;
    while (size > 0) {
        ssize_t done = write(to, at, size);
        if (done < 0 && errno != EINTR)
            return false;
        if (done > 0) {
            at += done;
            size -= (size_t)done;
        }
    }
    return true;
}

void *grow(void *block, size_t size) {
    void *grown = realloc(block, size);
    if (grown == NULL)
        fail("no memory");
    return grown;
}

/* Opens for reading, and leaves the time of the last access as it is, where that may be asked for. */
int open_unseen(int at, const char *path, int flags) {
    flags |= O_RDONLY | O_NONBLOCK | O_CLOEXEC;
    int from = openat(at, path, flags | O_NOATIME);
    return from < 0 && errno == EPERM ? openat(at, path, flags) : from;
}

/* Returns how much it read: at most `most`, and nothing of what is no ordinary file. */
size_t read_file(int at, const char *path, void *into, size_t most) {
    int from = open_unseen(at, path, 0);
    if (from < 0)
        return 0;
    size_t size = 0;
    ssize_t done;
    while (size < most && (done = read(from, (char *)into + size, most - size)) > 0)
        size += (size_t)done;
    close(from);
    return size;
}

/* The size of a file's text, and that in a frame of its own: an empty one would be the end. */
void say_file(const char *path, size_t most) {
    char *text = grow(NULL, most);
    size_t size = read_file(AT_FDCWD, path, text, most);
    say_text("%zu", size);
    if (size > 0)
        say(text, size);
    free(text);
}

static void read_exactly(void *into, size_t size) {
    char *at = into;
    while (size > 0) {
        ssize_t done = read(0, at, size);
        if (done == 0 || (done < 0 && errno != EINTR))
            fail("the request was cut short");
        if (done > 0) {
            at += done;
            size -= (size_t)done;
        }
    }
}

struct request read_request(void) {
    unsigned char head[4];
    read_exactly(head, sizeof head);
    size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    if (size > MOST_REQUEST)
        fail("the request is too large");
    char *text = grow(NULL, size + 1);
    read_exactly(text, size);
    text[size] = '\0';
    return (struct request){text, text + size};
}

/* The next text of a request, each of which ends with a zero; NULL at the end. */
char *next_text(struct request *request) {
    if (request->at >= request->end)
        return NULL;
    char *text = request->at;
    request->at += strlen(text) + 1;
    return text;
}

uint64_t next_number(struct request *request) {
    char *text = next_text(request);
    return number_of(text == NULL ? "" : text, UINT64_MAX);
}

bool parse_number(const char *text, uint64_t most, uint64_t *number) {
    uint64_t sum = 0;
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        uint64_t digit = (uint64_t)(*text - '0');
        if (digit > most || sum > (most - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    *number = sum;
    return true;
}

uint64_t number_of(const char *text, uint64_t most) {
    uint64_t number;
    if (!parse_number(text, most, &number))
        fail("no number where one is needed");
    return number;
}
