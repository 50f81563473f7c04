/* Chooses a command by its name. */
#include "guest.h"

#include <string.h>

static const struct {
    const char *name;
    int (*run)(int count, char **arguments);
} commands[] = {
    {"init", command_init},     {"terminal", command_terminal}, {"run", command_run},
    {"end", command_end},       {"stat", command_stat},         {"read", command_read},
    {"people", command_people}, {"cwd", command_cwd},           {"exists", command_exists},
    {"memory", command_memory}, {"changed", command_changed},   {"readers", command_readers},
};

int main(int count, char **arguments) {
    if (count < 2)
        fail("no command");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(arguments[1], commands[i].name) == 0)
            return commands[i].run(count - 2, arguments + 2);
    fail("no such command");
}
