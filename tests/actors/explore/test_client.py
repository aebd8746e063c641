"""Recorded clients: played up to a kill, torn down in many orders, and that again."""

from __future__ import annotations

import msgspec
import pytest

from actors.explore import capture, explore, load_failure, prepare, replay, save_failure
from actors.explore.client import KilledClient
from actors.explore.strategies import ReplayDivergence
from actors.kernel.catalogue import find_kernel
from actors.program import ProgramError

RTL = KilledClient("qemu-rtl8139", 30)


@pytest.fixture(scope="module")
def failure():
    """A client whose memory stays pinned, as a file describes it."""
    kernel = find_kernel("v4.9")
    report = explore(RTL, kernel, schedules=50)
    assert (report.verdict, report.invariant) == ("violation", "J-Q1")
    return capture(RTL, kernel, report.failure)


def test_every_order_of_an_end_is_covered() -> None:
    model = prepare(RTL, "fixed")
    report = explore(model, strategy="dpor", schedules=1000)
    assert (report.verdict, report.complete) == ("ok", True)
    assert report.schedules > 1
    assert report.program == "qemu-rtl8139-killed-at-30"


def test_it_is_replayed_exactly(failure, tmp_path) -> None:
    path = save_failure(failure, tmp_path)
    assert path.name.startswith("qemu-rtl8139-killed-at-30-v4.9-J-Q1")
    assert load_failure(path) == failure
    result = replay(path)
    assert (result.invariant, result.steps) == ("J-Q1", failure.steps)


def test_another_recording_is_told(failure) -> None:
    other = msgspec.structs.replace(failure.client, digest="0" * 64)
    changed = msgspec.structs.replace(failure, client=other, digest="1" * 64)
    with pytest.raises(ReplayDivergence, match="the recording of qemu-rtl8139 has changed since"):
        replay(changed)


@pytest.mark.parametrize(
    ("client", "place"),
    [
        ({"client": "qemu-rtl8139", "calls": 10**9}, "client: kill_at: found 1000000000"),
        ({"client": "no-such-client", "calls": 1}, "client: no-such-client: cannot be read"),
        ({"client": "qemu-rtl8139", "calls": 1, "borrow": [-1]}, "client: borrow: found -1"),
    ],
)
def test_a_client_that_is_not_there(failure, tmp_path, client, place) -> None:
    values = msgspec.to_builtins(failure) | {"client": client}
    path = tmp_path / "bad.json"
    path.write_bytes(msgspec.json.encode({key: value for key, value in values.items() if value is not None}))
    with pytest.raises(ProgramError, match=place):
        load_failure(path)
