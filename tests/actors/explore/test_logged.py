"""The log of a recorded failure."""

from __future__ import annotations

import pytest

from actors.cli.app import run
from actors.explore import capture, explore, save_failure
from actors.explore.logged import logged
from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel
from actors.trace.jsonl import dump, read_log
from actors.trace.schema import KERNEL_MESSAGES, State


@pytest.fixture(scope="module")
def failure():
    program, kernel = builtin("map-vs-remove"), find_kernel("fixed", ["map-remove-race"])
    return capture(program, kernel, explore(program, kernel, "random", schedules=2000).failure)


def test_the_log_of_a_failure_is_always_the_same(failure):
    assert dump(logged(failure)) == dump(logged(failure))


def test_it_says_what_was_run_and_what_it_came_to(failure):
    log = logged(failure)
    assert log.header.program == failure.program
    assert "map-remove-race" in log.header.switches
    assert log.header.choices == failure.choices
    assert (log.end.verdict, log.end.message) == (failure.verdict, failure.message)
    assert log.end.steps == failure.steps
    assert log.end.step == len(log.events)


def test_its_choice_events_are_the_choices(failure):
    log = logged(failure)
    log = log._replace(header=type(log.header)(format="tcemu-log", version=1, kernel="fixed"))
    assert log.choices() == failure.choices


def test_it_begins_with_the_state_and_holds_the_complaint(failure):
    events = logged(failure).events
    state = next(event for event in events if isinstance(event, State))
    assert state.step == 1
    assert state.containers["container:0"]["windows"]
    assert any(isinstance(event, KERNEL_MESSAGES) for event in events)


def test_replay_writes_it_and_shows_the_interleaving(failure, tmp_path, capsys):
    path = save_failure(failure, tmp_path)
    assert run(["replay", str(path), "--log", str(tmp_path / "run.jsonl")]) == 1
    assert read_log(tmp_path / "run.jsonl") == logged(failure)
    text = capsys.readouterr().out
    table = text[text.index("  step  ") :].partition("\n\n")[0]
    assert "calls MAP_DMA" in table
    assert max(map(len, table.splitlines())) <= 100
