"""Try to get out of a container, in ways that do no harm where they succeed, and print what became of each as JSON.

Arguments: a file of the host, a port and an abstract socket that a process of the host listens on, the host's number of
a process of another container, a program that belongs to root and is setuid. Standard library for Python 3.9 or newer.
"""

import contextlib
import ctypes
import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time

FILE, PORT, SOCKET, NEIGHBOUR, SETUID = sys.argv[1:6]
LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
NEW_NET = 0x40000000
FORKS = 192
SHM = 128 << 20


def tried(action, *args):
    """What the kernel answers: the name of an error, or done."""
    try:
        action(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"


def call(name, *args):
    """Call a function of libc."""
    if getattr(LIBC, name)(*args) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def append(path, text="x"):
    """Write to a file that is there."""
    with open(path, "r+") as file:
        file.seek(0, os.SEEK_END)
        file.write(text)


def connect(family, address):
    """Reach a process of the host."""
    with socket.socket(family) as sock:
        sock.settimeout(2)
        sock.connect(address)


def host_file():
    """Write to a file of the host, by its path, through other roots, and to one of the image."""
    paths = (FILE, f"/proc/1/root{FILE}", f"/proc/{NEIGHBOUR}/root{FILE}", "../" * 9 + FILE)
    return [tried(append, path, "") for path in paths]


def mount():
    """Mount something, and take away what is mounted."""
    os.mkdir("/tmp/m")
    return [
        tried(call, "mount", b"none", b"/tmp/m", b"tmpfs", 0, None),
        tried(call, "umount2", b"/etc/hosts", 2),
    ]


def device():
    """Make a device node of the host's disk, and of its memory."""
    nodes = (("/tmp/disk", stat.S_IFBLK, 254, 0), ("/tmp/mem", stat.S_IFCHR, 1, 1))
    return [tried(os.mknod, path, kind | 0o600, os.makedev(*which)) for path, kind, *which in nodes]


def sibling():
    """Take over another process of the job, and read or hit one of another container."""
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    found = [tried(call, "ptrace", PTRACE_ATTACH, child, None, None)]
    if found == ["done"]:
        os.waitpid(child, 0)
        LIBC.ptrace(PTRACE_DETACH, child, None, None)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found.append(tried(os.kill, int(NEIGHBOUR), 0))
    return [*found, tried(os.stat, f"/proc/{NEIGHBOUR}/mem")]


def raw_socket():
    """See or forge packets."""
    return [
        tried(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        tried(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0),
    ]


def host_network():
    """Reach what listens on the host's loopback and on its abstract sockets; enter or make a network."""
    return [
        tried(connect, socket.AF_INET, ("127.0.0.1", int(PORT))),
        tried(connect, socket.AF_UNIX, f"\0{SOCKET}"),
        tried(call, "setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0),
        tried(call, "unshare", NEW_NET),
    ]


def fork_bomb():
    """Start more processes than are allowed; all end with it."""
    reader, writer = os.pipe()
    children = []

    def fork():
        while len(children) < FORKS:
            pid = os.fork()
            if pid == 0:
                os.close(writer)
                os.read(reader, 1)
                os._exit(0)
            children.append(pid)

    found = tried(fork)
    os.close(writer)
    for pid in children:
        os.waitpid(pid, 0)
    return [found]


def shared_memory():
    """Fill twice the shared memory that there is."""

    def fill():
        with open("/dev/shm/x", "wb", buffering=0) as file:
            file.writelines(bytes(1 << 20) for _ in range(SHM >> 20))

    found = [tried(fill)]
    with contextlib.suppress(OSError):
        os.unlink("/dev/shm/x")
    return found


def setuid_file():
    """Run a program of root's that is setuid; it prints who it runs as."""
    done = subprocess.run([SETUID], capture_output=True, text=True, check=True)
    return ["done" if done.stdout.strip() == "0" else "EPERM"]


def kernel_orders():
    """Open the files by which the kernel takes orders; nothing is written to them."""

    def order(path):
        os.close(os.open(path, os.O_WRONLY))

    return [tried(order, path) for path in ("/proc/sysrq-trigger", "/proc/sys/vm/swappiness")]


WAYS = (
    *(host_file, mount, device, sibling, raw_socket),
    *(host_network, fork_bomb, shared_memory, setuid_file, kernel_orders),
)

if __name__ == "__main__":
    sys.stdout.write(json.dumps({way.__name__: way() for way in WAYS}))
