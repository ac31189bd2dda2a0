/*
 * Ask the filter of a container about one system call, without letting the call happen.
 *
 * Each question runs in a child that first adds a filter of its own: SECCOMP_RET_TRACE for everything but
 * exit_group. Of two filters the stricter answer counts and ERRNO is stricter than TRACE, so a call that the
 * container's filter denies still gives the errno of the profile; one it allows reaches TRACE, and as nobody
 * traces the kernel answers ENOSYS and does nothing. "It was the filter" is thus told apart from "the kernel
 * would have refused it anyway", and no question can do harm.
 *
 * What the profile itself answers with ENOSYS looks like an allowed call here; ask() then calls once for real,
 * which only happens to calls that are allowed or answered by ENOSYS. Results pass through shared memory.
 */
#ifndef PROBE_H
#define PROBE_H

#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

typedef long (*entry)(long number, const long *argument);

/* A slot for each question: a child's child (fork is asked about too) may write after the next one began. */
enum { SLOTS = 4096 };
static volatile long *answers;
static int asked;

__attribute__((unused)) static long by_syscall(long number, const long *a)
{
    register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

/* vfork returns twice on one stack: the first to return, the child, must end before it leaves this frame. */
__attribute__((unused)) static long by_vfork(long number, const long *a)
{
    long result;
    (void)a;
    __asm__ volatile("syscall; test %%rax, %%rax; jnz 1f; mov %[exit], %%eax; xor %%edi, %%edi; syscall; 1:"
                     : "=a"(result) : "a"(number), [exit] "i"(SYS_exit_group) : "rcx", "rdi", "r11", "memory");
    return result;
}

/* The door of 32-bit programs, which a 64-bit program can use too. */
__attribute__((unused)) static long by_int80(long number, const long *a)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result)
                     : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]), "S"(a[3]), "D"(a[4])
                     : "r8", "r9", "r10", "r11", "memory");
    return result;
}

static void trace_all(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        exit(99);
}

/* Returns the raw result of the call; 1000 + n when signal n ended the child, 1014 also when it blocked. */
static long once(entry call, long number, const long *argument, int really)
{
    int status;
    if (asked == SLOTS)
        exit(99);
    volatile long *answer = &answers[asked++];
    *answer = 999;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct itimerval soon = {{0, 0}, {0, 300000}};
        setitimer(ITIMER_REAL, &soon, NULL);
        if (!really)
            trace_all();
        *answer = call(number, argument);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0 || (WIFEXITED(status) && WEXITSTATUS(status))) {
        perror("probe");
        exit(99);
    }
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : *answer;
}

static const char *ask(entry call, long number, const long *argument)
{
    static char text[32];
    long result = once(call, number, argument, 0);
    if (result == -ENOSYS)
        result = once(call, number, argument, 1) == -ENOSYS ? -ENOSYS : 0;
    else if (result == 0)
        return "no-trace"; /* the child's own filter did not work: the answer would be worthless */
    if (result >= 1000)
        snprintf(text, sizeof text, "SIG%s", sigabbrev_np((int)result - 1000));
    else
        snprintf(text, sizeof text, "%s", result ? strerrorname_np((int)-result) : "open");
    return text;
}

static void start(void)
{
    answers = mmap(NULL, SLOTS * sizeof *answers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (answers == MAP_FAILED)
        exit(99);
}

#endif
