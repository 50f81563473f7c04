/* Accounts, from the sandbox's own files: bounded, and whatever is in there is data. */
#include "guest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIELDS = 7 };

static const uint64_t MOST_ID = UINT32_MAX - 1; /* the last one means "none" */

/* The text of a file, which the caller frees; empty where it is no ordinary file. */
static char *text_of(const char *path) {
    char *text = grow(NULL, MOST_ACCOUNTS + 1);
    struct stat status;
    size_t size = 0;
    if (stat(path, &status) == 0 && S_ISREG(status.st_mode))
        size = read_file(AT_FDCWD, path, text, MOST_ACCOUNTS);
    text[size] = '\0';
    return text;
}

/* Splits the next line at its colons, in place; returns how many fields, 0 at the end. */
static size_t next_record(char **at, char *fields[FIELDS]) {
    char *line = *at;
    if (*line == '\0')
        return 0;
    char *end = strchrnul(line, '\n');
    *at = *end == '\0' ? end : end + 1;
    *end = '\0';
    size_t count = 0;
    for (char *part = line; part != NULL && count < FIELDS;)
        fields[count++] = strsep(&part, ":");
    return count;
}

static bool same(const char *field, const char *name, const uint64_t *number) {
    uint64_t id;
    return number == NULL ? strcmp(field, name) == 0
                          : parse_number(field, MOST_ID, &id) && id == *number;
}

/* Looks for an account by its name or number; `name` is left empty where there is none. */
static bool find_user(const char *text, struct account *account, char name[256]) {
    uint64_t number, uid, gid;
    bool is_number = parse_number(text, MOST_ID, &number), found = false;
    char *all = text_of("/etc/passwd"), *at = all, *fields[FIELDS];
    size_t count;
    while (!found && (count = next_record(&at, fields)) > 0) {
        found = count == FIELDS && parse_number(fields[2], MOST_ID, &uid) &&
                parse_number(fields[3], MOST_ID, &gid) && strlen(fields[0]) < 256 &&
                strlen(fields[5]) < sizeof account->home &&
                same(fields[is_number ? 2 : 0], text, is_number ? &number : NULL);
        if (found) {
            account->uid = (uid_t)uid;
            account->gid = (gid_t)gid;
            strcpy(account->home, fields[5]);
            strcpy(name, fields[0]);
        }
    }
    free(all);
    if (!found && is_number)
        account->uid = (uid_t)number;
    return found || is_number;
}

static bool has_member(char *members, const char *name) {
    char *member;
    while ((member = strsep(&members, ",")) != NULL)
        if (strcmp(member, name) == 0)
            return true;
    return false;
}

/* Finds the group that is named, or else the groups that a user is in. */
static bool find_groups(const char *group, const char *name, struct account *account) {
    uint64_t number, gid;
    bool is_number = group != NULL && parse_number(group, MOST_ID, &number);
    if (is_number)
        account->gid = (gid_t)number;
    char *all = text_of("/etc/group"), *at = all, *fields[FIELDS];
    size_t count, most = sizeof account->groups / sizeof *account->groups;
    bool found = group == NULL || is_number;
    while ((count = next_record(&at, fields)) > 0) {
        if (count != 4 || !parse_number(fields[2], MOST_ID, &gid))
            continue;
        if (group != NULL && !found && strcmp(fields[0], group) == 0) {
            account->gid = (gid_t)gid;
            found = true;
        }
        if (group == NULL && *name != '\0' && account->group_count < most &&
            has_member(fields[3], name))
            account->groups[account->group_count++] = (gid_t)gid;
    }
    free(all);
    return found;
}

/* Finds who `name`, `uid`, or either with `:group` is. A number need not be in the files. */
bool find_account(const char *who, struct account *account) {
    char user[256], name[256] = "";
    memset(account, 0, sizeof *account);
    strcpy(account->home, "/");
    if (strlen(who) >= sizeof user)
        return false;
    strcpy(user, who);
    char *group = strchr(user, ':');
    if (group != NULL)
        *group++ = '\0';
    return find_user(*user == '\0' ? "0" : user, account, name) &&
           find_groups(group, name, account);
}
