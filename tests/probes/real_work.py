"""What training programs do to an operating system, in a few seconds: run inside a container by the tests.

Standard library for Python 3.9 or newer; NumPy and PyTorch where they are installed. Each step prints its name when done.
"""

import asyncio
import ctypes
import importlib.util
import mmap
import multiprocessing
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path


def square(number):
    """Something for a pool to do."""
    return number * number


def fill(name):
    """Write into shared memory from another process."""
    block = shared_memory.SharedMemory(name=name)
    block.buf[0] = 42
    block.close()


def work_with_files(folder):
    """Every name and attribute call a checkpoint writer or a data loader makes."""
    one, two = folder / "one", folder / "two"
    one.write_bytes(b"x" * 100_000)
    os.link(one, folder / "hard")
    (folder / "soft").symlink_to(one)
    os.mkfifo(folder / "fifo")
    with one.open("r+b") as source, two.open("wb") as target:
        os.fsync(source.fileno())
        os.sendfile(target.fileno(), source.fileno(), 0, 1000)
        if hasattr(os, "copy_file_range"):
            os.copy_file_range(source.fileno(), target.fileno(), 1000)
        os.posix_fallocate(target.fileno(), 0, 4096)
        with mmap.mmap(source.fileno(), 0) as view:
            view[0:1] = b"y"
            view.flush()
    two.chmod(0o600)
    os.utime(two, (1, 1))
    two.replace(folder / "three")
    assert sorted(path.name for path in folder.iterdir()) == ["fifo", "hard", "one", "soft", "three"]
    with sqlite3.connect(folder / "db") as database:
        database.execute("pragma journal_mode=wal")
        database.execute("create table t (a)")
        database.execute("insert into t values (1)")
    database.close()


def work_with_processes(folder):
    """Threads, all three ways to start a process, shared memory, pools, subprocesses by asyncio."""
    done = []
    threads = [threading.Thread(target=done.append, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 8
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
        block = shared_memory.SharedMemory(create=True, size=1 << 20)
        child = context.Process(target=fill, args=(block.name,))
        child.start()
        child.join()
        assert block.buf[0] == 42, method
        block.close()
        block.unlink()
    assert (
        subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, check=True).stdout == b"7\n"
    )

    async def by_asyncio():
        process = await asyncio.create_subprocess_exec("/bin/sh", "-c", "exit 3", cwd=str(folder))
        return await process.wait()

    assert asyncio.run(by_asyncio()) == 3


def work_with_sockets(folder):
    """What a rendezvous of several processes needs, and a look at the network interfaces."""
    for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, str(folder / "socket"))):
        with socket.socket(family) as server, socket.socket(family) as client:
            server.bind(address)
            server.listen()
            client.connect(server.getsockname())
            peer, _ = server.accept()
            client.sendall(b"hello")
            assert peer.recv(5) == b"hello"
            peer.close()
    left, right = socket.socketpair()
    with left, right, select.epoll() as poller:
        poller.register(right, select.EPOLLIN)
        left.send(b"x")
        assert poller.poll(1)
    assert socket.if_nameindex()
    assert socket.getaddrinfo("127.0.0.1", 80)
    libc = ctypes.CDLL(None, use_errno=True)
    addresses = ctypes.c_void_p()
    assert libc.getifaddrs(ctypes.byref(addresses)) == 0  # asks by NETLINK_ROUTE
    libc.freeifaddrs(addresses)


def work_with_time_and_signals(_):
    """Timers, alarms and the signals that ask for a checkpoint."""
    got = []
    signal.signal(signal.SIGALRM, lambda *_: got.append("alarm"))
    signal.signal(signal.SIGTERM, lambda *_: got.append("term"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.05)
    assert sorted(got) == ["alarm", "term"]
    os.sched_setaffinity(0, os.sched_getaffinity(0))
    os.nice(1)
    os.getrandom(8)
    assert os.sysconf("SC_NPROCESSORS_ONLN") > 0


def work_with_numpy(folder):
    """Linear algebra on all cores (OpenBLAS calls mbind), and arrays on disk."""
    import numpy as np

    values = np.random.default_rng(0).normal(size=(300, 300))
    left, scale, right = np.linalg.svd(values @ values.T)
    assert np.allclose((left * scale) @ right, values @ values.T)
    np.save(folder / "values.npy", values)
    assert np.array_equal(np.load(folder / "values.npy", mmap_mode="r"), values)


class Points:
    """What a network learns from: eight numbers, and their sum."""

    def __len__(self):
        """How many there are."""
        return 512

    def __getitem__(self, index):
        """Return one, made in a DataLoader worker, which hands it over in shared memory."""
        import torch

        values = torch.rand(8, generator=torch.Generator().manual_seed(index))
        return values, values.sum(0, keepdim=True)


def work_with_torch(folder):
    """Train a small network from four DataLoader workers, by fork and by spawn, and keep it in a checkpoint."""
    import torch
    from torch.utils.data import DataLoader

    for method in ("fork", "spawn"):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
        loader = DataLoader(
            Points(), 32, num_workers=4, multiprocessing_context=method, persistent_workers=True
        )
        losses = []
        for _ in range(3):
            for values, sums in loader:
                loss = torch.nn.functional.mse_loss(model(values), sums)
                loss.backward()
                with torch.no_grad():
                    for weights in model.parameters():  # torch.optim takes a second more to import
                        weights.sub_(0.02 * weights.grad)
                        weights.grad = None
                losses.append(loss.item())
        assert losses[-1] < losses[0] / 2, (method, losses)
        torch.save(model.state_dict(), folder / "model.pt")
        assert torch.load(folder / "model.pt").keys() == model.state_dict().keys()


def main():
    """Do all that this machine has."""
    steps = [work_with_files, work_with_processes, work_with_sockets, work_with_time_and_signals]
    steps += [work for module, work in LIBRARIES.items() if importlib.util.find_spec(module)]
    for step in steps:
        with tempfile.TemporaryDirectory() as folder:
            step(Path(folder))
        sys.stdout.write(f"{step.__name__}\n")


LIBRARIES = {"numpy": work_with_numpy, "torch": work_with_torch}

if __name__ == "__main__":
    main()
