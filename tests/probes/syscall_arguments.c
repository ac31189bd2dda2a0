/*
 * Print what the filter says where it depends on an argument or on the door: "question verdict", a line each.
 */
#include "probe.h"

#define HIGH (1L << 32)
#define TIOCSTI 0x5412
#define ASK(text, door, number, ...) printf("%s %s\n", text, ask(door, number, (long[6]){__VA_ARGS__}))

static void namespaces(void)
{
    static const struct { const char *name; long flag; } kinds[] = {
        {"NEWNS", 0x00020000}, {"NEWCGROUP", 0x02000000}, {"NEWUTS", 0x04000000}, {"NEWIPC", 0x08000000},
        {"NEWUSER", 0x10000000}, {"NEWPID", 0x20000000}, {"NEWNET", 0x40000000},
    };
    char text[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(text, sizeof text, "clone-%s", kinds[i].name);
        ASK(text, by_syscall, SYS_clone, kinds[i].flag | SIGCHLD);
        snprintf(text, sizeof text, "clone-%s-high", kinds[i].name);
        ASK(text, by_syscall, SYS_clone, kinds[i].flag | SIGCHLD | HIGH);
        snprintf(text, sizeof text, "i386-clone-%s", kinds[i].name);
        ASK(text, by_int80, 120, kinds[i].flag | SIGCHLD);
        snprintf(text, sizeof text, "unshare-%s", kinds[i].name);
        ASK(text, by_syscall, SYS_unshare, kinds[i].flag);
    }
    ASK("clone", by_syscall, SYS_clone, SIGCHLD);
    ASK("clone3", by_syscall, SYS_clone3, 0);
    ASK("i386-clone3", by_int80, 435, 0);
}

static void sockets(void)
{
    static const struct { const char *name; long family; } kinds[] = {
        {"UNIX", 1}, {"INET", 2}, {"INET6", 10}, {"PACKET", 17}, {"BLUETOOTH", 31}, {"ALG", 38}, {"VSOCK", 40},
        {"XDP", 44},
    };
    char text[64];
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(text, sizeof text, "socket-%s", kinds[i].name);
        ASK(text, by_syscall, SYS_socket, kinds[i].family, 1, 0);
        snprintf(text, sizeof text, "socket-%s-high", kinds[i].name);
        ASK(text, by_syscall, SYS_socket, kinds[i].family | HIGH, 1, 0);
        snprintf(text, sizeof text, "i386-socket-%s", kinds[i].name);
        ASK(text, by_int80, 359, kinds[i].family, 1, 0);
        /* socketcall(SYS_SOCKET, {family, type, protocol}): the array must lie below 4 GiB */
        int *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
        if (low == MAP_FAILED)
            exit(99);
        low[0] = (int)kinds[i].family;
        low[1] = 1;
        snprintf(text, sizeof text, "i386-socketcall-%s", kinds[i].name);
        ASK(text, by_int80, 102, 1, (long)low);
        munmap(low, 4096);
    }
    ASK("socket-NETLINK-ROUTE", by_syscall, SYS_socket, 16, 3, 0);
    ASK("socket-NETLINK-NETFILTER", by_syscall, SYS_socket, 16, 3, 12);
    ASK("socket-NETLINK-CRYPTO", by_syscall, SYS_socket, 16, 3, 21);
    ASK("socketpair-UNIX", by_syscall, SYS_socketpair, 1, 1, 0, -1);
    ASK("socketpair-VSOCK", by_syscall, SYS_socketpair, 40, 1, 0, -1);
}

static void terminal(void)
{
    ASK("ioctl-FIONREAD", by_syscall, SYS_ioctl, -1, 0x541b);
    ASK("ioctl-TIOCSTI", by_syscall, SYS_ioctl, -1, TIOCSTI);
    ASK("ioctl-TIOCSTI-high", by_syscall, SYS_ioctl, -1, TIOCSTI | HIGH);
    ASK("ioctl-TIOCSTI-negative", by_syscall, SYS_ioctl, -1, TIOCSTI | (-HIGH));
    ASK("i386-ioctl-TIOCSTI", by_int80, 54, -1, TIOCSTI);
    /* musl passes requests sign-extended */
    ASK("ioctl-sign-extended", by_syscall, SYS_ioctl, -1, (long)(int)0x80045430);
}

static void personalities(void)
{
    static const long asked[] = {0, 8, 0x20000, 0x20008, 0xffffffff, 0x40000, 0x40000 | HIGH, 0x100000, 0x400000};
    char text[64];
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        snprintf(text, sizeof text, "personality-%#lx", asked[i]);
        ASK(text, by_syscall, SYS_personality, asked[i]);
    }
}

static void doors(void)
{
    ASK("x32-getpid", by_syscall, 0x40000000 | SYS_getpid, 0);
    ASK("x32-ptrace", by_syscall, 0x40000000 | 521, 0);
    ASK("i386-getpid", by_int80, 20, 0);
    ASK("i386-ptrace", by_int80, 26, 0);
    ASK("i386-mount", by_int80, 21, 0);
    ASK("i386-umount", by_int80, 22, 0);
    ASK("i386-umount2", by_int80, 52, 0);
    ASK("i386-reboot", by_int80, 88, 0);
    ASK("i386-kexec_load", by_int80, 283, 0);
    ASK("i386-perf_event_open", by_int80, 336, 0);
    ASK("i386-open_by_handle_at", by_int80, 342, 0);
    ASK("i386-clock_gettime64", by_int80, 403, -1, 0);
    ASK("i386-futex_time64", by_int80, 422, 0, 0);
}

int main(void)
{
    start();
    namespaces();
    sockets();
    terminal();
    personalities();
    doors();
    return 0;
}
