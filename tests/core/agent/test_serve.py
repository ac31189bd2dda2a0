"""One conversation with the agent, over pipes in this process: what a client may expect, however it behaves."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fetchml_core.agent.main import Conversation, main, serve
from fetchml_core.convert import from_data, to_data
from fetchml_core.errors import from_fields
from fetchml_core.jobs.states import State
from fetchml_core.service import perform
from fetchml_core.wire.frame import MAGIC, Frame, encode
from fetchml_core.wire.jobs import ListRequest
from fetchml_core.wire.messages import PROTOCOL, Call, Done, Failure, Hello, Welcome
from fetchml_core.wire.output import LogsRequest
from fetchml_core.wire.session import CHUNK, ClientSession, Data, send, send_data
from fetchml_core.wire.snapshot import StageRequest
from fetchml_core.wire.verbs import VERBS
from tests.core.service.support import AUDIT, World
from tests.core.snapshot.trees import manifest_of

KEY = "anna-key"
AUTH = f"""
auth:
  enabled: true
  api_keys:
    anna:
      hash: "{hashlib.sha256(KEY.encode()).hexdigest()}"
      roles: [analyst]
"""


@pytest.fixture(autouse=True)
def logger():
    """Give the program's logger back as it was."""
    log = logging.getLogger("fetchml")
    before = (log.handlers[:], log.level, log.propagate)
    yield log
    for handler in log.handlers:
        handler.close()
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])


class Peer:
    """The client's end; the agent answers in a thread of its own."""

    def __init__(self, world):
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(20)
        self.session = ClientSession()
        self.raw = b""
        self._events = []
        self.thread = threading.Thread(target=self._serve, args=(world, theirs))
        self.failed: list[BaseException] = []
        self.thread.start()

    def _serve(self, world, theirs):
        reader, writer = theirs.makefile("rb"), theirs.makefile("wb")
        try:
            serve(reader, writer, base=world.host.base.folder, environ={"PATH": "/usr/bin:/bin"})
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.failed.append(error)
        with contextlib.suppress(OSError):
            theirs.shutdown(socket.SHUT_RDWR)  # as the end of the agent's process does
        for stream in (writer, reader, theirs):
            with contextlib.suppress(OSError):
                stream.close()

    def say(self, data):
        """Send bytes."""
        self.ours.sendall(data)

    def hello(self, key="", **fields):
        """Say hello and return the answer."""
        self.say(send(Hello("1", key, **fields)))
        return self.hear()

    def hear(self):
        """Return the next event, None at the end of the stream."""
        while not self._events:
            data = self.ours.recv(1 << 16)
            if not data:
                return None
            self.raw += data
            self._events += self.session.receive(data)
        return self._events.pop(0)

    def answer(self):
        """Return the events up to the end of one answer."""
        events = []
        while not events or not isinstance(events[-1], (Done, Failure, type(None))):
            events.append(self.hear())
        return events

    def call(self, verb, args):
        """Ask, and return the end of the answer."""
        self.say(self.session.call(verb, args)[1])
        return self.answer()[-1]

    def leave(self):
        """End our side, and see that the agent ends well."""
        self.ours.shutdown(socket.SHUT_WR)
        while self.ours.recv(1 << 16):
            pass
        self.end()

    def end(self):
        """Close, and wait for the agent."""
        self.ours.close()
        self.thread.join(20)
        assert not self.thread.is_alive()
        assert self.failed == []


@pytest.fixture
def connect():
    """Open conversations that end with the test."""
    peers = []

    def start(world):
        peers.append(Peer(world))
        return peers[-1]

    yield start
    for peer in peers:
        peer.end()


@pytest.fixture
def world(tmp_path):
    """A host whose worker lives."""
    made = World(tmp_path / "base")
    with made.worker_lives():
        yield made


def error_of(event):
    """The error in a failure."""
    assert isinstance(event, Failure), event
    return from_fields(event.error)


def test_hello_and_welcome(world, connect):
    """The host says who it takes the caller for; without authentication a superuser."""
    welcome = connect(world).hello()

    assert isinstance(welcome, Welcome)
    assert (welcome.user, welcome.admin, welcome.auth, welcome.notes) == ("local", True, False, ())


def test_a_key_that_was_not_needed_is_told(world, connect):
    """Nobody shall think that a key protects where nothing asks for one."""
    assert "your API key was not needed" in connect(world).hello("some-key").notes[0]


def test_several_requests_one_after_the_other(world, connect):
    """Answers come in order, also when the questions came at once."""
    peer = connect(world)
    peer.hello()
    peer.say(b"".join(peer.session.call("list", ListRequest())[1] for _ in range(3)))
    answers = [peer.answer()[-1] for _ in range(3)]

    assert [answer.request for answer in answers] == [1, 2, 3]
    assert all(from_data(answer.result, VERBS["list"].result).worker.alive for answer in answers)


@pytest.mark.parametrize(
    "first",
    [
        send(Call(1, "list")),
        send_data(1, b"x"),
        send(Welcome("a", "b", "1")),
        encode(Frame(1, b"{}")),
        b"\xff" * 9,
    ],
)
def test_hello_comes_first(world, connect, first):
    """Anything else is refused and the conversation is over; nothing was done."""
    before = world.everything()
    peer = connect(world)
    peer.say(first)

    assert error_of(peer.hear()).code == "protocol-error"
    assert peer.hear() is None
    assert world.everything() == before


@pytest.mark.parametrize(("oldest", "newest"), [(PROTOCOL + 1, PROTOCOL + 3), (0, 0), (-5, -1)])
def test_versions_without_overlap_are_refused(world, connect, oldest, newest):
    """With what both speak, and what to do."""
    peer = connect(world)
    error = error_of(peer.hello(protocol=newest, oldest=oldest))

    assert error.code == "version-mismatch"
    assert str(PROTOCOL) in error.message
    assert peer.hear() is None


def test_a_newer_client_that_still_speaks_ours_is_served(world, connect):
    """Versions decide, never equal builds."""
    assert connect(world).hello(protocol=PROTOCOL + 9, oldest=1).protocol == PROTOCOL


def test_fields_and_frames_of_a_newer_client_are_passed_over(world, connect):
    """What we do not know is not for us."""
    peer = connect(world)
    peer.say(encode(Frame(1, b'{"type":"Hello","version":"9","colour":"blue"}')) + encode(Frame(99, b"?")))

    assert isinstance(peer.hear(), Welcome)


@pytest.mark.parametrize(
    ("key", "code"), [("", "key-missing"), ("wrong", "key-unknown"), ("\ud800", "key-unknown")]
)
def test_keys_are_checked_before_anything(tmp_path, connect, key, code):
    """No key and a wrong key are refused; the conversation is over, the key is in no answer."""
    made = World(tmp_path / "base", server=AUTH)
    peer = connect(made)
    error = error_of(peer.hello(key))

    assert (error.code, error.status) == (code, 4)
    assert peer.hear() is None
    assert not key or key == "\ud800" or key.encode() not in peer.raw


def test_a_key_gives_its_users_rights_and_no_more(tmp_path, connect):
    """An analyst may look and not touch, and may go on asking after a refusal."""
    made = World(tmp_path / "base", server=AUTH + AUDIT)
    with made.worker_lives():
        peer = connect(made)
        assert peer.hello(KEY).user == "anna"
        assert isinstance(peer.call("list", ListRequest()), Done)
        assert error_of(peer.call("cancel", VERBS["cancel"].args(("1",)))).code == "permission-denied"
        assert isinstance(peer.call("list", ListRequest()), Done)
        assert KEY not in (made.host.base.folder / "audit.log").read_text()


def test_an_invalid_file_of_the_host_is_told_to_everyone(tmp_path, connect):
    """Nobody gets in by a mistake in the api file."""
    made = World(tmp_path / "base")
    (made.host.base.folder / "server.yml").write_text("auth: {enabled: true}\n")
    error = error_of(connect(made).hello())

    assert error.status == 3


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(min_size=1, max_size=200), greeted=st.booleans())
def test_noise_ends_the_conversation_and_nothing_else(world, noise, greeted):
    """Any bytes: an answer or the end, never a hang, a traceback or a change."""
    before = world.everything()
    peer = Peer(world)
    if greeted:
        peer.hello()
    peer.say(noise)
    peer.leave()

    assert b"Traceback" not in peer.raw
    assert world.everything() == before


def test_the_upload_of_a_refused_request_is_drained(tmp_path, connect):
    """More data than is read ahead comes with a request that is refused at once: the next one is served."""
    made = World(tmp_path / "base", server=AUTH)
    with made.worker_lives():
        peer = connect(made)
        peer.hello(KEY)
        number, call = peer.session.call("stage", StageRequest("a" * 64, 1 << 20))
        sender = threading.Thread(
            target=lambda: peer.say(call + b"".join(send_data(number, bytes(CHUNK)) for _ in range(100)))
        )
        sender.start()
        refused = peer.answer()[-1]
        sender.join(20)

        assert error_of(refused).code == "permission-denied"
        assert isinstance(peer.call("list", ListRequest()), Done)


def test_data_that_came_too_much_is_drained(world, connect):
    """A stage with more bytes than announced: the surplus is not taken for the next request's."""
    manifest = manifest_of({"a": b"1"})
    peer = connect(world)
    peer.hello()
    number, call = peer.session.call("stage", StageRequest(manifest.digest, len(manifest.data)))
    peer.say(call + send_data(number, manifest.data + b"more") + send_data(number, b"and more"))
    assert isinstance(peer.answer()[-1], Done)

    number, call = peer.session.call("stage", StageRequest(manifest.digest, len(manifest.data)))
    peer.say(call + send_data(number, manifest.data))
    assert isinstance(peer.answer()[-1], Done)


def test_data_of_another_request_is_out_of_turn(world, connect):
    """An upload takes its own data only."""
    peer = connect(world)
    peer.hello()
    number, call = peer.session.call("stage", StageRequest("a" * 64, 5))
    peer.say(call + send_data(number + 1, b"12345"))

    assert error_of(peer.answer()[-1]).code == "protocol-error"


def test_a_client_that_leaves_in_an_upload_leaves_nothing_half(world):
    """No manifest, no job."""
    peer = Peer(world)
    peer.hello()
    number, call = peer.session.call("stage", StageRequest("a" * 64, 100))
    peer.say(call + send_data(number, b"half"))
    peer.leave()

    assert world.host.queue.jobs() == []
    assert not [
        path for path in world.host.data.blobs.rglob("*") if path.is_file() and "lock" not in path.name
    ]


@pytest.mark.parametrize("how", ["leave", "end"])
def test_a_client_that_leaves_while_following_changes_nothing(world, how):
    """The agent ends by itself, the job runs on."""
    job = world.running()
    world.print_log(job, b"line\n")
    before = world.everything()
    peer = Peer(world)
    peer.hello()
    peer.say(peer.session.call("logs", LogsRequest("1", follow=True))[1])
    while not isinstance(peer.hear(), Data):
        pass
    getattr(peer, how)()

    assert world.host.queue.get(1).state is State.RUNNING
    assert world.everything() == before


def test_a_bug_in_a_use_case_is_told_without_a_traceback(world, connect, mocker, capsys):
    """The client learns that it is our mistake and where to look; the traceback stays in the agent's log."""

    def explode(*_):
        secret = "hunter2"
        raise ZeroDivisionError(secret)

    mocker.patch.dict(perform.USE_CASES, {"list": evolve(perform.USE_CASES["list"], run=explode)})
    peer = connect(world)
    peer.hello()
    failure = peer.call("list", ListRequest())
    error = error_of(failure)

    assert (error.code, error.status, failure.request) == ("agent-bug", 70, 0)
    assert "agent's log" in error.hint
    for word in (b"Traceback", b"ZeroDivision", b"hunter2", b".py"):
        assert word not in peer.raw
    assert peer.hear() is None
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_a_bug_before_the_first_answer_is_told_too(world, connect, mocker):
    """Nothing is worse than an agent that ends without a word."""
    mocker.patch("fetchml_core.agent.main.open_host", side_effect=ZeroDivisionError("hunter2"))
    peer = connect(world)
    peer.say(send(Hello("0", "")))
    error = error_of(peer.hear())

    assert (error.code, error.status) == ("agent-bug", 70)
    assert b"hunter2" not in peer.raw
    assert peer.hear() is None


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("nobody", {}),
        ("list", {"limit": "x"}),
        ("list", {"select": "42"}),
        ("fetch", {"job": 1, "attempt": 1, "path": "\ud800", "offset": 2**80}),
        ("logs", {"select": "1", "offset": 2**80, "attempt": 1}),
        ("show", {"select": "\x1b[2J\ud800"}),
        ("submit", {"key": "k", "spec": {}}),
        ("stage", {"manifest": "", "size": -1}),
    ],
)
def test_hostile_requests_are_answered_and_the_next_one_served(world, connect, verb, args):
    """None of them is a bug of ours."""
    world.ended()
    peer = connect(world)
    peer.hello()
    peer.say(send(Call(1, verb, args)))
    end = peer.answer()[-1]
    if isinstance(end, Failure):
        assert error_of(end).code != "agent-bug"
    peer.say(send(Call(2, "list", {})))

    assert isinstance(peer.answer()[-1], Done)


@pytest.mark.parametrize("number", [-1, 2**40])
def test_a_request_number_that_does_not_fit_is_answered(world, connect, number):
    """The peer chose it; data frames cannot carry it."""
    world.print_log(world.ended(), b"x")
    peer = connect(world)
    peer.hello()
    peer.say(send(Call(number, "logs", to_data(LogsRequest("1")))))

    assert error_of(peer.answer()[-1]).code == "protocol-error"


def test_the_program_says_the_magic_word_first(tmp_path):
    """What a login script printed before it is noise."""
    base = tmp_path / "base"
    argv = [
        sys.executable,
        "-c",
        "import sys; from fetchml_core.agent.main import main; sys.exit(main(sys.argv[1:]))",
    ]
    done = subprocess.run(
        [*argv, "--base", str(base)], input=send(Hello("1")), capture_output=True, check=False, timeout=60
    )
    events = list(ClientSession().receive(done.stdout.removeprefix(MAGIC)))

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(MAGIC)
    assert isinstance(events[0], Welcome)
    assert base.stat().st_mode & 0o777 == 0o700
    with pytest.raises(SystemExit):
        main(["--nonsense"])


def test_a_refused_client_that_stays_does_not_crash_the_agent(tmp_path):
    """The agent ends well after a refusal, although it still waits for more."""
    argv = [
        sys.executable,
        "-c",
        "import sys; from fetchml_core.agent.main import main; sys.exit(main(sys.argv[1:]))",
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen([*argv, "--base", str(tmp_path)], stdin=pipe, stdout=pipe, stderr=pipe) as agent:
        agent.stdin.write(send(Hello("1", protocol=99, oldest=99)))
        agent.stdin.flush()
        said, errors = agent.stdout.read(), agent.stderr.read()
        status = agent.wait(20)

    assert (status, errors) == (0, b"")
    assert b"version-mismatch" in said


def test_who_one_is_cannot_be_changed(world, connect):
    """Hello is said once."""
    peer = connect(world)
    peer.hello()
    peer.say(send(Hello("1", "other")))

    assert error_of(peer.hear()).code == "protocol-error"
    assert peer.hear() is None


def test_waiting_ends_with_the_client_or_with_what_else_is_waited_for(tmp_path):
    """One wait covers both; time alone says neither."""
    reader, writer = socket.socketpair()
    news, told = os.pipe()
    talk = Conversation(reader.makefile("rb"), reader.makefile("wb"))
    with contextlib.closing(talk), reader, writer:
        talk.listen()
        assert not talk.gone(0.01)
        assert not talk.gone(0.01, also=news)
        os.write(told, b"!")
        before = time.monotonic()
        assert not talk.gone(60, also=news)
        writer.close()
        assert talk.gone(60)
        assert talk.gone(0, also=news)
        assert time.monotonic() - before < 30
    os.close(news)
    os.close(told)


def test_a_conversation_leaves_no_descriptor_open(world, connect):
    """An agent of a gateway holds many, one after the other."""

    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    connect(world).end()
    before = descriptors()
    for _ in range(5):
        peer = connect(world)
        peer.hello()
        peer.leave()

    assert descriptors() <= before
