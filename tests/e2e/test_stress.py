"""``stress``, ``replay`` and ``play`` end to end: what is found is kept, printed and replayed."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

LAZY = "exit-with-lazy-borrower"
RUN_KEYS = {
    "program", "kernel", "strategy", "schedules", "complete", "points", "seconds", "verdict", "invariant",
    "message", "known_as", "findings", "schedules_to_first_failure", "preemptions", "failure_file",
}  # fmt: skip


@pytest.fixture
def failure(tcemu: Any, tmp_path: Path) -> Path:
    """A failure file that ``stress`` wrote."""
    finished = tcemu("stress", LAZY, "--kernel", "v4.9", "--schedules", "50", "--json")
    assert finished.returncode == 1, finished.stderr
    (run,) = json.loads(finished.stdout)["runs"]
    assert set(run) >= RUN_KEYS
    assert run["verdict"] != "ok"
    return tmp_path / run["failure_file"]


def test_the_mended_kernel_is_proved(tcemu: Any) -> None:
    finished = tcemu("stress", LAZY, "--kernel", "fixed", "--strategy", "dpor", "--json")
    (run,) = json.loads(finished.stdout)["runs"]
    assert (finished.returncode, run["verdict"], run["complete"]) == (0, "ok", True)


def test_a_failure_is_replayed(failure: Path, tcemu: Any) -> None:
    finished = tcemu("replay", failure)
    assert finished.returncode == 1, finished.stderr
    assert "as recorded" in finished.stdout
    report = json.loads(tcemu("replay", failure, "--json").stdout)
    recorded = json.loads(failure.read_text())
    assert {key: report[key] for key in ("verdict", "invariant", "message", "steps")} == {
        key: recorded[key] for key in ("verdict", "invariant", "message", "steps")
    }


def test_a_replay_writes_a_log(failure: Path, tcemu: Any) -> None:
    assert tcemu("replay", failure, "--log", "run.jsonl").returncode == 1
    tree = tcemu("log", "tree", "run.jsonl")
    assert tree.returncode == 0, tree.stderr
    assert "exit_group" in tree.stdout


def test_the_printed_line_replays(tcemu: Any) -> None:
    finished = tcemu("stress", LAZY, "--kernel", "v4.9", "--schedules", "50")
    (line,) = [
        line.strip() for line in finished.stdout.splitlines() if line.strip().startswith("tcemu replay")
    ]
    assert tcemu(*line.split()[1:]).returncode == 1


def test_a_recording_that_does_not_fit(failure: Path, tcemu: Any) -> None:
    recorded = json.loads(failure.read_text())
    recorded["choices"].insert(0, [1, 0, "nobody"])
    failure.write_text(json.dumps(recorded))
    finished = tcemu("replay", failure)
    assert finished.returncode == 3
    assert finished.stderr.startswith("the recording does not fit at choice 0")
    assert finished.stderr.count("\n") == 1, finished.stderr


def test_a_failed_expectation(tcemu: Any, tmp_path: Path) -> None:
    program = {
        "format": "tcemu-program",
        "version": 1,
        "name": "expects-a-leak",
        "kernels": ["fixed"],
        "expect": {"fixed": "J-Q1"},
        "setup": [],
        "threads": [{"name": "qemu", "actor": 0, "steps": [{"op": "exit"}]}],
    }
    (tmp_path / "mine.json").write_text(json.dumps(program))
    finished = tcemu("stress", "mine.json", "--strategy", "dpor")
    assert finished.returncode == 1
    assert "ok; expected J-Q1" in finished.stdout


def test_a_function_of_a_machine(tcemu: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "async def scenario(machine):\n"
        "    qemu = await machine.spawn('qemu')\n"
        "    await qemu.mmap(1 << 20)\n"
        "    assert machine.memory.pinned_pages == 1, 'nothing is pinned'\n"
    )
    finished = tcemu("stress", "mine:scenario", "--schedules", "5")
    assert finished.returncode == 1, finished.stderr
    assert "nothing is pinned" in finished.stdout


def test_every_failure_point_in_turn(tcemu: Any) -> None:
    window = "map-vs-map-pending-window"
    finished = tcemu("stress", window, "--kernel", "fixed", "--fail-nth", "all", "--schedules", "3", "--json")
    (run,) = json.loads(finished.stdout)["runs"]
    assert (finished.returncode, run["verdict"]) == (0, "ok"), finished.stdout
    assert run["schedules"] > 3


def test_workers_change_nothing(tcemu: Any) -> None:
    one, two = (
        json.loads(tcemu("stress", LAZY, "--schedules", "20", "--workers", n, "--json").stdout)["runs"]
        for n in (1, 2)
    )
    for run in (*one, *two):
        del run["seconds"]
    assert one == two


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_prints_what_was_found(workers: int, started: Any) -> None:
    process = started(
        "stress", LAZY, "map-vs-unmap", "--strategy", "random", "--seconds", "60", "--workers", workers
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert err.strip() == "interrupted"
    assert LAZY in out


def test_a_defect_is_shown(tcemu: Any) -> None:
    finished = tcemu("stress", "unregister-busy-swallowed")
    assert finished.returncode == 1
    assert "as expected" in " ".join(finished.stdout.split())


def test_a_recorded_client_is_killed(tcemu: Any) -> None:
    finished = tcemu("stress", "qemu-levels-fatal", "--kernel", "v4.9", "--kernel", "fixed", "--json")
    old, mended = json.loads(finished.stdout)["runs"]
    assert (old["verdict"], old["invariant"], mended["verdict"]) == ("violation", "J-Q1", "ok")


def test_play(tcemu: Any) -> None:
    finished = tcemu("play", "qemu-memory-hotplug", "dpdk-heap-grow-shrink", "--json")
    assert finished.returncode == 0, finished.stderr
    for played in json.loads(finished.stdout)["files"]:
        assert not any(played["final"].values())
        assert played["left_by"] == []
        assert {difference["why"] for difference in played["differences"]} <= {"recorder", "O.6"}


def test_play_names_the_defect_behind_what_is_left(tcemu: Any) -> None:
    finished = tcemu("play", "dpdk-heap-grow-shrink", "--kernel", "v6.12")
    assert finished.returncode == 1
    assert "left by unregister-busy-swallowed" in finished.stdout


def test_play_kills(tcemu: Any) -> None:
    args = ("play", "qemu-memory-hotplug", "--kill-at", "every:10", "--borrow", "1")
    assert tcemu(*args).returncode == 0
    finished = tcemu(*args, "--kernel", "v4.9", "--json")
    (killed,) = json.loads(finished.stdout)["files"]
    assert finished.returncode == 1
    assert [kill["call"] for kill in killed["kills"]] == [0, 10, 20, 30, 40]
    assert any(kill["borrowed"]["pinned_pages"] for kill in killed["kills"])


def test_kill_behind_the_end(tcemu: Any) -> None:
    finished = tcemu("play", "qemu-two-groups", "--kill-at", "54")
    assert finished.returncode == 2
    assert "expected at most its 53 calls" in finished.stderr
