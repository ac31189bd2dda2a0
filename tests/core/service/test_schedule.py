"""The schedule: nothing is given twice, the line and the turns hold, nobody starves, and a pass costs little."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from fetchml_core.queue.base import claim_order
from fetchml_core.service.room import holdings, milli
from fetchml_core.service.schedule import LOOKED_AT, OF_A_USER, PATIENCE_S, first_start, verdicts
from fetchml_core.service.turns import TURN_S, in_turn
from tests.core.service.hosts import GIB, NOW, failed_on, gpu, host, job, running, starting
from tests.support.effort import calls_of

HOUR = 3600.0


def decided(queued, capacity, active=()):
    """The verdicts, by id, in the order in which they were made."""
    line = sorted(queued, key=claim_order)
    return {one.job.id: one for one in verdicts(line, holdings(active, capacity), capacity, NOW)}


def started(queued, capacity, active=()):
    """Ids of the jobs that start, in that order."""
    return [number for number, one in decided(queued, capacity, active).items() if one.starts]


def lacking(verdict):
    """What there is too little of: kind -> (needed, free, total)."""
    return {lack.kind: (lack.needed, lack.free, lack.total) for lack in verdict.lacks}


# --- what fits ---


def test_what_a_job_asks_for_is_counted():
    """CPUs, memory and slots; a job that asks for nothing gets the host's default."""
    assert started([job(1, cpus=5), job(2, cpus=3), job(3)], host(8)) == [1, 2]
    assert started([job(1, memory=20 * GIB), job(2, memory=13 * GIB), job(3)], host(8, 32)) == [1, 3]
    assert started([job(n) for n in range(1, 12)], host(8)) == list(range(1, 9))
    assert started([job(n) for n in range(1, 12)], host(8, slots=2)) == [1, 2]


def test_parts_of_a_core_add_up():
    """Ten tenths are one core, and not a hair more."""
    assert started([job(n, cpus=0.1) for n in range(1, 13)], host(1)) == list(range(1, 11))
    assert started([job(1, cpus=0.00001)], host(1)) == [1]
    assert started([job(n, cpus=0.3334) for n in range(1, 4)], host(1)) == [1, 2]
    assert started([job(1, cpus=0.1 + 0.2), job(2, cpus=0.7)], host(1)) == [1, 2]


def test_what_is_missing_is_told_with_numbers():
    """All of it, not only the first."""
    verdict = decided(
        [job(2, cpus=4, memory=30 * GIB, gpus=1)],
        host(8, 32, gpu(0)),
        [running(1, "bob", "g0", cpus=6.5, memory=4 * GIB, gpus=1)],
    )[2]

    assert lacking(verdict) == {
        "cpus": (4000, 1500, 8000),
        "memory": (30 * GIB, 28 * GIB, 32 * GIB),
        "gpus": (1, 0, 1),
    }


def test_a_system_that_does_not_tell_its_memory():
    """Nothing is refused for want of what nobody knows."""
    assert started([job(1, memory=10 * GIB), job(2)], host(8, 0)) == [1, 2]


def test_a_launched_job_holds_what_it_was_given():
    """Its record counts, not what the settings would give it today."""
    (holding,) = holdings([running(1, cpus=3.0, memory=7 * GIB)], host())

    assert (holding.demand.cpus, holding.demand.memory) == (3000, 7 * GIB)


# --- GPUs ---


def test_gpus_are_different_cards():
    """Two slots of one card are not two GPUs."""
    assert started([job(1, gpus=2)], host(8, 32, gpu(0, slots=4))) == []
    verdict = decided([job(1, gpus=2)], host(8, 32, gpu(0, slots=4), gpu(1)))[1]
    assert set(verdict.gpus) == {"g0", "g1"}


def test_a_card_is_shared_by_as_many_as_it_has_slots():
    """The least shared goes first."""
    capacity = host(8, 32, gpu(0, slots=2), gpu(1, slots=2))
    found = decided([job(n, gpus=1) for n in range(1, 6)], capacity)

    assert Counter(one.gpus for one in found.values()) == {("g0",): 2, ("g1",): 2, (): 1}
    assert [one.gpus[0] for one in list(found.values())[:2]] == ["g0", "g1"]


def test_every_gpu_has_the_memory_that_was_asked_for():
    """The smallest that will do is given, one that does not tell its memory to nobody who asks."""
    capacity = host(8, 32, gpu(0, 80), gpu(1, 24), gpu(2, None))

    assert decided([job(1, gpus=1, gpu_memory=16 * GIB)], capacity)[1].gpus == ("g1",)
    assert decided([job(1, gpus=1, gpu_memory=40 * GIB)], capacity)[1].gpus == ("g0",)
    assert decided([job(1, gpus=3, gpu_memory=GIB)], capacity)[1].never
    assert set(decided([job(1, gpus=3)], capacity)[1].gpus) == {"g0", "g1", "g2"}


def test_those_who_share_a_card_fit_into_its_memory():
    """As far as they say what they need."""
    capacity = host(8, 32, gpu(0, 24, slots=3))

    assert started([job(1, gpus=1, gpu_memory=16 * GIB), job(2, gpus=1, gpu_memory=16 * GIB)], capacity) == [
        1
    ]
    assert started([job(1, gpus=1, gpu_memory=16 * GIB), job(2, gpus=1, gpu_memory=8 * GIB)], capacity) == [
        1,
        2,
    ]


def test_a_card_with_a_problem_is_given_to_nobody():
    """It may be well again: the job waits, and is not told that it never can."""
    verdict = decided([job(1, gpus=1)], host(8, 32, gpu(0, problem="process 7 holds memory")))[1]

    assert not verdict.starts
    assert not verdict.never


def test_a_card_that_failed_is_avoided():
    """Also where the job has to wait for another; where too few others would do, it is taken again, last of all."""
    three = host(8, 32, gpu(0, 8), gpu(1, 24), gpu(2, 24))

    assert decided([failed_on(job(1, gpus=1), "g0")], three)[1].gpus == ("g1",)
    assert set(decided([failed_on(job(1, gpus=2), "g0")], three)[1].gpus) == {"g1", "g2"}
    assert decided([failed_on(job(1, gpus=2), "g0", "g1")], three)[1].gpus == ("g2", "g0")
    assert decided([failed_on(job(1, gpus=1, gpu_memory=9 * GIB), "g1", "g2")], three)[1].gpus == ("g1",)

    two, other = host(8, 32, gpu(0), gpu(1)), running(9, "bob", "g1", gpus=1)
    assert started([failed_on(job(1, gpus=1), "g0"), job(2, gpus=1)], two, [other]) == [2]
    gone = host(8, 32, gpu(0), gpu(1, problem="lost"))
    assert decided([failed_on(job(1, gpus=1), "g0")], gone)[1].gpus == ("g0",)


def test_of_a_divided_card_the_instances_are_given():
    """Never the card beside its own parts."""
    capacity = host(8, 32, gpu(0), gpu(1, 10, instance_of="g0"), gpu(2, 10, instance_of="g0"))

    assert started([job(n, gpus=1) for n in range(1, 4)], capacity) == [1, 2]


def test_who_is_not_launched_yet_has_its_gpus_already():
    """Those the worker gave it, or, where they are not known, those that the rule gives it: never those of others."""
    capacity = host(8, 32, gpu(0), gpu(1), gpu(2))
    active = [running(1, "anna", "g0", gpus=1), starting(2, gpus=1), starting(3, gpus=1)]

    assert [one.gpus for one in holdings(active, capacity)] == [("g0",), ("g1",), ("g2",)]
    assert [one.gpus for one in holdings(active, capacity, {3: ("g1",)})] == [("g0",), ("g2",), ("g1",)]
    assert [one.gpus for one in holdings(active[1:], host(8, 32))] == [(), ()]


# --- the line and the turns ---


def order(queued, **held):
    """Ids in turn."""
    return [one.id for one in in_turn(sorted(queued, key=claim_order), held)]


def test_priority_then_age():
    """An hour of waiting is worth one priority."""
    assert order([job(1), job(2, age=60), job(3, priority=6), job(4, age=2 * HOUR)]) == [4, 3, 2, 1]


def test_users_take_turns_within_a_priority():
    """Whoever holds less goes first; many jobs of one user do not make the other wait."""
    queued = [job(n, "anna", age=100 - n) for n in range(1, 5)] + [
        job(n, "bob", age=10 - n) for n in range(5, 8)
    ]

    assert order(queued) == [1, 5, 2, 6, 3, 7, 4]
    assert order(queued, anna=1) == [5, 1, 6, 2, 7, 3, 4]
    assert order([*queued, job(9, "anna", priority=6)], anna=3)[0] == 9


def test_turns_of_one_priority_leave_the_others_alone():
    """Places in line belong to a priority; who stands there is settled within it."""
    queued = [job(1, "anna", priority=9), job(2, "anna", priority=9), job(3, "bob"), job(4, "bob")]

    assert order(queued, anna=7) == [1, 2, 3, 4]


def test_a_turn_is_worth_a_day():
    """Whoever holds a job for good gets his next one started all the same."""
    late = [job(1, "anna", age=TURN_S + 1), job(2, "bob")]
    soon = [job(1, "anna", age=TURN_S - 1), job(2, "bob")]

    assert order(late, anna=1) == [1, 2]
    assert order(soon, anna=1) == [2, 1]


# --- those who do not fit ---


def test_smaller_ones_pass_until_it_has_waited_long():
    """From then on what is free is kept for it, however long that takes."""
    active = [running(1, "bob", cpus=5)]
    small = job(3, "bob", cpus=2)

    early = decided([job(2, age=PATIENCE_S - 1, cpus=8), small], host(8), active)
    late = decided([job(2, age=PATIENCE_S, cpus=8), small], host(8), active)

    assert early[3].starts
    assert (late[2].keeps, late[3].starts, late[3].kept_for.id, late[3].lacks) == (True, False, 2, ())


def test_a_clock_that_was_set_back_does_not_end_the_waiting():
    """The line goes on by the time between its jobs (`next_in_line`): so does the waiting."""
    queued = [job(2, age=-10 * HOUR, cpus=8), job(3, "bob", age=-10 * HOUR - PATIENCE_S, cpus=2)]

    assert decided(queued, host(8), [running(1, "bob", cpus=5)])[2].keeps


def test_what_it_does_not_need_goes_on():
    """A job that waits for a GPU keeps CPUs and memory for itself, and nobody from the rest."""
    capacity = host(8, 32, gpu(0), gpu(1))
    active = [running(1, "bob", "g0", gpus=1, cpus=1)]
    big = job(2, age=HOUR, gpus=2, cpus=4)
    found = decided([big, job(3, "eve", cpus=3), job(4, "eve"), job(5, "eve", gpus=1)], capacity, active)

    assert [number for number, one in found.items() if one.starts] == [3]
    assert {number: one.kept_for.id for number, one in found.items() if one.kept_for} == {4: 2, 5: 2}


def test_what_is_free_of_its_cards_is_kept_first():
    """Of three cards it needs two: the free one is kept for it, and one of those that are in use."""
    capacity = host(8, 32, gpu(0), gpu(1), gpu(2))
    active = [running(1, "bob", "g0", gpus=1), running(2, "bob", "g1", gpus=1)]
    found = decided([job(3, age=HOUR, gpus=2), job(4, "eve", gpus=1)], capacity, active)

    assert found[4].kept_for.id == 3


def test_a_shared_card_that_it_waits_for_takes_no_more_jobs():
    """Else its memory would never be free."""
    capacity = host(8, 32, gpu(0, 24, slots=4))
    active = [running(1, "bob", "g0", gpus=1, gpu_memory=12 * GIB)]
    found = decided([job(2, age=HOUR, gpus=1, gpu_memory=16 * GIB), job(3, "eve", gpus=1)], capacity, active)

    assert not found[3].starts


def test_one_at_a_time():
    """What a second one would keep lies idle for a first that has more than enough of it."""
    capacity = host(8, 32, gpu(0))
    active = [running(1, "bob", "g0", gpus=1)]
    found = decided(
        [job(2, age=2 * HOUR, gpus=1, cpus=4), job(3, "eve", age=HOUR, gpus=1, cpus=3), job(4, "joe")],
        capacity,
        active,
    )

    assert [one.keeps for one in found.values()] == [True, False, False]
    assert found[4].starts


def test_what_can_never_run_blocks_nobody():
    """A job for a host that has shrunk, or whose GPU is out of use, keeps nothing for itself; it says what it lacks."""
    found = decided([job(1, age=HOUR, cpus=9), job(2, cpus=8)], host(8))
    assert (found[1].never, lacking(found[1])) == (True, {"cpus": (9000, 8000, 8000)})
    assert found[2].starts

    capacity = host(8, 32, gpu(0, problem="lost"))
    assert started([job(1, age=HOUR, gpus=1, cpus=8), job(2, cpus=8)], capacity) == [2]


# --- properties ---

cards = st.lists(
    st.tuples(st.sampled_from([None, 8, 24, 80]), st.integers(1, 3), st.sampled_from(["", "", "", "lost"])),
    max_size=4,
).map(lambda rows: [gpu(n, gib, slots=slots, problem=bad) for n, (gib, slots, bad) in enumerate(rows)])
hosts = st.builds(
    lambda cpus, gib, gpus, slots: host(cpus, gib, *gpus, slots=slots),
    st.sampled_from([0.5, 2, 7.5, 64]),
    st.sampled_from([1, 16, 64]),
    cards,
    st.integers(1, 9),
)
wishes = st.fixed_dictionaries(
    {},
    optional={
        "cpus": st.sampled_from([0.1, 0.333, 1, 2.5, 8, 100]),
        "memory": st.sampled_from([1, GIB, 10 * GIB, 64 * GIB]),
        "gpus": st.integers(0, 5),
        "gpu_memory": st.sampled_from([GIB, 12 * GIB, 40 * GIB]),
    },
)
queues = st.lists(
    st.tuples(
        st.sampled_from(["anna", "bob", "eve"]),
        st.integers(1, 10),
        st.sampled_from([0, 60, HOUR, 90 * HOUR]),
        wishes,
        st.sampled_from([(), (), ("g0",), ("g0", "g2")]),
    ),
    max_size=14,
).map(
    lambda rows: [
        failed_on(made, *failed) if failed else made
        for made, failed in (
            (job(n, user, priority=p, age=age, **wish), failed)
            for n, (user, p, age, wish, failed) in enumerate(rows, 1)
        )
    ]
)


def overcommitted(held, capacity):
    """What more was given of than there is."""
    inventory, wrong = capacity.inventory, []
    if len(held) > capacity.slots:
        wrong.append("slots")
    if sum(one.demand.cpus for one in held) > milli(inventory.cpus):
        wrong.append("cpus")
    if sum(one.demand.memory for one in held) > inventory.memory:
        wrong.append("memory")
    for card in inventory.gpus:
        users = [one for one in held if card.uuid in one.gpus]
        asked = sum(one.demand.gpu_memory for one in users)
        if len(users) > card.slots or asked > (card.memory or 0) or (users and card.problem):
            wrong.append(card.uuid)
    return wrong + [one.job.id for one in held if len(set(one.gpus)) != one.demand.gpus]


@given(queues, hosts)
def test_nothing_is_given_twice(queued, capacity):
    """No overcommitment of anything: in one pass, and claim by claim as a worker does it; both start the same jobs."""
    line = sorted(queued, key=claim_order)
    once = [one for one in verdicts(line, (), capacity, NOW) if one.starts]
    assert overcommitted(once, capacity) == []

    active, given_gpus = [], {}
    while True:
        held = holdings(active, capacity, given_gpus)
        assert overcommitted(held, capacity) == []
        chosen = first_start([one for one in line if one not in active], held, capacity, NOW)
        if chosen is None:
            break
        active.append(chosen.job)
        given_gpus[chosen.job.id] = chosen.gpus


@given(queues, hosts, st.randoms())
def test_deterministic(queued, capacity, random):
    """The same jobs give the same verdicts, whatever order somebody collected the running ones in."""
    active = [starting(100 + n, user, gpus=1) for n, user in enumerate(["anna", "bob", "eve", "anna"])]
    mixed = random.sample(active, len(active))

    assert decided(queued, capacity, active) == decided(queued, capacity, mixed)
    assert list(decided(queued, capacity, active)) == list(decided(queued, capacity, mixed))


@given(queues, hosts)
def test_every_job_is_decided_once(queued, capacity):
    """It starts, lacks something, or stands back for another; an idle host starts the first that it can run."""
    found = list(verdicts(sorted(queued, key=claim_order), (), capacity, NOW))

    assert sorted(one.job.id for one in found) == [one.id for one in queued]
    assert all(one.starts or one.lacks or one.kept_for for one in found)
    possible = [one for one in found if not one.never]
    assert not possible or possible[0].starts or any(card.problem for card in capacity.inventory.gpus)


@given(
    cards, st.lists(st.tuples(st.integers(1, 3), st.sampled_from([(), ("g0",), ("g0", "g2")])), max_size=5)
)
def test_a_card_that_failed_is_taken_only_for_want_of_others(gpus, wanted):
    """Of those that would do if nobody held them there are fewer than the job needs."""
    capacity = host(64, 64, *gpus)
    queued = [failed_on(job(n, gpus=number), *failed) for n, (number, failed) in enumerate(wanted, 1)]
    for one in verdicts(queued, (), capacity, NOW):
        others = [
            card
            for card in capacity.gpus
            if card.uuid not in one.demand.failed
            and not card.problem
            and (card.memory or 0) >= one.demand.gpu_memory
        ]
        again = one.demand.failed.intersection(one.gpus)
        assert not again or len(others) < one.demand.gpus


# --- nobody starves ---

STEP_S = 20 * 60.0
crowds = st.lists(
    st.tuples(
        st.sampled_from(["anna", "bob", "eve"]),
        st.sampled_from([STEP_S, 4 * STEP_S, 10 * HOUR]),
        st.sampled_from(
            [
                {},
                {"cpus": 0.5},
                {"cpus": 2},
                {"gpus": 1},
                {"gpus": 1, "gpu_memory": 8 * GIB},
                {"memory": 6 * GIB},
            ]
        ),
        st.sampled_from([4, 5, 5, 7]),
    ),
    min_size=1,
    max_size=4,
)
bigs = st.sampled_from(
    [
        {"cpus": 4},
        {"memory": 16 * GIB},
        {"gpus": 2},
        {"gpus": 1, "gpu_memory": 24 * GIB},
        {"gpus": 2, "cpus": 3},
    ]
)


class Simulation:
    """A host where people keep two small jobs queued each, without end; time passes in steps."""

    def __init__(self, capacity, crowd):
        self.capacity, self.crowd = capacity, crowd
        self.queued, self.active, self.gpus, self.ends, self.lengths = {}, {}, {}, {}, {}
        self.now = NOW
        self.numbers = itertools.count(1000)

    def step(self):
        """End what is over, submit, claim as a worker does; return who started."""
        self.now += STEP_S
        for number in [number for number, end in self.ends.items() if end <= self.now]:
            del self.active[number], self.ends[number]
        for kind in self.crowd:
            user, length, wish, priority = kind
            while sum(self.lengths.get(number) == (kind, length) for number in self.queued) < 2:
                number = next(self.numbers)
                self.queued[number] = evolve(job(number, user, priority=priority, **wish), line=self.now)
                self.lengths[number] = kind, length
        return list(iter(self.claim, None))

    def claim(self):
        """Start the next job, return its id."""
        held = holdings(self.active.values(), self.capacity, self.gpus)
        chosen = first_start(sorted(self.queued.values(), key=claim_order), held, self.capacity, self.now)
        if chosen is None:
            return None
        number = chosen.job.id
        self.active[number] = self.queued.pop(number)
        self.gpus[number] = chosen.gpus
        self.ends[number] = self.now + self.lengths.get(number, ("", STEP_S))[1]
        return number


@settings(max_examples=20, deadline=None)
@given(crowds, st.lists(st.tuples(st.sampled_from(["anna", "joe"]), bigs), min_size=1, max_size=3))
def test_nobody_starves(crowd, wishes):
    """Whatever fits an empty host starts, while smaller ones keep coming: within a day for each turn, and a little."""
    capacity = host(4, 16, gpu(0, 24, slots=2), gpu(1, 24), slots=6)
    world = Simulation(capacity, crowd)
    for _ in range(40):
        world.step()  # the host is busy when they come
    came = world.now
    waiting = {n: evolve(job(n, user, **wish), line=came) for n, (user, wish) in enumerate(wishes, 1)}
    world.queued |= waiting
    while waiting and world.now < came + (len(wishes) + capacity.slots) * TURN_S:
        for number in world.step():
            waiting.pop(number, None)

    assert waiting == {}


# --- what a pass costs ---


class Line(list):
    """A line that counts which of its items were read."""

    def __init__(self, jobs):
        super().__init__(jobs)
        self.read = set()

    def __getitem__(self, place):
        """The job or the jobs at *place*."""
        self.read |= set(range(*place.indices(len(self))) if isinstance(place, slice) else [place])
        return super().__getitem__(place)


@pytest.mark.parametrize("users", [1, 50])
def test_a_long_line_costs_no_more(users):
    """So many jobs are looked at, so many of each user tried; ten times as many behind them cost nothing."""
    active = [running(1, "bob", cpus=8)]
    held = holdings(active, host(8))
    costs = []
    for length in (LOOKED_AT, 10 * LOOKED_AT):
        line = Line(job(n, f"user{n % users}", age=20_000 - n) for n in range(2, length + 2))
        costs.append(calls_of(lambda line=line: first_start(line, held, host(8), NOW)))
        assert len(line.read) == LOOKED_AT

    assert costs[1] <= costs[0] * 1.01
    assert costs[0] < 100 * LOOKED_AT


def test_who_queues_thousands_hides_nobody():
    """Of each user only so many are tried: the others are seen behind them."""
    queued = [job(n, "anna", age=5000 - n, cpus=4) for n in range(1, OF_A_USER + 100)]
    found = decided([*queued, job(900, "bob", cpus=1)], host(8), [running(999, "anna", cpus=7)])

    assert found[900].starts
    assert len(found) == OF_A_USER + 1


def test_hopeless_ones_hide_nobody():
    """They do not count as tried."""
    queued = [job(n, "anna", age=5000 - n, cpus=99) for n in range(1, OF_A_USER + 10)]

    assert started([*queued, job(900, "anna")], host(8)) == [900]
