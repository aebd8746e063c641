"""One log is enough: runs of every kind are made again from their logs alone."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from msgspec import structs

from actors.cli.app import run
from actors.explore import capture, explore
from actors.explore.logged import LogDivergence, logged, replay_log
from actors.explore.scenarios import builtin
from actors.explore.strategies import ReplayDivergence
from actors.kernel.catalogue import find_kernel
from actors.program import ProgramError
from actors.trace.jsonl import Log, dump, read_log, write_log
from actors.trace.machinelog import MachineLog
from actors.trace.schema import Access

MODULE = """
async def leaves_pages(machine):
    qemu = await machine.spawn("qemu")
    ram = await qemu.mmap(1 << 20)
    container = await qemu.open_container()
    group = await qemu.open_group(0)
    await group.set_container(container)
    await container.set_iommu(7)

    async def register():
        await container.register_memory(ram)

    async with machine.threads() as threads:
        threads.start("one", register())
        threads.start("other", machine.cpus[1].idle())
    assert machine.memory.pinned_pages == 0
"""


@pytest.fixture(scope="module")
def log() -> Log:
    program, kernel = builtin("map-vs-remove"), find_kernel("fixed", ["map-remove-race"])
    return logged(capture(program, kernel, explore(program, kernel, "random", schedules=2000).failure))


@pytest.fixture
def file(log: Log, tmp_path: Path) -> str:
    write_log(tmp_path / "run.jsonl", log)
    return str(tmp_path / "run.jsonl")


def test_a_program_is_run_again_from_the_log_in_a_file(file: str, log: Log) -> None:
    result, again = replay_log(read_log(file))
    assert (result.verdict, result.message) == (log.end.verdict, log.end.message)
    assert again.end.digest == log.end.digest != ""
    assert dump(again) == dump(log)


def test_on_the_command_line(file: str, log: Log, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    again = tmp_path / "again.jsonl"
    assert run(["replay", file, "--log", str(again)]) == 1
    assert "J-R3, as recorded" in capsys.readouterr().out
    assert again.read_bytes() == Path(file).read_bytes()
    assert run(["replay", file, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["digest"] == log.end.digest


def test_a_function_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logged_scenario.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run(["stress", "logged_scenario:leaves_pages", "--schedules", "5", "--log", "run.jsonl"]) == 1
    log = read_log("run.jsonl")
    assert log.header.program is None
    assert log.end.verdict == "expectation"
    sys.modules.pop("logged_scenario", None)
    assert run(["replay", "run.jsonl"]) == 1


@pytest.mark.parametrize("how", [["--kill-at", "120", "--borrow", "1"], []], ids=["killed", "to its end"])
def test_a_client_is_played_again(tmp_path: Path, how: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.jsonl"
    found = run(["play", "dpdk-heap-grow-shrink", "--kernel", "v6.12", *how, "--log", str(file)])
    capsys.readouterr()
    assert run(["log", "check", str(file)]) == 0
    assert "tcemu replay runs it again" in capsys.readouterr().out.replace("\n", " ")
    assert run(["replay", str(file)]) == 0
    assert "as recorded" in capsys.readouterr().out.replace("\n", " ")
    assert found == 1 or how
    lines = file.read_text().splitlines(keepends=True)
    lines[700] = lines[700].replace('"thread":"client"', '"thread":"tampered"')
    file.write_text("".join(lines))
    assert run(["replay", str(file)]) == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the run differs from its log at step 699" in error


def test_clients_that_share_a_machine_are_played_again(tmp_path: Path) -> None:
    file = str(tmp_path / "run.jsonl")
    clients = ["dpdk-heap-grow-shrink", "dpdk-heap-grow-shrink", "--interleave", "3"]
    run(["play", *clients, "--kernel", "v6.12", "--log", file])
    assert read_log(file).header.clients.together
    assert run(["replay", file]) == 0


def test_another_recording_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.jsonl"
    run(["play", "dpdk-heap-grow-shrink", "--log", str(file), "--kill-at", "3"])
    head, *rest = file.read_text().splitlines(keepends=True)
    header = json.loads(head)
    header["clients"]["digests"] = ["0" * 64]
    file.write_text(json.dumps(header, separators=(",", ":")) + "\n" + "".join(rest))
    assert run(["replay", str(file)]) == 2
    assert "is not the recording that was played then" in capsys.readouterr().err


@pytest.mark.parametrize("files", [["a", "b"], []], ids=["two", "all"])
def test_one_log_is_of_one_play(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    names = ["qemu-eeh", "qemu-nvme-ddw"][: len(files)]
    assert run(["play", *names, "--log", "run.jsonl"]) == 2
    assert "--log: one log is of one play" in capsys.readouterr().err


def test_a_log_that_was_cut_off_is_followed_as_far_as_it_goes(log: Log) -> None:
    cut = log._replace(events=log.events[:60], end=None)
    result, again = replay_log(cut)
    assert result.verdict == log.end.verdict
    assert again.events[:60] == cut.events
    without = cut._replace(header=structs.replace(log.header, choices=None))
    assert replay_log(without)[1].events[:60] == cut.events


def test_the_first_event_that_differs_is_named(log: Log) -> None:
    at = next(e.step for e in log.events if isinstance(e, Access) and e.field == "mapped")
    events = list(log.events)
    events[at] = structs.replace(events[at], after=7)
    with pytest.raises(LogDivergence, match=f"at step {at}: the log says .* → 7"):
        replay_log(log._replace(events=events))
    events = list(log.events)
    events[at] = structs.replace(events[at], pins=99)
    with pytest.raises(LogDivergence, match=r"pins 99; here .*pins 16"):
        replay_log(log._replace(events=events))
    with pytest.raises(ReplayDivergence, match="digest 000"):
        replay_log(log._replace(end=structs.replace(log.end, digest="0" * 64)))


def test_a_part_of_a_log_is_refused(log: Log) -> None:
    with pytest.raises(ProgramError, match="found 10, expected 0; only a whole log can be run again"):
        replay_log(log._replace(events=log.events[10:]))


async def test_a_free_run_is_refused(life, tmp_path: Path) -> None:
    output = io.StringIO()
    await life(MachineLog(output, form="json"))
    (tmp_path / "run.jsonl").write_text(output.getvalue())
    with pytest.raises(ProgramError, match=r"line 1 order: found no order, .* this one ran freely"):
        replay_log(read_log(tmp_path / "run.jsonl"), name="run.jsonl")


@pytest.fixture
def life():
    async def live(observer) -> None:
        from actors.machine import open_machine

        async with open_machine(log=observer) as machine:
            await (await machine.spawn("qemu")).mmap(1 << 16)

    return live


@pytest.mark.parametrize("field", ["kernel", "choices", "verdict", "format"])
def test_a_header_that_makes_no_sense_is_one_error(log: Log, field: str, tmp_path: Path) -> None:
    order = dict(log.header.order)
    if field == "choices":
        head = structs.replace(log.header, choices=((2, 5, "x"),))
    else:
        order[field] = 17
        head = structs.replace(log.header, order=order)
    write_log(tmp_path / "run.jsonl", log._replace(header=head))
    assert run(["replay", str(tmp_path / "run.jsonl")]) == 2




def test_stress_says_when_there_is_nothing_to_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["exit-with-lazy-borrower", "--kernel", "fixed", "--schedules", "3", "--workers", "1"]
    assert run(["stress", *words, "--log", "run.jsonl"]) == 0
    assert "nothing that broke was kept" in capsys.readouterr().err
    assert not Path("run.jsonl").exists()
