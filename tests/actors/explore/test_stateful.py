"""State hashing against brute force, and what a state is made of."""

from __future__ import annotations

import os
import subprocess
import sys

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actors.explore import Bounded, explore, prepare
from actors.explore.arena import Arena
from actors.explore.capture import digest
from actors.explore.explore import Campaign
from actors.explore.strategies import Stateful
from actors.program import parse_program
from actors.runtime.cells import Cell
from actors.runtime.sync import Mutex
from tests.actors.explore.toy_model import ToyModel
from tests.actors.explore.toys import ACQUIRE, RELEASE, Box, lock_cycle, lost_update, program, r, w


class Told(list):
    """What orders came to; it is no part of any state."""

    def __reduce__(self):
        return str, ("told",)


def whole(model, strategy):
    campaign = Campaign(model, strategy)
    assert campaign.run(schedules=100_000).complete
    return campaign


op = st.sampled_from([r("x"), w("x"), r("y"), w("y")])
plain = st.lists(op, min_size=1, max_size=3)
locked = st.lists(op, max_size=2).map(lambda ops: [ACQUIRE, *ops, RELEASE])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.one_of(plain, locked), min_size=2, max_size=3))
def test_it_reaches_what_brute_force_reaches(threads):
    everything, reduced = Told(), Told()
    whole(program(*threads, trace=everything), Bounded())
    stateful = Stateful()
    whole(program(*threads, trace=reduced), stateful)
    assert set(reduced) == set(everything)
    assert stateful.runs <= len(everything)
    assert stateful.opaque == 0


def forgetful(threads, length, held=False):
    """Threads that leave no trace of who was where first: every write writes the same."""

    def build(core):
        box, cell, lock = Box(core), Cell(core, "x", 0), Mutex(core, "L")

        async def body():
            if held:
                await lock.acquire()
            for _ in range(length):
                await cell.set(1)
            if held:
                await lock.release()

        for number in range(threads):
            core.spawn(box, body(), f"t{number}")

    return ToyModel(build)


def test_states_are_counted_exactly():
    """``n`` threads of ``k`` writes: (k + 1)^n places, less those with fewer than two threads left."""
    for threads, length in ((2, 3), (3, 2), (2, 6)):
        stateful = Stateful()
        whole(forgetful(threads, length), stateful)
        places = (length + 1) ** threads
        one_left = threads * length + 1
        # The value of the variable adds one state: nobody has written yet only at the root.
        assert len(stateful.states) == places - one_left
    interleavings = whole(forgetful(2, 6), Bounded()).orders
    stateful = Stateful()
    whole(forgetful(2, 6), stateful)
    assert interleavings == 924
    assert stateful.runs + stateful.blocked <= 1 + 6 * 6


def test_sections_under_a_lock_are_merged():
    """Four sections in any order: what is done matters, not in which order."""
    stateful = Stateful()
    whole(forgetful(4, 3, held=True), stateful)
    assert whole(forgetful(4, 3, held=True), Bounded()).orders == 24
    assert len(stateful.states) == 1 + 4 + 6
    assert stateful.runs + stateful.blocked == 4 * 3 + 6


def test_it_finds_a_lost_update_and_a_deadlock():
    assert explore(lost_update(), strategy="stateful", schedules=200).message == "an update was lost"
    assert explore(lock_cycle(), strategy="stateful", schedules=200).verdict == "deadlock"


def test_an_iterator_is_part_of_where_a_thread_stands():
    """Two threads that go through the same items: what is left of a loop has no name in Python."""

    def build(core):
        box, cell, seen = Box(core), Cell(core, "x", 0), Told()

        async def body():
            for _ in [1, 1, 1]:
                await cell.set(1)
            seen.append(1)

        core.spawn(box, body(), "a")
        core.spawn(box, body(), "b")

    stateful = Stateful()
    whole(ToyModel(build), stateful)
    assert len(stateful.states) == 4 * 4 - 7


def test_what_cannot_be_captured_is_never_taken_for_something_else(tmp_path):
    def build(core):
        box, cell = Box(core), Cell(core, "x", 0)

        async def body(file):
            for _ in range(2):
                await cell.set(1)
            file.close()

        for name in ("a", "b"):
            core.spawn(box, body((tmp_path / name).open("w")), name)

    stateful = Stateful()
    campaign = whole(ToyModel(build), stateful)
    assert stateful.opaque > 0
    assert not stateful.states
    assert campaign.orders == 6


def test_a_machine_is_captured_and_searched_to_the_end():
    """Two containers that one process closes at the same time."""
    lines = [
        {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0"},
        {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C1"},
    ]
    closing = [
        {"name": f"t{n}", "actor": 0, "steps": [{"op": "close", "fd": f"C{n}"}]} for n in range(2)
    ]
    small = parse_program(
        {"format": "tcemu-program", "version": 1, "name": "two-closes", "setup": lines, "threads": closing}
    )
    stateful = Stateful()
    report = Campaign(prepare(small), stateful).run(schedules=2000)
    assert (report.complete, report.verdict) == (True, "ok")
    assert stateful.opaque == 0
    assert stateful.blocked > 0


SCRIPT = """
from actors.explore import prepare
from actors.explore.scenarios import builtin
from actors.explore.explore import Campaign
from actors.explore.strategies import Stateful
from hashlib import sha256
stateful = Stateful()
Campaign(prepare(builtin("map-vs-remove")), stateful).run(schedules=3)
print(sha256(b"".join(sorted(stateful.states))).hexdigest(), len(stateful.states))
"""


def test_digests_are_the_same_in_every_process():
    """No address, no hash and no order of a set is in a digest."""
    told = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_a_state_needs_no_judge():
    assert digest(Arena()) == digest(Arena())
