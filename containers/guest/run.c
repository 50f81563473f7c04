/* Runs a program of the guest for somebody outside, and says how it ended.
 *
 * The program has the engine's own streams, which its children may hold when it has ended: so a
 * key marks on either where it ended. Who holds a stream can read it, and learn its key, but only
 * then: what the marks say is signed with a secret that is never written. */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOT_FOUND = 127, MAY_NOT = 126 };

struct order {
    const char *stdout_key, *stderr_key, *secret, *user, *folder;
    uint64_t timeout_ms, input_bytes;
    struct confinement confinement;
    struct account account;
    char **argv, **variables;
};

static char **next_texts(struct request *request) {
    size_t count = next_number(request);
    if (count > (size_t)(request->end - request->at))
        fail("the request is not whole");
    char **texts = grow(NULL, (count + 1) * sizeof *texts);
    for (size_t i = 0; i < count; i++)
        texts[i] = next_text(request);
    texts[count] = NULL;
    return texts;
}

static struct order read_order(void) {
    struct request request = read_request();
    if (request.at == request.end)
        _exit(0); /* nobody wants anything run */
    struct order order = {
        .stdout_key = next_text(&request),
        .stderr_key = next_text(&request),
        .secret = next_text(&request),
        .user = next_text(&request),
        .folder = next_text(&request),
    };
    order.timeout_ms = next_number(&request);
    order.input_bytes = next_number(&request);
    order.confinement.capabilities = next_number(&request);
    order.confinement.mark = next_number(&request);
    order.confinement.disk_bytes = next_number(&request);
    order.argv = next_texts(&request);
    order.variables = next_texts(&request);
    return order;
}

/* Marks the end of both streams; `how` is an exit status, or why there is none. Says whether somebody
 * outside can have read it. */
static bool mark_end(const struct order *order, const char *how) {
    struct sha256 hash;
    char signature[65], line[256];
    sha256_begin(&hash);
    sha256_add(&hash, order->secret, strlen(order->secret));
    sha256_add(&hash, how, strlen(how));
    sha256_end(&hash, signature);
    snprintf(line, sizeof line, "%s:%s:%s\n", order->stderr_key, how, signature);
    if (!write_all(2, line, strlen(line)))
        return false;
    return write_all(1, order->stdout_key, strlen(order->stdout_key));
}

static void apply_variables(const struct order *order) {
    setenv("HOME", order->account.home, order->account.uid != 0);
    for (char **one = order->variables; *one != NULL; one++)
        putenv(*one);
}

/* What nobody writes into is the null device, if the guest has left it as it was. */
static int open_nothing(void) {
    int from = open("/dev/null", O_RDONLY | O_NONBLOCK | O_NOFOLLOW);
    struct stat status;
    if (from >= 0 && fstat(from, &status) == 0 && S_ISCHR(status.st_mode) &&
        status.st_rdev == makedev(1, 3))
        return from;
    int ends[2];
    if (pipe(ends) != 0)
        return -1;
    close(ends[1]);
    return ends[0];
}

/* Says why a program was not started. */
void explain(const char *name, int error) {
    const char *why = error == ENOENT && strchr(name, '/') == NULL ? "not found" : strerror(error);
    dprintf(2, "exec: %s: %s\n", name, why);
}

/* What a user was not given it may not open again, as /dev/stdin or /dev/stderr. */
static void give_pipes(const struct account *account) {
    struct stat status;
    for (int fd = 0; fd <= 2; fd++)
        if (fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode))
            (void)!fchown(fd, account->uid, account->gid);
}

/* Becomes the program; says on `report` why not, where it is the caller's fault. */
static void become_program(const struct order *order, int input, int report) {
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (dup2(input, 0) < 0)
        _exit(MAY_NOT);
    fcntl(0, F_SETFL, fcntl(0, F_GETFL) & ~O_NONBLOCK);
    if (chdir(order->folder) != 0) {
        dprintf(report, "folder");
        _exit(MAY_NOT);
    }
    apply_variables(order);
    give_pipes(&order->account);
    if (!confine(&order->confinement, &order->account)) {
        dprintf(report, "confinement");
        _exit(MAY_NOT);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* whoever ends us ends it */
    execvp(order->argv[0], order->argv);
    int error = errno;
    if (error == E2BIG)
        dprintf(report, "arguments");
    else
        explain(order->argv[0], error);
    _exit(error == ENOENT || error == ENOTDIR ? NOT_FOUND : MAY_NOT);
}

static uint64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

/* Hands on a piece of standard input; false once there is no more, or nobody wants it. */
static bool hand_on(int to, uint64_t *left, char *piece, size_t *held, size_t *at, size_t most) {
    if (*held == 0) {
        size_t wanted = *left < most ? (size_t)*left : most;
        ssize_t got = read(0, piece, wanted);
        if (got <= 0)
            return got < 0 && errno == EINTR;
        *left -= (uint64_t)got;
        *held = (size_t)got;
        *at = 0;
    }
    ssize_t done = write(to, piece + *at, *held);
    if (done < 0)
        return errno == EAGAIN || errno == EINTR;
    *at += (size_t)done;
    *held -= (size_t)done;
    return *held > 0 || *left > 0;
}

/* Reads what the program did not want. */
static void drain(uint64_t left) {
    static char piece[64 * 1024];
    while (left > 0) {
        ssize_t got = read(0, piece, left < sizeof piece ? (size_t)left : sizeof piece);
        if (got == 0 || (got < 0 && errno != EINTR))
            return;
        left -= got > 0 ? (uint64_t)got : 0;
    }
}

/* Feeds the program until it ends; false where that did not come in time. */
static bool feed_and_wait(pid_t pid, int to, struct order *order, int *status) {
    static char piece[64 * 1024];
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int ended = signalfd(-1, &child, SFD_CLOEXEC);
    uint64_t end = now_ms() + order->timeout_ms;
    size_t held = 0, at = 0;
    bool is_late = false;
    while (!is_late && waitpid(pid, status, WNOHANG) == 0) {
        uint64_t now = now_ms();
        if (now >= end) {
            is_late = true;
            continue;
        }
        /* Either our own input has more, or the program has room for what is held. */
        struct pollfd events[] = {
            {.fd = ended, .events = POLLIN},
            {.fd = to < 0 || held > 0 ? -1 : 0, .events = POLLIN},
            {.fd = held > 0 ? to : -1, .events = POLLOUT},
        };
        if (poll(events, 3, (int)(end - now)) <= 0)
            continue;
        struct signalfd_siginfo told;
        if (events[0].revents != 0)
            (void)!read(ended, &told, sizeof told);
        if ((events[1].revents | events[2].revents) != 0 &&
            !hand_on(to, &order->input_bytes, piece, &held, &at, sizeof piece)) {
            close(to);
            to = -1;
        }
    }
    if (to >= 0)
        close(to);
    close(ended);
    return !is_late;
}

static void hold_signals(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

/* Starts the program; returns its pid, or 0 with the reason in `why`. */
static pid_t start(const struct order *order, int *to, char why[32]) {
    int report[2], input[2] = {-1, -1};
    if (pipe2(report, O_CLOEXEC) != 0 ||
        (order->input_bytes > 0 && pipe2(input, O_CLOEXEC) != 0))
        fail("no pipe");
    if (order->input_bytes == 0)
        input[0] = open_nothing();
    pid_t pid = fork();
    if (pid == 0)
        become_program(order, input[0], report[1]);
    close(report[1]);
    close(input[0]);
    if (pid < 0) {
        strcpy(why, "room");
        return 0;
    }
    ssize_t size = read(report[0], why, 31);
    why[size > 0 ? size : 0] = '\0';
    close(report[0]);
    *to = input[1];
    if (input[1] >= 0)
        fcntl(input[1], F_SETFL, O_NONBLOCK);
    if (*why != '\0')
        waitpid(pid, NULL, 0);
    return *why != '\0' ? 0 : pid;
}

/* Runs one program; says whether another may follow on the same streams. */
static bool run_one(bool may_follow) {
    struct order order = read_order();
    char how[32] = "";
    int to = -1, status = 0;
    if (!find_account(order.user, &order.account)) {
        mark_end(&order, "user");
        return false;
    }
    dprintf(2, "%s=%d\n", order.stderr_key, getpid());
    pid_t pid = start(&order, &to, how);
    if (pid == 0) {
        mark_end(&order, how);
        return false;
    }
    if (!feed_and_wait(pid, to, &order, &status)) {
        end_session(pid);
        mark_end(&order, "timeout");
        return false;
    }
    may_follow = may_follow && holder_of_streams() == 0;
    snprintf(how, sizeof how, "%d%s",
             WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status),
             may_follow ? "next" : "");
    if (may_follow)
        drain(order.input_bytes);
    return mark_end(&order, how) && may_follow;
}

/* run [again]: runs a program; with `again` others after it, as long as none that ended has left
 * somebody behind who could write between what the next one writes. A request of no size ends it. */
int command_run(int count, char **arguments) {
    bool again = count == 1 && strcmp(arguments[0], "again") == 0;
    hold_signals();
    while (run_one(again))
        ;
    outlast_holders();
    return 0;
}
