"""The typed client against a real agent over the local transport, and against hosts that misbehave."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest

from fetchml_cli.remote.client import Client, connect
from fetchml_core.config.profile import Profile
from fetchml_core.errors import DeniedError, FetchError, NotFoundError, UnreachableError
from fetchml_core.wire.frame import Frame, encode
from fetchml_core.wire.jobs import ListRequest, ShowRequest
from fetchml_core.wire.messages import Welcome
from fetchml_core.wire.output import LogsRequest
from fetchml_core.wire.session import ClientSession, ServerSession, send, send_data
from tests.cli.support import fake_cli, plain_environ
from tests.core.service.support import World

WELCOME = send(Welcome("anna", "box1", "1"))


class Line:
    """A `ByteStream` to a host that the test plays."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.facts = {"transport": "test"}
        self.closed = 0

    def read(self, size):
        """See `ByteStream.read`."""
        try:
            return self.ours.recv(size)
        except OSError:
            return b""

    def write(self, data):
        """See `ByteStream.write`."""
        try:
            self.ours.sendall(data)
        except OSError:
            raise UnreachableError("connection-lost", "gone") from None

    def close(self):
        """See `ByteStream.close`."""
        self.closed += 1
        try:
            self.ours.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def last_words(self):
        """See `ByteStream.last_words`."""
        return "last words"


@pytest.fixture
def line():
    """A connection whose host end is the test."""
    made = Line()
    yield made
    made.ours.close()
    made.theirs.close()


@pytest.fixture
def client(line):
    """A greeted client with a short patience."""
    line.theirs.sendall(WELCOME)
    return Client(line, ClientSession(), 0.3)


def test_the_answer_is_a_record(client, line):
    """Items, data and the end arrive as the table of verbs says."""
    server = ServerSession()
    answer = (
        send_data(1, b"ab")
        + send_data(1, b"c")
        + server.failure(1, NotFoundError("job-unknown", "no", hint="h"))
    )
    line.theirs.sendall(answer)
    got = []
    with pytest.raises(NotFoundError, match="job-unknown"):
        client.call("logs", LogsRequest("1"), on_data=got.append)

    assert got == [b"ab", b"c"]


def test_answers_to_other_requests_are_passed_over(client, line):
    """What is left of an earlier request does not count for this one."""
    server = ServerSession()
    line.theirs.sendall(
        server.failure(99, NotFoundError("stale-one", "x"))
        + server.failure(1, NotFoundError("right-one", "x"))
    )
    with pytest.raises(NotFoundError, match="right-one"):
        client.call("show", ShowRequest("1"))


def test_a_failure_of_the_whole_conversation_counts_for_every_request(client, line):
    """Number 0 is for all; our own mistake over there carries the agent's last words."""
    from fetchml_core.errors import BugError

    line.theirs.sendall(ServerSession().failure(0, BugError("agent-bug", "x")))
    with pytest.raises(BugError) as caught:
        client.call("show", ShowRequest("1"))

    assert caught.value.context == "last words"


def test_a_host_that_does_not_answer_is_given_up(client):
    """After the profile's seconds, with what to type."""
    with pytest.raises(UnreachableError, match="no-answer") as caught:
        client.call("list", ListRequest())

    assert "default_timeout" in caught.value.hint


def test_a_lost_link_is_told(client, line):
    """At any time before the end of the answer."""
    threading.Timer(0.05, line.theirs.shutdown, [socket.SHUT_RDWR]).start()
    with pytest.raises(UnreachableError, match="connection-lost"):
        client.call("logs", LogsRequest("1"), on_item=lambda _: None)


@pytest.mark.parametrize("junk", [b"\xff" * 20, send(Welcome("a", "b", "1")), encode(Frame(1, b"{}"))])
def test_junk_from_the_host_is_a_protocol_error(client, line, junk):
    """The host is not trusted either."""
    line.theirs.sendall(junk)
    line.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(UnreachableError):
        client.call("list", ListRequest())


def test_a_refused_hello_closes_the_stream(line):
    """The reason is the host's."""
    line.theirs.sendall(ServerSession().failure(0, DeniedError("key-unknown", "x")))
    with pytest.raises(DeniedError, match="key-unknown"):
        Client(line, ClientSession(), 1.0)

    assert line.closed


# --- over the local transport ---


@pytest.fixture
def world(tmp_path):
    """The embedded default's base in a home folder of the test, its worker alive."""
    (tmp_path / ".ml").mkdir(mode=0o700)
    made = World(tmp_path / ".ml" / "local")
    with made.worker_lives():
        yield made


def cli_of(home):
    """Surroundings whose local agents run in this home."""
    return fake_cli(home, **plain_environ(home))


def test_a_real_agent_answers(world, tmp_path):
    """Start, hello, requests, end; the connection's facts hold no secret."""
    job = world.ended()
    with connect(cli_of(tmp_path), Profile()) as client:
        assert client.welcome.user == "local"
        assert [listed.id for listed in client.call("list", ListRequest()).jobs] == [job.id]
        with pytest.raises(NotFoundError):
            client.call("show", ShowRequest("99"))
        assert client.call("show", ShowRequest("last")).job == job
        assert client.facts["transport"] == "local"


def test_a_wrong_key_is_refused_and_the_agent_ends_well(tmp_path):
    """Its last words are no crash."""
    from attrs import evolve

    (tmp_path / ".ml").mkdir(mode=0o700)
    digest = hashlib.sha256(b"right").hexdigest()
    World(
        tmp_path / ".ml" / "local",
        server=f"auth:\n  enabled: true\n  api_keys:\n    anna:\n      hash: {digest}\n",
    )
    cli = cli_of(tmp_path)
    profile = Profile()
    profile = evolve(profile, auth=evolve(profile.auth, api_key="wrong"))
    with pytest.raises(FetchError) as caught:
        connect(cli, profile)

    assert (caught.value.code, caught.value.status) == ("key-unknown", 4)
    assert "wrong" in cli.secrets
    assert "Fatal" not in str(caught.value)
