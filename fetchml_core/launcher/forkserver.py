# mypy: ignore-errors
"""Starts the inits of plain processes by fork: a Python that is there already costs 2 ms of processor time, a new one 20.

A program of its own, ``python -I -S forkserver.py``, because a worker has threads and must not fork itself. It reads
from its standard input one path a line, in hexadecimal digits, the control folder of an attempt, and answers each with
a line: the pid of the attempt's init, or why there is none. An init has a session of its own and outlives both this
program, which ends with its standard input, and the worker. Its working directory is the control folder; by that it is
found again.

What is imported here every fork pays for, in pages that it shares and copies: no more than an init needs.
"""

import gc
import os
import sys

try:
    import _signal as signal
except ImportError:  # another Python than CPython
    import signal


def load_init():
    """Load `init.py`, which lies beside; what lies around the package stays off the path, it is not the init's."""
    sys.path.append(os.path.abspath(os.path.join(__file__, os.pardir, os.pardir, os.pardir)))
    from fetchml_core.launcher import init

    sys.path.pop()
    return init


def become_init(init, control):
    """Be the init of an attempt, in a process that has just been forked."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, 64)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return init.main(control)


def start(init, control):
    """Fork an init; return what to answer."""
    try:
        os.chdir(control)  # here, so that it is there from its first moment
        pid = os.fork()
    except OSError as error:
        return str(error).encode()
    if pid == 0:
        status = 1
        try:
            status = become_init(init, control)
        except BaseException:  # noqa: BLE001 - the log is all there is
            tell_why(control)
        finally:
            os._exit(status)
    return b"%d" % pid


def tell_why(control):
    """Write the error that has just been raised where the worker looks for the last words of an init."""
    with open(os.path.join(control, os.pardir, "init.log"), "a") as sys.stderr:
        sys.excepthook(*sys.exc_info())


def main():
    """Serve until standard input ends."""
    init = load_init()
    init.HostTree.load()
    import resource  # noqa: F401 - each init asks it

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for an init: it is gone once it has ended
    gc.freeze()  # what is there now stays shared with the inits
    for line in sys.stdin.buffer:
        answer = start(init, os.fsdecode(bytes.fromhex(line.decode())))
        os.chdir("/")
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
