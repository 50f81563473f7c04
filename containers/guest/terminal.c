/* Becomes a user's program of the guest, on the terminal that the engine has made for it. */
#include "guest.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { NOT_FOUND = 127 };

/* Takes the arguments to where /proc does not show them: they tell what a prompt is known by. */
static char **taken_out_of_sight(int count, char **arguments) {
    char **taken = grow(NULL, ((size_t)count + 1) * sizeof *taken);
    for (int i = 0; i < count; i++) {
        size_t size = strlen(arguments[i]) + 1;
        taken[i] = memcpy(grow(NULL, size), arguments[i], size);
        memset(arguments[i], 0, size);
    }
    taken[count] = NULL;
    return taken;
}

/* Whether a line has been typed, which is left unread and is not echoed; false at the end. */
static bool wait_for_line(void) {
    struct pollfd typed = {.fd = 0, .events = POLLIN};
    struct termios usual, silent;
    bool is_terminal = tcgetattr(0, &usual) == 0;
    if (is_terminal) {
        silent = usual;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(0, TCSANOW, &silent);
    }
    while (poll(&typed, 1, -1) < 0)
        ; /* a signal was caught */
    if (is_terminal)
        tcsetattr(0, TCSANOW, &usual);
    return (typed.revents & POLLIN) != 0;
}

static int become_program(int count, char **arguments) {
    static struct account account;
    if (count < 4)
        fail("terminal: no program");
    struct confinement to = {.capabilities = number_of(arguments[1], UINT64_MAX),
                             .disk_bytes = number_of(arguments[2], UINT64_MAX)};
    if (!find_account(arguments[0], &account))
        fail("unable to find the user of the terminal");
    if (account.uid != 0 && isatty(0) && fchown(0, account.uid, (gid_t)-1) != 0)
        fail("the terminal cannot be the user's");
    setenv("HOME", account.home, account.uid != 0);
    if (!confine(&to, &account))
        fail("the terminal cannot be confined");
    execvp(arguments[3], arguments + 3);
    explain(arguments[3], errno);
    return NOT_FOUND;
}

/* terminal USER CAPABILITIES DISK_BYTES PROGRAM [ARGUMENT …]: once something is typed.
 *
 * Until then nothing has been looked up or started: what init scripts change counts, and they find
 * no shell among the processes. The terminal is the user's own then, as the engine makes it for whom
 * it starts a program as. */
int command_terminal(int count, char **arguments) {
    char **taken = taken_out_of_sight(count, arguments);
    return wait_for_line() ? become_program(count, taken) : 0;
}
