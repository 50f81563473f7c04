/* What a process may do that runs programs of the guest: fewer capabilities than plumb's own
 * processes have, so that it can neither trace them nor open what is theirs in /proc; and no system
 * call that older engines let through although it leads out of the sandbox. */
#include "guest.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_HIGH(field) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field) + 4)
#define IF(how, value, then, otherwise) BPF_JUMP(BPF_JMP | how | BPF_K, value, then, otherwise)
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)(error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define INSTALL(filter) install(filter, sizeof filter / sizeof *filter)

/* A processor can run programs for an older one, whose calls have numbers of their own. */
#if defined __x86_64__
#define NATIVE AUDIT_ARCH_X86_64
#define OLDER AUDIT_ARCH_I386
#define OLDER_SOCKET 359
#define OLDER_SOCKETCALL 102 /* its arguments are in memory, where no filter sees them */
#define OLDER_FALLOCATE 324
#elif defined __aarch64__
#define NATIVE AUDIT_ARCH_AARCH64
#define OLDER AUDIT_ARCH_ARM
#define OLDER_SOCKET 281
#define OLDER_SOCKETCALL 102
#define OLDER_FALLOCATE 352
#else
#error "the numbers of this processor's system calls are not here yet"
#endif

enum {
    VSOCK = 40,
    IO_URING_SETUP = 425,
    IO_URING_REGISTER = 427,
    X32_FIRST = 0x40000000,
    PUNCH_HOLE = 2,
};

static bool install(struct sock_filter *filter, size_t size) {
    struct sock_fprog program = {.len = (unsigned short)size, .filter = filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool refuse_calls(uint32_t processor, uint32_t first, uint32_t last, int error) {
    struct sock_filter filter[] = {
        LOAD(arch),
        IF(BPF_JEQ, processor, 0, 4),
        LOAD(nr),
        IF(BPF_JGE, first, 0, 2),
        IF(BPF_JGT, last, 1, 0),
        REFUSE(error),
        ALLOW,
    };
    return INSTALL(filter);
}

static bool refuse_sockets(uint32_t processor, uint32_t call, uint32_t family) {
    struct sock_filter filter[] = {
        LOAD(arch),
        IF(BPF_JEQ, processor, 0, 5),
        LOAD(nr),
        IF(BPF_JEQ, call, 0, 3),
        LOAD(args[0]),
        IF(BPF_JEQ, family, 0, 1),
        REFUSE(EAFNOSUPPORT),
        ALLOW,
    };
    return INSTALL(filter);
}

/* To allocate takes no time: a loop of it would fill the machine's disk between two looks. */
static bool refuse_allocations(uint64_t most) {
    struct sock_filter filter[] = {
        LOAD(arch),
        IF(BPF_JEQ, NATIVE, 0, 10),
        LOAD(nr),
        IF(BPF_JEQ, __NR_fallocate, 0, 8),
        LOAD(args[1]),
        IF(BPF_JSET, PUNCH_HOLE, 6, 0),
        LOAD_HIGH(args[3]),
        IF(BPF_JGT, (uint32_t)(most >> 32), 3, 0),
        IF(BPF_JEQ, (uint32_t)(most >> 32), 0, 3),
        LOAD(args[3]),
        IF(BPF_JGT, (uint32_t)most, 0, 1),
        REFUSE(ENOSPC),
        ALLOW,
    };
    return INSTALL(filter);
}

static bool refuse_what_leads_out(uint64_t disk_bytes) {
    return refuse_calls(NATIVE, IO_URING_SETUP, IO_URING_REGISTER, EPERM) &&
           refuse_calls(OLDER, IO_URING_SETUP, IO_URING_REGISTER, EPERM) &&
           refuse_calls(NATIVE, X32_FIRST, UINT32_MAX, ENOSYS) &&
           refuse_calls(OLDER, OLDER_SOCKETCALL, OLDER_SOCKETCALL, ENOSYS) &&
           refuse_calls(OLDER, OLDER_FALLOCATE, OLDER_FALLOCATE, EOPNOTSUPP) &&
           refuse_sockets(OLDER, OLDER_SOCKET, VSOCK) &&
           refuse_sockets(NATIVE, __NR_socket, VSOCK) && refuse_allocations(disk_bytes);
}

static bool has_bit(uint64_t set, int bit) { return (set >> bit & 1) != 0; }

static bool bound_capabilities(uint64_t to) {
    for (int bit = 0; bit < 64; bit++)
        if (!has_bit(to, bit) && prctl(PR_CAPBSET_READ, bit, 0, 0, 0) == 1 &&
            prctl(PR_CAPBSET_DROP, bit, 0, 0, 0) != 0)
            return false;
    return true;
}

static bool set_capabilities(uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    for (int word = 0; word < 2; word++) {
        data[word].permitted = data[word].effective = (uint32_t)(permitted >> 32 * word);
        data[word].inheritable = (uint32_t)(inheritable >> 32 * word);
    }
    return syscall(SYS_capset, &header, data) == 0;
}

/* Only an ambient capability stays with another user than root beyond the start of a program. */
static bool keep_mark(uint64_t mark) {
    for (int bit = 0; bit < 64; bit++)
        if (has_bit(mark, bit) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) != 0)
            return false;
    return true;
}

static bool become(const struct account *account) {
    return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
           setgroups(account->group_count, account->groups) == 0 &&
           setresgid(account->gid, account->gid, account->gid) == 0 &&
           setresuid(account->uid, account->uid, account->uid) == 0;
}

/* Becomes a user, where one is given, and gives up all but what it may have. */
bool confine(const struct confinement *to, const struct account *account) {
    uint64_t all = to->capabilities | to->mark;
    bool is_root = geteuid() == 0;
    if (!bound_capabilities(all))
        return false;
    if (account != NULL && (is_root = account->uid == 0, !become(account)))
        return false;
    if (is_root ? !set_capabilities(all, 0)
                : !set_capabilities(to->mark, to->mark) || !keep_mark(to->mark))
        return false;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && refuse_what_leads_out(to->disk_bytes);
}
