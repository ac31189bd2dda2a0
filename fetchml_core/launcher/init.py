# mypy: ignore-errors
"""The init of an attempt: waits for the go, runs the job, keeps its output, records its end.

It is PID 1 in a container and the job's parent and subreaper on a bare host. One file, standard library only,
Python 3.6 or newer; `init.sh` is its twin for images without Python. Called as ``init.py CONTROL``: the control
folder, shared with the worker. Formats, all in that folder:

    name          written by  content
    spec.json     worker      version, attempt, argv, cwd, env, log_limit, go_timeout, gpu_files, cuda
    gpus.json     init        for an attempt with GPUs, once the FIFO is open: files, each device file that one of
                              gpu_files matches to why it does not open ("" where it does); cuda, {count, problem},
                              null where it is not to be asked or cannot be
    go            worker      a FIFO; the word `go` runs the job, anything else ends the init, so does go_timeout
    started       init        what was `go`, renamed between the go and the job: for that a full disk has room
    log           init        the first half of log_limit of the output, append-only
    log.<offset>  init        a part of the later output; <offset> is its place in the whole output, in decimal.
                              Parts grow to an eighth of log_limit; the newest four are kept, so a gap between
                              two files is exactly what was dropped
    exit.json     init        version, attempt, code or signal, started, ended, oom, log_bytes, log_dropped,
                              log_problem, max_rss, error; durable, and the last thing the init does

Invariants: nothing of the job runs before the go. When exit.json exists, no process of the job is left (what
could not be killed is named in `error`). SIGTERM and SIGINT are passed on to the job's process group, SIGQUIT
kills everything the job started. Memory is bounded whatever the job prints; a full disk costs output, not the job.
Nothing here waits for the worker without a limit.
"""

import errno
import os
import select
import sys
import time

# The worker waits for this program until the FIFO is open, until the job starts and once it has ended. What `signal`
# and `json` import takes 8 ms of that, so they are done without; where nobody waits, json is imported.
try:
    import _signal as signal

    from _json import encode_basestring_ascii as quote
    from _json import make_scanner
except ImportError:  # another Python than CPython
    import signal
    from json import dumps as quote

    make_scanner = None

VERSION = 1
CHUNK = 1 << 16
RECORD_SIZE = (
    4096  # reserved before the job starts, so that a disk filled by the job can still take the record
)
KEPT_PARTS = 4
CUDA_TIMEOUT = 60  # seconds; a driver that has to wake eight cards needs half of it
LAST_OUTPUT = 10.0  # seconds to wait, after the end, for what could not be killed
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Log:
    """The job's output on disk, the middle left out once it is longer than *limit* bytes."""

    def __init__(self, folder, limit):
        self.folder = folder
        self.total = 0
        self.dropped = 0
        self.problem = ""  # why output could not be written, the first time
        self.parts = []  # of the later output: [offset, length]
        self.part_size = max(1, limit // 8)
        self.room = max(1, limit // 2)  # left in the current file
        self.fd = self._create("log")

    def _create(self, name):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(os.path.join(self.folder, name), flags, 0o600)

    def write(self, data):
        view = memoryview(data)
        while view:
            if not self.room:
                self._next_part()
            piece = view[: self.room]
            try:
                done = os.write(self.fd, piece) if self.fd >= 0 else 0
            except OSError as error:  # the disk is full: this output is lost, the job goes on
                self.problem = self.problem or error.strerror
                done = 0
            if not done:
                self._close()
                self.room = 0
                self.total += len(view)
                self.dropped += len(view)
                return
            self.total += done
            self.room -= done
            if self.parts:
                self.parts[-1][1] += done
            view = view[done:]

    def _next_part(self):
        self._close()
        while len(self.parts) >= KEPT_PARTS:
            offset, length = self.parts.pop(0)
            try:
                os.unlink(os.path.join(self.folder, "log.%d" % offset))
            except OSError:
                pass
            self.dropped += length
        try:
            self.fd = self._create("log.%d" % self.total)
        except OSError as error:
            self.problem = self.problem or error.strerror
            return
        self.room = self.part_size
        self.parts.append([self.total, 0])

    def _close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def write_file(path, data):
    """Replace *path* in one step; it need not survive a power cut."""
    write_to(path + ".tmp", data, os.O_CREAT | os.O_TRUNC)
    os.rename(path + ".tmp", path)


def write_to(path, data, flags=0):
    """Write *data*, which is short, to a file; what `open` makes of one costs a fork more than the rest of it."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | flags, 0o644)
    try:
        if os.write(fd, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(fd)


def read_from(path):
    """Return what is in a file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(fd, CHUNK), b""))
    finally:
        os.close(fd)


def to_json(record):
    """Return a record of strings, finite numbers, True, False and None as JSON."""
    values = {name: quote(value) if isinstance(value, str) else repr(value) for name, value in record.items()}
    words = {"None": "null", "True": "true", "False": "false"}
    return "{%s}" % ", ".join('"%s": %s' % (name, words.get(values[name], values[name])) for name in record)


def reserve_record(folder):
    """Take the disk space of the exit record now, which a write does without a sync; return its descriptor."""
    fd = os.open(
        os.path.join(folder, "exit.json.tmp"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600
    )
    os.write(fd, b" " * RECORD_SIZE)
    return fd


def write_record(folder, fd, record):
    """Make the exit record durable: the file, then its name."""
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, to_json(record).encode().ljust(RECORD_SIZE))
    os.fsync(fd)
    os.close(fd)
    os.rename(os.path.join(folder, "exit.json.tmp"), os.path.join(folder, "exit.json"))
    folder_fd = os.open(folder, os.O_RDONLY)
    os.fsync(folder_fd)
    os.close(folder_fd)


def oom_kills():
    """Return the number of out-of-memory kills in this container, None where that cannot be known."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as file:
                for line in file:
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        return int(value)
        except (OSError, ValueError):
            pass
    return None


class HostTree:
    """The job's processes on a bare host: everything that descends from this init."""

    prctl = None

    @classmethod
    def load(cls):
        """Find the system call, once for all inits that are forked from here."""
        import ctypes

        cls.prctl = ctypes.CDLL(None, use_errno=True).prctl

    def __init__(self):
        if self.prctl is None:
            self.load()
        self.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: orphans become children of this process

    def in_child(self, parent):
        self.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: the job does not outlive its init
        if os.getppid() != parent:
            os._exit(127)

    def kill(self):
        children = {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open("/proc/%s/stat" % name, "rb") as file:
                        ppid = int(file.read().rpartition(b")")[2].split()[1])
                except (OSError, ValueError, IndexError):
                    continue
                children.setdefault(ppid, []).append(int(name))
        todo = [os.getpid()]
        while todo:
            for pid in children.get(todo.pop(), ()):
                todo.append(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass

    def oom_kills(self):
        return None


class ContainerTree:
    """The job's processes in a container: everything but PID 1."""

    def in_child(self, parent):
        pass

    def kill(self):
        try:
            os.kill(-1, signal.SIGKILL)
        except OSError:  # nobody is left
            pass

    def oom_kills(self):
        return oom_kills()


class Scanner:
    """What the part of json that is written in C wants to know."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, None


def read_spec(folder):
    """Return what the worker wrote into spec.json."""
    text = read_from(os.path.join(folder, "spec.json")).decode()
    if make_scanner is None:
        import json

        return json.loads(text)
    return make_scanner(Scanner)(text, 0)[0]


class Signals:
    """Signals as bytes in a pipe, so that one loop waits for everything."""

    def __init__(self):
        self.reader, writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(writer, False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(writer)

    def read(self):
        try:
            return list(os.read(self.reader, 4096))
        except BlockingIOError:
            return []


def open_problem(path):
    """Return why a device file does not open, empty where it does."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return "%s (errno %d)" % (error.strerror, error.errno)
    return ""


def cuda_answer():
    """Load the driver and ask it, in the process of `ask_cuda`."""
    try:
        import ctypes

        driver = ctypes.CDLL("libcuda.so.1")
        number = ctypes.c_int(0)
        for name, arguments in (("cuInit", (0,)), ("cuDeviceGetCount", (ctypes.byref(number),))):
            result = getattr(driver, name)(*arguments)
            if result != 0:
                return {"count": 0, "problem": "%s gave CUDA error %d" % (name, result)}
    except ImportError:
        return None
    except OSError as error:
        # Of glibc and of musl: there is none, which is not the same as one that does not load.
        absent = ("libcuda.so.1: cannot open shared object file: No such", "library libcuda.so.1: No such")
        if any(words in str(error) for words in absent):
            return None
        return {"count": 0, "problem": "libcuda.so.1 cannot be loaded: %s" % error}
    except AttributeError as error:
        return {"count": 0, "problem": "libcuda.so.1 is no CUDA driver: %s" % error}
    return {"count": number.value, "problem": ""}


def ask_cuda(tree, env):
    """Return what CUDA says, asked in a process of its own: a driver that was loaded stays, and may take it along.

    With the job's variables, for what finds the driver here has to find it there.
    """
    import json

    parent = os.getpid()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            tree.in_child(parent)
            os.dup2(writer, 1)
            argv = [sys.executable, "-I", "-S", "-B", os.path.abspath(__file__), "--cuda"]
            os.execve(argv[0], argv, env)
        finally:
            os._exit(1)
    os.close(writer)
    ended, status = wait_for(pid, CUDA_TIMEOUT)
    if not ended:
        os.kill(pid, signal.SIGKILL)
        wait_for(pid, 1)  # the kernel may hold it
    answer = os.read(reader, 4096)  # far less than a pipe takes; empty where the child died
    os.close(reader)
    if not ended:
        return {"count": 0, "problem": "CUDA gave no answer in %d s" % CUDA_TIMEOUT}
    if not answer:
        return {"count": 0, "problem": "CUDA ended its process (wait status %d)" % status}
    return json.loads(answer.decode())


def cuda_variables(env, in_container):
    """Return the variables of the process that asks CUDA."""
    if not in_container:
        visible = env.get("CUDA_VISIBLE_DEVICES")
        return dict(os.environ, CUDA_VISIBLE_DEVICES=visible) if visible else dict(os.environ)
    # All that is there is the job's, so that its own choice among them does not matter here.
    return {to_bytes(name): to_bytes(env[name]) for name in env if name != "CUDA_VISIBLE_DEVICES"}


def wait_for(pid, seconds):
    """Wait for a child; return whether it ended, and its status."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            return bool(ended), status
        time.sleep(0.01)


def report_gpus(folder, spec, tree):
    """Write gpus.json."""
    import glob
    import json

    paths = sorted({path for pattern in spec["gpu_files"] for path in glob.glob(pattern)})
    files = {path: open_problem(path) for path in paths if not os.path.isdir(path)}
    cuda = ask_cuda(tree, cuda_variables(spec["env"], os.getpid() == 1)) if spec["cuda"] else None
    write_file(os.path.join(folder, "gpus.json"), json.dumps({"files": files, "cuda": cuda}).encode())


def open_go(folder):
    """Open the FIFO, which tells the worker that we are there; for reading and writing, so that it never reports an end."""
    return os.open(os.path.join(folder, "go"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def wait_for_go(fd, signals, limit):
    """Return whether the worker said go."""
    word = b""
    deadline = time.monotonic() + limit
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(signals.reader, select.POLLIN)
    while b"\n" not in word and len(word) < 64:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        for ready, _ in poll.poll(left * 1000):
            if ready == fd:
                word += os.read(fd, 64)
            elif set(signals.read()) - {signal.SIGCHLD}:
                return False
    return word == b"go\n"


def to_bytes(text):
    """Encode as UTF-8 whatever the locale is: an image may have none."""
    return text.encode("utf-8", "surrogateescape")


def programs(name, path):
    """Return where the program *name* may lie, all as bytes; what is relative is so to where the job starts."""
    if b"/" in name:
        return [name]
    places = [os.path.join(folder, name) for folder in path.split(b":")]
    return [place for place in places if not os.path.isabs(place) or os.path.lexists(place)] or places[-1:]


def start_job(spec, env, tree, out):
    """Start the job in a session of its own; return (pid, None), or (pid, errno) of why it did not start."""
    parent = os.getpid()
    argv = [to_bytes(word) for word in spec["argv"]]
    variables = {to_bytes(name): to_bytes(env[name]) for name in env}
    place = to_bytes(os.path.join(spec["workspace"], spec["cwd"]))
    found = programs(argv[0], variables[b"PATH"])
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            tree.in_child(parent)
            os.setsid()
            for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two
                signal.signal(number, signal.SIG_DFL)
            for fd, flags in ((0, os.O_RDONLY), (1, None), (2, None)):
                os.dup2(out if flags is None else os.open(os.devnull, flags), fd)
            try:
                # of init and job, the kernel is to kill the job: init has to tell about it
                write_to("/proc/self/oom_score_adj", b"500")
            except OSError:
                pass
            os.chdir(place)
            problem = None
            for program in found:
                try:
                    os.execve(program, argv, variables)
                except OSError as error:
                    if problem is None or problem.errno in (errno.ENOENT, errno.ENOTDIR):
                        problem = error
            raise problem
        except BaseException as error:
            os.write(writer, b"%d" % (getattr(error, "errno", None) or 0))
        finally:
            os._exit(127)
    os.close(writer)
    problem = os.read(reader, 32)
    os.close(reader)
    return pid, int(problem) if problem else None


def explain_start(spec, number):
    """Return the exit code and the line for a job that could not be started."""
    import json

    name = json.dumps(spec["argv"][0])
    if number in (errno.ENOENT, errno.ENOTDIR):
        place = os.path.join(spec["workspace"], spec["cwd"])
        if not os.path.isdir(to_bytes(place)):
            return 127, "no such folder to start in: %s" % json.dumps(place)
        return 127, "command not found: %s (or the program named in its first line)" % name
    if number == errno.ENOEXEC:
        return 126, "not a program: %s (a script needs a first line like #!/bin/sh)" % name
    return 126, "cannot run %s: %s" % (name, os.strerror(number))


class Init:
    """One attempt, from the go to the record."""

    def __init__(self, folder, spec, signals):
        self.folder = folder
        self.spec = spec
        self.signals = signals
        self.tree = ContainerTree() if os.getpid() == 1 else HostTree()
        self.log = Log(folder, spec["log_limit"])
        self.status = None
        self.childless = False
        self.pid = 0

    def run(self):
        """Run the job to its end; return its exit record."""
        started = time.time()
        oom_before = self.tree.oom_kills()
        env = dict(self.spec["env"])
        env.setdefault("PATH", os.environ.get("PATH") or DEFAULT_PATH)
        reader, writer = os.pipe()
        self.pid, problem = start_job(self.spec, env, self.tree, writer)
        os.close(writer)
        left = self._pump(reader)
        oom_after = self.tree.oom_kills()
        record = {
            "version": VERSION,
            "attempt": self.spec["attempt"],
            "code": None,
            "signal": None,
            "error": left,
        }
        if problem is not None:
            record["code"], record["error"] = explain_start(self.spec, problem)
            self.log.write(("fetchml: %s\n" % record["error"]).encode())
        elif os.WIFSIGNALED(self.status):
            record["signal"] = os.WTERMSIG(self.status)
        else:
            record["code"] = os.WEXITSTATUS(self.status)
        record.update(
            started=started,
            ended=time.time(),
            oom=None if oom_before is None or oom_after is None else oom_after > oom_before,
            log_bytes=self.log.total,
            log_dropped=self.log.dropped,
            log_problem=self.log.problem,
            max_rss=max_rss(),
        )
        return record

    def _pump(self, reader):
        """Move output, signals and dead children until nothing of the job is left; return what is wrong."""
        open_ = True
        deadline = None
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        poll.register(self.signals.reader, select.POLLIN)
        while open_ or not self.childless:
            if deadline is not None and time.monotonic() > deadline:
                return "some processes of the job could not be killed"
            for ready, _ in poll.poll(None if deadline is None else 50):
                if ready == reader:
                    data = os.read(reader, CHUNK)
                    open_ = bool(data)
                    if not open_:
                        poll.unregister(reader)
                    self.log.write(data)
                else:
                    self._handle(self.signals.read())
            self._reap()
            if self.status is not None:
                deadline = deadline or time.monotonic() + LAST_OUTPUT
                if not self.childless:
                    self.tree.kill()
        return ""

    def _handle(self, numbers):
        for number in numbers:
            if number == signal.SIGQUIT:
                self.tree.kill()
            elif number in (signal.SIGTERM, signal.SIGINT) and self.status is None:
                try:
                    os.killpg(self.pid, number)
                except OSError:  # it has just ended
                    pass

    def _reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.childless = True
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status


def max_rss():
    """Return the largest memory of one process of the job, in bytes, None where it is not known."""
    try:
        import resource

        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    except ImportError:
        return None


def main(folder):
    signals = Signals()
    record_fd = reserve_record(folder)
    go = open_go(folder)
    spec = read_spec(folder)
    init = Init(folder, spec, signals)
    if spec["gpu_files"] or spec["cuda"]:
        report_gpus(folder, spec, init.tree)
    if not wait_for_go(go, signals, spec["go_timeout"]):
        return 0
    os.rename(os.path.join(folder, "go"), os.path.join(folder, "started"))
    os.close(go)  # the worker sees no reader from here on, and finds the file
    record = init.run()
    write_record(folder, record_fd, record)
    return record["code"] if record["signal"] is None else 128 + record["signal"]


if __name__ == "__main__":
    if sys.argv[1:] == ["--cuda"]:
        import json

        print(json.dumps(cuda_answer()))
        sys.exit(0)
    sys.exit(main(sys.argv[1]))
