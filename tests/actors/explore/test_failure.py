from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from actors.explore import (
    Dpor,
    RandomWalk,
    ReplayDivergence,
    capture,
    explore,
    load_failure,
    prepare,
    replay,
    run_once,
    save_failure,
)
from actors.explore.recorder import Recorder
from actors.explore.scenarios import builtin
from actors.explore.strategies import Replay, Trail
from actors.kernel.catalogue import find_kernel
from actors.program import ProgramError

DEFECT, SCENARIO = "map-remove-race", "map-vs-remove"


@pytest.fixture(scope="module")
def broken():
    """A failing order of a kernel with one defect, as a file describes it, and how it was found."""
    program, kernel = builtin(SCENARIO), find_kernel("fixed", [DEFECT])
    report = explore(program, kernel, "random", schedules=2000)
    assert report.verdict == "violation"
    return capture(program, kernel, report.failure), report


def test_a_failure_replays_exactly(broken, tmp_path):
    failure, report = broken
    path = save_failure(failure, tmp_path)
    result = replay(path)
    assert result.signature == report.failure.signature
    assert result.steps == report.failure.steps
    assert load_failure(path) == failure


def test_a_recording_that_does_not_fit_says_at_which_choice(broken, tmp_path):
    failure, _ = broken
    values = json.loads(save_failure(failure, tmp_path).read_text())
    values["choices"][0][2] = "somebody"
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ReplayDivergence, match="choice 0: it says 'somebody'"):
        replay(path)


def test_a_failure_on_a_mended_kernel_diverges(broken, tmp_path):
    failure, _ = broken
    values = json.loads(save_failure(failure, tmp_path).read_text())
    values["kernel"] = {"name": "fixed"}
    path = tmp_path / "mended.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ReplayDivergence):
        replay(path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"format": "other"}, "format"),
        ({"version": 9}, "version"),
        ({"verdict": 3}, "verdict"),
        ({"choices": [[2, 5, "x"]]}, r"choices\[0\]"),
        ({"choices": [[-1, 5, "x"]]}, r"choices\[0\]: found -1 options, expected 1 or more"),
        ({"choices": "all"}, "choices"),
        ({"fail_nth": -1}, "fail_nth"),
        ({"colour": "red"}, "colour"),
        ({"program": {"format": "tcemu-program"}}, "program"),
    ],
)
def test_a_malformed_failure_is_one_line(broken, tmp_path, change, place):
    failure, _ = broken
    values = json.loads(save_failure(failure, tmp_path).read_text()) | change
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(values))
    with pytest.raises(ProgramError, match=place) as caught:
        load_failure(path)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_kind_is_named(tmp_path):
    path = tmp_path / "x.json"
    for content, words in (('{"format": "tcemu-program"}', "found 'tcemu-program'"), ("{}", "missing")):
        path.write_text(content)
        with pytest.raises(ProgramError, match=f"format: {words}, expected tcemu-failure"):
            load_failure(path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_no_failure_file_at_all(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(ProgramError):
        load_failure(path)
    with pytest.raises(ProgramError, match="No such file"):
        load_failure(tmp_path / "missing.json")


def test_the_same_choices_make_the_same_run():
    model = prepare(builtin("kill-with-lazy-borrower"))
    walk = RandomWalk(11)
    for _ in range(50):
        walk.begin(None)
        first = run_once(model, walk)
        recorder = Recorder(Trail(walk.trail))
        second = run_once(model, recorder, every=True)
        strict = Recorder(Replay(recorder.choices))
        third = run_once(model, strict, every=True)
        assert first.steps == second.steps == third.steps
        assert recorder.digest == strict.digest
        strict.inner.finished()


PRINT_DIGESTS = """
from actors.explore import RandomWalk, Dpor, prepare, run_once
from actors.explore.recorder import Recorder
from actors.explore.scenarios import builtin
for name in ("kill-with-lazy-borrower", "shared-region-close", "close-orders"):
    model, walk = prepare(builtin(name)), RandomWalk(5)
    for _ in range(15):
        walk.begin(None)
        recorder = Recorder(walk)
        run_once(model, recorder, every=True)
        print(recorder.digest)
    dpor = Dpor()
    from actors.explore.explore import Campaign
    report = Campaign(model, dpor).run(schedules=100)
    print(report.schedules, report.complete, report.points)
"""


def test_two_processes_with_other_hash_seeds_do_the_same():
    outputs = []
    for seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PRINT_DIGESTS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == 48


def test_shrinking_leaves_no_more_preemptions_than_needed(broken):
    _, report = broken
    fewest = explore(builtin(SCENARIO), find_kernel("fixed", [DEFECT]), "bounded", schedules=2000)
    assert report.preemptions == fewest.preemptions == 1


def test_dpor_finds_it_too():
    report = explore(builtin(SCENARIO), find_kernel("fixed", [DEFECT]), Dpor(), schedules=200)
    assert (report.verdict, report.invariant) == ("violation", "J-K2")
