"""``ml why`` in this process, over the local transport to a real agent."""

from __future__ import annotations

import json
import re

from fetchml_core.jobs.job import Outcome, Resources
from fetchml_core.jobs.states import State
from fetchml_core.wire.jobs import CancelRequest, HoldRequest
from fetchml_core.wire.why import WhyReply
from fetchml_core.wire.worker import WorkerInfo


def rows(ran):
    """What was printed: name -> text; of a name that comes twice the last."""
    assert ran.status == 0, ran.err
    return dict(line.split("  ", 1) for line in ran.out.splitlines())


def test_a_job_that_waits(world, run_verb):
    """Its state and place, what it asked for, each blocker on a line."""
    for user in ("bob", "eve"):
        world.running(user=user)
    world.submit()
    world.submit(resources=Resources(cpus=0.25, memory=32 << 20))
    said = {name: text.strip() for name, text in rows(run_verb("why", "4")).items()}

    assert said["job"] == "4 train"
    assert said["state"].startswith("queued for ")
    assert said["state"].endswith(", 1 before it")
    assert said["asked for"] == "0.25 CPUs, 32.0 MiB of memory"
    assert said["waits"] == "2 of 2 slots taken: job 1 (bob), 2 (eve)"


def test_for_scripts(world, run_verb):
    """Every key is there, whatever the job's state."""
    world.running(user="bob")
    world.running(user="eve")
    world.submit()
    waits, runs = (json.loads(run_verb("why", number, "--json").out) for number in ("3", "1"))

    assert waits.keys() == runs.keys()
    assert (waits["id"], waits["state"], waits["ahead"], waits["starts_next"]) == (3, "queued", 0, False)
    assert waits["blockers"] == [
        {
            "kind": "slots",
            "text": "2 of 2 slots taken: job 1 (bob), 2 (eve)",
            "needed": 1,
            "free": 0,
            "total": 2,
            "holders": [
                {"job": 1, "user": "bob", "amount": 1, "gpus": []},
                {"job": 2, "user": "eve", "amount": 1, "gpus": []},
            ],
        }
    ]
    assert runs["holds"] == {"cpus": 0.5, "memory": 256 << 20, "gpus": []}
    assert (runs["blockers"], runs["ended"]) == ([], None)


def test_other_states(world, run_verb):
    """What runs says what it holds, what has ended how, what is held how to let it go, the first that it is."""
    world.ended(Outcome(State.FAILED, "exit 3", failure="code", code=3))
    world.running()
    world.submit()
    world.submit()
    world.ask("hold", HoldRequest(("3",)))

    assert rows(run_verb("why", "1"))["state"].strip() == "failed (exit 3)"
    runs = rows(run_verb("why", "2"))
    assert runs["state"].strip().startswith("running for ")
    assert runs["holds"].strip() == "0.5 CPUs, 256.0 MiB of memory"
    held = rows(run_verb("why", "3"))
    assert (held["waits"].strip(), held["hint"].strip()) == ("held", "ml release 3")
    assert rows(run_verb("why", "4"))["state"].strip().endswith(", first in line; starts next")
    world.ask("cancel", CancelRequest(("2",), reason="typo"))
    stops = rows(run_verb("why", "2"))["state"].strip()
    assert re.fullmatch(r"stopping for \S+ \(by local: typo\)", stops)
    assert rows(run_verb("show", "2"))["state"].strip() == "stopping (by local: typo)"


def test_a_job_that_failed_names_the_next_step(world, run_verb):
    """As ml show does."""
    world.ended(Outcome(State.FAILED, "out of memory", failure="resource", oom=True, hint="more --memory"))

    assert rows(run_verb("why", "1"))["hint"].strip() == "more --memory"


def test_what_is_kept_for_it_is_said(world):
    """So that whoever waits long knows that it ends."""
    from fetchml_cli.commands.why import _rows

    reply = WhyReply(world.submit(), world.host.clock.now(), WorkerInfo(alive=True), ahead=0, keeps=True)

    assert "kept" in dict(_rows(reply))
