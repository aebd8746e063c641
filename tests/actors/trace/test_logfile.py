"""Logs that are written while the run goes on, and runs that are held against one."""

from __future__ import annotations

import io

import pytest

from actors.machine import Machine
from actors.runtime.bare import BareRuntime
from actors.trace import logfile
from actors.trace.follow import Follower
from actors.trace.jsonl import checked
from actors.trace.logfile import LogFile
from actors.trace.schema import End


def run(observer, sizes=(1 << 20,)) -> None:
    """A process that maps and locks memory."""
    core = BareRuntime()
    machine = Machine.boot(core, "v6.12")
    observer.open(machine)

    async def life() -> None:
        qemu = await machine.spawn("qemu")
        for size in sizes:
            await qemu.mlock(await qemu.mmap(size))

    core.run(core.spawn(machine.harness, life(), "qemu"))
    observer.close()


def written(sizes=(1 << 20,)) -> list:
    output = io.StringIO()
    run(LogFile(output, name="life"), sizes)
    return list(checked(io.BytesIO(output.getvalue().encode()), "log"))


def followed(lines, sizes=(1 << 20,)) -> Follower:
    follower = Follower(iter(lines))
    run(follower, sizes)
    return follower


def test_batches_make_the_same_log_as_one_piece(monkeypatch):
    whole = written()
    monkeypatch.setattr(logfile, "BATCH", 3)
    assert written() == whole
    assert whole[0].name == "life"
    assert whole[-1] == End(step=len(whole) - 2)


def test_what_has_happened_is_in_the_file_before_the_end(monkeypatch):
    monkeypatch.setattr(logfile, "BATCH", 3)
    seen = []

    class Watched(io.StringIO):
        def write(self, text: str) -> int:
            seen.append(text.count("\n"))
            return super().write(text)

    run(LogFile(Watched()))
    assert len(seen) > 5
    assert max(seen) < 12


def test_an_equal_run_has_no_difference():
    follower = followed(written()[1:])
    assert (follower.difference, follower.broken_off) == (None, False)
    assert follower.end == End(step=len(follower))


def test_a_log_that_was_cut_off_is_followed_to_the_cut():
    follower = followed(written()[1:12])
    assert (follower.difference, follower.broken_off) == (None, True)


@pytest.mark.parametrize(("more", "less"), [((1 << 20, 1 << 16), (1 << 20,))])
def test_a_run_that_is_longer_or_shorter_than_its_log(more, less):
    longer = followed(written(less)[1:], more).difference
    shorter = followed(written(more)[1:], less).difference
    assert longer.step == shorter.step
    assert longer.recorded == shorter.actual
    assert longer.actual == shorter.recorded
    assert longer.recorded != longer.actual
