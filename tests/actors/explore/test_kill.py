"""A kill at every point is one thread more, whose place the order decides."""

from __future__ import annotations

import pytest

from actors.explore import explore, prepare, run_once
from actors.explore.kill import processes_of, with_kill
from actors.explore.recorder import Recorder
from actors.explore.scenarios import builtin
from actors.explore.strategies import RandomWalk
from actors.kernel.catalogue import find_kernel
from actors.program import check_program


def test_every_process_is_known() -> None:
    assert processes_of(builtin("map-vs-unmap")) == (0,)
    assert processes_of(builtin("fork-then-parent-exits")) == (0, 1)


@pytest.mark.parametrize("name", ["map-vs-unmap", "fork-then-parent-exits", "kill-any-point"])
def test_the_program_stays_a_program(name: str) -> None:
    program = builtin(name)
    for process in processes_of(program):
        killed = with_kill(program, process)
        check_program(killed)
        assert len({thread.name for thread in killed.threads}) == len(program.threads) + 1


def test_the_kill_falls_on_many_points() -> None:
    model, walk, places = prepare(with_kill(builtin("map-vs-remove"), 0)), RandomWalk(3), set()
    for _ in range(100):
        walk.begin(None)
        recorder = Recorder(walk)
        assert run_once(model, recorder, every=True).ok
        names = [choice.label for choice in recorder.choices]
        places.add(names.index("kill") if "kill" in names else -1)
    assert len(places) >= 10


def test_a_defect_that_needs_a_kill() -> None:
    program = builtin("exit-with-lazy-borrower")
    kernel = find_kernel("v4.9")
    report = explore(with_kill(program, 0), kernel, schedules=100)
    assert (report.verdict, report.invariant) == ("violation", "J-Q1")
    assert explore(with_kill(program, 0), "fixed", schedules=40).verdict == "ok"
