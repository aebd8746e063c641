"""``stress``, ``replay`` and ``play`` end to end: what is found is kept, printed and replayed."""

from __future__ import annotations

import json
import os
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


def test_races_are_told_although_nothing_broke(tcemu: Any) -> None:
    how = "stress", "map-vs-unset-container", "--kernel", "v6.12", "--races", "--schedules", "4"
    finished = tcemu(*how, "--strategy", "random", "--seed", "3")
    assert "race in map-vs-unset-container on v6.12" in finished.stdout
    assert "nothing orders two accesses of tce_container:0." in " ".join(finished.stdout.split())


def test_workers_change_nothing(tcemu: Any) -> None:
    one, two = (
        json.loads(tcemu("stress", LAZY, "--schedules", "20", "--workers", n, "--json").stdout)["runs"]
        for n in (1, 2)
    )
    for run in (*one, *two):
        del run["seconds"]
    assert one == two


RACE = """
import trio


async def prepared(machine):
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(7)
    await container.register_memory(ram)
    await container.map_dma(0, ram.start, 0x1000)
    return qemu, ram, container


async def race(machine):
    qemu, ram, container = await prepared(machine)

    async def mapper():
        try:
            await container.map_dma(0x1000, ram.start, 0x1000)
        except OSError as error:
            assert error.errno in (6, 22)

    async with machine.threads() as threads:
        threads.start("mapper", mapper())
        threads.start("remover", container.remove_window(0))
    await qemu.exit()


async def nap():
    await trio.sleep(1)


async def sleeper(machine):
    async with machine.threads() as threads:
        threads.start("sleepy", nap())


async def buggy(machine):
    await machine.spawn("qemu")
    return 1 / 0


async def late(machine):
    async with machine.threads() as threads:
        pass
    threads.start("late", prepared(machine))


async def endless(machine):
    while True:
        await machine.rcu_barrier()
"""


@pytest.fixture
def race(tmp_path: Path) -> Path:
    """A module with scenarios, good and bad."""
    (tmp_path / "tcemu_races.py").write_text(RACE)
    return tmp_path / "tcemu_races.py"


def failure_of(finished: Any, folder: Path) -> Path:
    """The failure file that the last line of a block names."""
    (line,) = [line for line in finished.stdout.splitlines() if line.strip().startswith("tcemu replay")]
    return folder / line.split()[-1]


def test_a_failing_function_is_kept_and_replayed(race: Path, tcemu: Any, tmp_path: Path) -> None:
    finished = tcemu("stress", "tcemu_races:race", "--kernel", "v6.12", "--schedules", "300")
    assert finished.returncode == 1, finished.stderr
    assert "tcemu_races:race on v6.12: J-K2" in finished.stdout
    assert "known as map-remove-race" in finished.stdout
    file = failure_of(finished, tmp_path)
    again = tcemu("replay", file)
    assert (again.returncode, again.stderr) == (1, "")
    assert "has changed since" not in again.stdout


def test_a_function_is_replayed_from_another_folder(race: Path, tcemu: Any, tmp_path: Path) -> None:
    finished = tcemu("stress", "tcemu_races:race", "--kernel", "v6.12", "--schedules", "300")
    file = failure_of(finished, tmp_path).rename(tmp_path / "kept.json")
    (tmp_path / "lib").mkdir()
    race.rename(tmp_path / "lib" / race.name)
    lost = tcemu("replay", file)
    assert lost.returncode == 2
    assert "kept.json: function: tcemu_races:race: cannot import 'tcemu_races'" in lost.stderr
    paths = os.pathsep.join((str(Path(__file__).parents[2]), str(tmp_path / "lib")))
    assert tcemu("replay", file, PYTHONPATH=paths).returncode == 1


def test_a_changed_function_is_told(race: Path, tcemu: Any, tmp_path: Path) -> None:
    finished = tcemu("stress", "tcemu_races:race", "--kernel", "v6.12", "--schedules", "300")
    file = failure_of(finished, tmp_path)
    race.write_text(RACE + "# a remark\n")
    assert "has changed since, and the recording still fits" in " ".join(tcemu("replay", file).stdout.split())
    race.write_text(RACE.replace("await container.register_memory(ram)", "pass"))
    changed = tcemu("replay", file)
    assert changed.returncode == 3
    assert changed.stderr.count("\n") == 1
    assert changed.stderr.rstrip().endswith("tcemu_races:race has changed since")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("sleeper", "thread sleepy awaits 'trio' at tcemu_races.py:"),
        ("buggy", "tcemu_races:buggy: tcemu_races.py:43: ZeroDivisionError: division by zero"),
        ("late", "thread late is started outside its block"),
        ("nobody", "tcemu_races:nobody: tcemu_races has no async function 'nobody'"),
    ],
)
def test_a_mistake_of_a_scenario_is_one_line(race: Path, tcemu: Any, name: str, line: str) -> None:
    finished = tcemu("stress", f"tcemu_races:{name}", "--schedules", "3", "--workers", 1)
    assert finished.returncode == 2, finished.stderr
    assert finished.stderr.count("\n") == 1
    assert line in finished.stderr


def test_a_module_with_a_mistake_is_one_line(tcemu: Any, tmp_path: Path) -> None:
    (tmp_path / "tcemu_wrong.py").write_text("async def scenario(machine)\n")
    finished = tcemu("stress", "tcemu_wrong:scenario")
    assert finished.returncode == 2
    assert finished.stderr.startswith("tcemu_wrong:scenario: cannot import 'tcemu_wrong': SyntaxError:")
    assert finished.stderr.count("\n") == 1


def test_a_scenario_that_never_ends_is_cut(race: Path, tcemu: Any) -> None:
    finished = tcemu("stress", "tcemu_races:endless", "--schedules", "2", "--json")
    (run,) = json.loads(finished.stdout)["runs"]
    assert (finished.returncode, run["verdict"], run["invariant"]) == (1, "livelock", "J-Q3")


def test_going_on_after_a_recorded_beginning(failure: Path, tcemu: Any) -> None:
    race = tcemu("stress", "map-vs-remove", "--kernel", "v6.12", "--schedules", "100", "--json")
    (run,) = json.loads(race.stdout)["runs"]
    file = run["failure_file"]
    again = tcemu("stress", "--after", file, "--strategy", "bounded", "--schedules", "100", "--json")
    (found,) = json.loads(again.stdout)["runs"]
    assert (found["program"], found["kernel"], found["invariant"]) == ("map-vs-remove", "v6.12", "J-K2")
    assert not found["complete"]
    kept = json.loads((failure.parents[2] / found["failure_file"]).read_text())["choices"]
    before = json.loads((failure.parents[2] / file).read_text())["choices"]
    last = max(number for number, choice in enumerate(before) if choice[1])
    assert kept[:last] == before[:last]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--strategy", "dpor"], "--strategy: dpor cannot go on after a recorded beginning; random, pct"),
        (["--strategy", "portfolio"], "--strategy: portfolio cannot go on after a recorded beginning"),
        (["--choices", "9999"], "--choices: found 9999, expected at most"),
        (["--kernel", "fixed"], "--kernel: .tcemu"),
        (["--kill", "all"], "--kill: .tcemu"),
    ],
)
def test_what_cannot_go_on_is_one_line(failure: Path, tcemu: Any, args: list[str], line: str) -> None:
    file = failure.relative_to(failure.parents[2])
    finished = tcemu("stress", "--after", file, "--schedules", "5", *args)
    assert finished.returncode == 2
    assert line in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_recording_that_no_longer_fits_is_not_gone_on_from(failure: Path, tcemu: Any) -> None:
    changed = json.loads(failure.read_text())
    changed["choices"][3] = [2, 1, "nobody"]
    failure.write_text(json.dumps(changed))
    finished = tcemu("stress", "--after", failure, "--schedules", "5")
    assert finished.returncode == 3
    assert "does not fit at choice 3: it says 'nobody' out of 2" in finished.stderr


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--log", "."], "'--log': .: cannot be written: Is a directory"),
        (["--junit", ""], "'--junit': found '', expected a file"),
        (["--markdown", "/dev/full"], "'--markdown': /dev/full: cannot be written: No space left on device"),
        (["--strategy", "dpro"], "no strategy 'dpro'; there are portfolio, random"),
        (["--seed", "x"], "'x' is not a valid integer"),
        (["--kill", "7"], "--kill: map-vs-unmap has no process 7; it has 0"),
        (["--kill", "x"], "'x' is neither a number from 0 on nor 'all'"),
        (["--fail", "memroy"], "--fail: no failure point 'memroy'; did you mean memory?"),
        (["--choices", "3"], "--choices: says where --after goes on, and there is no --after"),
    ],
)
def test_bad_options_are_one_line(tcemu: Any, args: list[str], line: str) -> None:
    finished = tcemu("stress", "map-vs-unmap", "--kernel", "fixed", "--schedules", "2", *args)
    assert finished.returncode == 2
    assert line in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_an_error_in_a_strategy_is_ours(tcemu: Any, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from actors.explore.strategies.random import RandomWalk\n"
        "def pick(self, core):\n    raise KeyError('lost')\n"
        "RandomWalk.pick = pick\n"
    )
    paths = os.pathsep.join((str(Path(__file__).parents[2]), str(tmp_path)))
    finished = tcemu("stress", "map-vs-unmap", "--strategy", "random", "--schedules", "2", PYTHONPATH=paths)
    assert finished.returncode == 4
    assert finished.stderr.startswith("tcemu: error of the emulator: KeyError: 'lost'")


def test_kills_are_searched(tcemu: Any) -> None:
    args = ("exit-with-lazy-borrower", "--kernel", "fixed", "--kill", "all", "--schedules", "30", "--json")
    (run,) = json.loads(tcemu("stress", *args).stdout)["runs"]
    assert (run["verdict"], run["places"][1]) == ("ok", 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_prints_what_was_found(workers: int, started: Any, tmp_path: Path) -> None:
    process = started(
        "stress", LAZY, "map-vs-unmap", "--strategy", "random", "--seconds", "60", "--workers", workers
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".tcemu/failures/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err.strip() == "interrupted"
    assert LAZY in out
    named = [line.split()[-1] for line in out.splitlines() if line.strip().startswith("tcemu replay")]
    assert named
    assert all((tmp_path / file).exists() for file in named)


def test_a_defect_is_shown(tcemu: Any) -> None:
    finished = tcemu("stress", "unregister-busy-swallowed")
    assert finished.returncode == 1
    assert "1 broken, 1 of them as expected" in finished.stdout


def test_a_recorded_client_is_killed(tcemu: Any) -> None:
    kernels = ("--kernel", "v4.9", "--kernel", "fixed")
    finished = tcemu("stress", "qemu-levels-fatal", *kernels, "--schedules", "150", "--json")
    old, mended = json.loads(finished.stdout)["runs"]
    assert (old["verdict"], old["invariant"], mended["verdict"]) == ("violation", "J-Q1", "ok")
    assert mended["places"] == [6, 6]
    again = tcemu("replay", old["failure_file"])
    assert again.returncode == 1, again.stderr
    assert "qemu-levels-fatal-killed-at-" in again.stdout


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
