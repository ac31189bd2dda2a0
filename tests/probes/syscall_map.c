/*
 * Print what the filter says to every system call number from 0 to 480: "number verdict", a line each.
 * Arguments are harmless and wrong (-1), save where a rule of the profile looks at them.
 */
#include "probe.h"

static const struct { long number, argument[6]; } special[] = {
    {SYS_clone, {SIGCHLD, 0, 0, 0, 0, 0}},
    {SYS_socket, {1, 1, 0, 0, 0, 0}},
    {SYS_socketpair, {1, -1, -1, -1, 0, 0}},
    {SYS_ioctl, {-1, 0, 0, 0, 0, 0}},
    {SYS_personality, {0xffffffff, 0, 0, 0, 0, 0}},
    {SYS_clone3, {0, 0, 0, 0, 0, 0}},
    {SYS_futex, {0, 0, 0, 0, 0, 0}}, /* the kernel answers an unknown operation with ENOSYS */
};

int main(void)
{
    start();
    for (long number = 0; number <= 480; number++) {
        long wrong[6] = {-1, -1, -1, -1, -1, -1};
        const long *argument = wrong;
        for (size_t i = 0; i < sizeof special / sizeof *special; i++)
            if (special[i].number == number)
                argument = special[i].argument;
        /* These end the child or jump anywhere: this program could not run if they were closed. */
        const char *verdict = number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn
                                  ? "open" : ask(number == SYS_vfork ? by_vfork : by_syscall, number, argument);
        printf("%ld %s\n", number, verdict);
    }
    return 0;
}
