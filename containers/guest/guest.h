/* plumb-guest: the one program of plumb's inside a sandbox. It is static and needs nothing that an
 * agent can replace. Each command is a function below; main.c chooses it by name. */
#ifndef PLUMB_GUEST_H
#define PLUMB_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Commands: take their own arguments, return the exit status. */
int command_init(int count, char **arguments);
int command_terminal(int count, char **arguments);
int command_run(int count, char **arguments);
int command_end(int count, char **arguments);
int command_stat(int count, char **arguments);
int command_read(int count, char **arguments);
int command_people(int count, char **arguments);
int command_cwd(int count, char **arguments);
int command_exists(int count, char **arguments);
int command_memory(int count, char **arguments);
int command_changed(int count, char **arguments);
int command_readers(int count, char **arguments);

/* Why the first process ends a sandbox, as its exit status. */
enum { TOO_MANY_BYTES = 91, TOO_MANY_FILES = 92, CANNOT_MEASURE = 93 };

/* io.c: framed answers on standard output, and whole requests from standard input. */
void say(const void *data, size_t size);
void say_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_end(void);
void fail(const char *why) __attribute__((noreturn));
bool write_all(int to, const void *data, size_t size);
void *grow(void *block, size_t size);
void say_file(const char *path, size_t most);
int open_unseen(int at, const char *path, int flags);
size_t read_file(int at, const char *path, void *into, size_t most);

struct request {
    char *at;
    char *end;
};
struct request read_request(void);
char *next_text(struct request *request);
uint64_t next_number(struct request *request);
bool parse_number(const char *text, uint64_t most, uint64_t *number);
uint64_t number_of(const char *text, uint64_t most);

enum { MOST_ACCOUNTS = 256 * 1024 }; /* bytes of a file that is told whole */

/* sha256.c */
struct sha256 {
    uint32_t state[8];
    uint64_t size;
    unsigned char block[64];
};
void sha256_begin(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
void sha256_end(struct sha256 *hash, char hex[65]);

/* accounts.c: /etc/passwd and /etc/group, as the engine reads them. */
struct account {
    uid_t uid;
    gid_t gid;
    char home[4096];
    gid_t groups[64];
    size_t group_count;
};
bool find_account(const char *name, struct account *account);

/* confine.c: what a process may do that runs the guest's programs. */
struct confinement {
    uint64_t capabilities; /* what it keeps */
    uint64_t mark;         /* one more, which keeps others of its user from tracing it */
    uint64_t disk_bytes;   /* no file is allocated larger than this at once */
};
bool confine(const struct confinement *to, const struct account *account);

/* run.c */
void explain(const char *name, int error);

/* streams.c */
pid_t holder_of_streams(void);
void outlast_holders(void);

/* processes.c */
struct process {
    pid_t pid, parent, group, session, foreground;
    int terminal, threads;
    uint64_t started;
    char state;
};
bool look_at(pid_t pid, struct process *process);
typedef bool each_process(const struct process *process, void *context);
void for_each_process(each_process *visit, void *context);
pid_t session_shell(void);
bool is_own(pid_t pid);
uid_t user_of(pid_t pid);
bool end_session(pid_t session);

/* walk.c: every file that a disk holds for this sandbox, however long its path. */
struct found {
    const char *path; /* as far as it is kept; NULL where it is not wanted */
    uint64_t bytes;
    mode_t mode;
    bool is_again; /* another name of a file that was found before */
};
typedef bool each_file(const struct found *file, void *context);
bool walk_changed(uint64_t since, each_file *visit, void *context);
bool count_once(uint64_t device, uint64_t inode);
void forget_counted(void);

/* hidden.c: files without a name, which some process holds. */
bool find_hidden(each_file *visit, void *context);

#endif
