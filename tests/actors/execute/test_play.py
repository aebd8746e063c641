"""Every recorded client plays on today's kernel with nothing left and every difference explained."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from actors.execute.play import Remains, play, play_killed, play_together
from actors.execute.play.calls import Cursor
from actors.execute.play.memory import memory_of, merged
from actors.execute.play.session import Session
from actors.kernel.catalogue import UnknownPiece
from actors.program import ProgramError, Stream, builtin_streams, load_stream

NOTHING = Remains(0, 0, 0, 0, 0, 0, 0)
SHORT = (
    "dpdk-heap-grow-shrink",
    "qemu-levels-fatal",
    "qemu-memory-hotplug",
    "qemu-two-groups",
    "qemu-v1-fallback",
)
LONG = ("qemu-eeh", "qemu-nvme-ddw", "qemu-rtl8139")
KERNELS = ("v4.9", "v4.10-parent", "v4.10-seed", "v4.9.148", "v4.19", "v6.12", "fixed")


@cache
def stream(name: str) -> Stream:
    return load_stream(builtin_streams()[name])


def reduced(name: str, tmp_path: Path, keep: int) -> Stream:
    """The stream with every row's repetitions cut to ``keep``."""
    lines = [json.loads(line) for line in gzip.decompress(builtin_streams()[name].read_bytes()).splitlines()]
    for row in lines[1:]:
        if "repeat" in row:
            row["repeat"] = min(row["repeat"], keep)
    lines[0]["calls"] = sum(row.get("repeat", 1) for row in lines[1:])
    path = tmp_path / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load_stream(path)


@pytest.mark.parametrize("name", LONG)
def test_a_long_stream_leaves_nothing(name: str) -> None:
    result = play(stream(name))
    assert (result.calls, result.verdict, result.final) == (stream(name).calls, "ok", NOTHING)
    assert result.differences == result.out_differences == result.left_by == ()
    assert sum(count.calls for count in result.by_op.values()) == result.calls


@pytest.mark.parametrize("name", SHORT)
def test_a_short_stream_leaves_nothing_and_every_difference_has_a_reason(name: str) -> None:
    result = play(stream(name))
    assert (result.final, result.left_by, result.verdict) == (NOTHING, (), "ok")
    assert result.unexplained == 0


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", SHORT)
def test_every_difference_has_a_reason_on_every_kernel(name: str, kernel: str) -> None:
    result = play(stream(name), kernel)
    assert result.unexplained == 0
    assert bool(result.left_by) == result.final.anything


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", LONG)
def test_long_streams_with_few_repetitions_on_every_kernel(name: str, kernel: str, tmp_path: Path) -> None:
    result = play(reduced(name, tmp_path, 100), kernel)
    assert (result.verdict, result.unexplained, result.final) == ("ok", 0, NOTHING)


def test_the_reasons_on_the_fixed_kernel() -> None:
    def reasons(name: str) -> dict[tuple[str, str], int]:
        return play(stream(name)).reasons

    assert reasons("qemu-two-groups") == reasons("qemu-memory-hotplug") == {}
    assert reasons("qemu-levels-fatal") == {
        ("VFIO_IOMMU_SPAPR_TCE_CREATE", "recorder"): 2,
        ("VFIO_IOMMU_SPAPR_TCE_CREATE", "B.14"): 1,
    }
    assert reasons("dpdk-heap-grow-shrink") == {("VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY", "O.6"): 1}
    assert reasons("qemu-v1-fallback") == {
        ("VFIO_CHECK_EXTENSION", "B.2"): 1,
        ("VFIO_IOMMU_SPAPR_TCE_GET_INFO", "B.3"): 4,
    }


def test_what_a_defect_leaves_names_the_defect() -> None:
    result = play(stream("dpdk-heap-grow-shrink"), "v6.12")
    assert result.left_by == ("unregister-busy-swallowed",)
    assert result.final == NOTHING._replace(pinned_pages=27136, regions=52)
    swallowed = [d for d in result.differences if d.why == "unregister-busy-swallowed"]
    assert [(d.call, d.recorded, d.actual) for d in swallowed[:2]] == [(182, -16, 0), (184, -16, 0)]
    assert len(swallowed) == 52


def test_thousands_of_small_regions_go_with_a_killed_client() -> None:
    result = play(stream("dpdk-4k-pages"), kill_at=6000, borrow=[1])
    assert (result.calls, result.borrowed, result.final) == (6000, NOTHING, NOTHING)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["fixed", "v6.12"])
def test_the_stream_of_small_pages_as_a_whole(kernel: str) -> None:
    result = play(stream("dpdk-4k-pages"), kernel)
    assert result.unexplained == 0
    assert result.left_by == (("unregister-busy-swallowed",) if kernel == "v6.12" else ())
    assert "(2 such calls)" in result.remarks[0]


def test_the_defect_of_release_is_named_where_it_alone_leaves_something() -> None:
    assert play(stream("dpdk-heap-grow-shrink"), "v4.19").left_by == ("release-leaks-mapped-region",)


def test_the_client_bug_is_said_in_one_line() -> None:
    (remark,) = play(stream("dpdk-heap-grow-shrink")).remarks
    assert "\n" not in remark
    assert remark.startswith("call 181: UNMAP_DMA got a struct vfio_iommu_type1_dma_map")
    assert "size reads 0x104200000, the iova that was meant" in remark
    assert remark.endswith("(53 such calls)")
    assert play(stream("qemu-memory-hotplug")).remarks == ()


def test_the_json_is_that_of_the_contract() -> None:
    plain = json.loads(json.dumps(play(stream("dpdk-heap-grow-shrink"), "v6.12").as_json()))
    assert list(plain)[:8] == [
        *("file", "kernel", "calls", "seconds", "by_op", "differences", "final", "left_by"),
    ]
    assert plain["by_op"]["VFIO_IOMMU_UNMAP_DMA"] == {"calls": 53, "errors": 0}
    assert plain["differences"][0] == {
        "call": 182,
        "op": "VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY",
        "recorded": -16,
        "actual": 0,
        "why": "unregister-busy-swallowed",
    }
    assert "borrowed" not in plain


def test_recorded_failures_of_devices_count_as_errors() -> None:
    count = play(stream("qemu-two-groups")).by_op["VFIO_DEVICE_GET_IRQ_INFO"]
    assert (count.calls, count.errors) == (4, 2)


def test_the_same_play_twice_is_the_same() -> None:
    first, second = (play(stream("dpdk-heap-grow-shrink"), "v6.12", seed=7) for _ in range(2))
    assert first._replace(seconds=0) == second._replace(seconds=0)


def test_progress_is_told() -> None:
    told: list[int] = []
    play(stream("qemu-two-groups"), on_progress=told.append)
    assert told == list(range(1, 54))


# -- kill -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHORT)
def test_a_kill_at_any_moment_leaves_nothing(name: str) -> None:
    points = range(0, stream(name).calls + 1, 7 if stream(name).calls < 100 else 50)
    for point, ending in play_killed(stream(name), points=points, borrow=[1], seed=point_seed(name)):
        assert ending.clean, point
        assert ending.borrowed == ending.final == NOTHING


def point_seed(name: str) -> int:
    return len(name)


def test_a_kill_in_the_middle_of_a_row() -> None:
    whole = stream("qemu-nvme-ddw")
    result = play(whole, kill_at=1000, borrow=[0, 1], seed=1)
    assert (result.calls, result.final, result.borrowed) == (1000, NOTHING, NOTHING)


def test_a_killed_copy_ends_as_a_killed_client() -> None:
    ((point, ending),) = play_killed(stream("qemu-two-groups"), "v4.10-parent", points=[35])
    result = play(stream("qemu-two-groups"), "v4.10-parent", kill_at=35, borrow=[1])
    assert (point, ending.borrowed, ending.final) == (35, result.borrowed, result.final)


def test_a_borrowed_mm_keeps_memory_pinned_before_the_patch() -> None:
    result = play(stream("qemu-two-groups"), "v4.10-parent", kill_at=35, borrow=[1])
    assert result.borrowed is not None
    assert (result.borrowed.pinned_pages, result.borrowed.regions, result.borrowed.mms) == (131072, 1, 1)
    assert result.final == NOTHING
    assert result.left_by == ("mm-owned-prereg-lazy-mm",)


# -- several clients ------------------------------------------------------------------------------


def test_clients_do_not_disturb_each_other() -> None:
    names = ("qemu-two-groups", "dpdk-heap-grow-shrink", "qemu-memory-hotplug", "qemu-memory-hotplug")
    together = play_together([stream(name) for name in names], seed=3)
    for name, result in zip(names, together, strict=True):
        alone = play(stream(name))
        assert (result.final, result.by_op, result.reasons) == (NOTHING, alone.by_op, alone.reasons)


def test_together_the_seed_decides_and_the_defect_is_named() -> None:
    streams = [stream("dpdk-heap-grow-shrink"), stream("qemu-two-groups")]
    first, again = (play_together(streams, "v6.12", seed=5) for _ in range(2))
    assert [each._replace(seconds=0) for each in first] == [each._replace(seconds=0) for each in again]
    assert {result.left_by for result in first} == {("unregister-busy-swallowed",)}


@pytest.mark.parametrize("share", ["groups", "mm"])
@pytest.mark.parametrize("kernel", ["v4.10", "v6.12", "fixed"])
def test_whatever_they_share_every_difference_has_a_reason(kernel: str, share: str) -> None:
    streams = [stream(name) for name in ("dpdk-heap-grow-shrink", "dpdk-heap-grow-shrink", "qemu-two-groups")]
    together = play_together(streams, kernel, seed=2, share=share, blame=False)
    assert [result.unexplained for result in together] == [0, 0, 0]
    assert together[0].final.anything is (kernel == "v6.12")


def test_a_group_that_is_shared_is_open_once() -> None:
    first, second = play_together([stream("qemu-two-groups"), stream("qemu-memory-hotplug")], share="groups")
    refused = [d for d in (*first.differences, *second.differences) if (d.op, d.actual) == ("open", -16)]
    assert len(refused) == 1


def test_in_one_address_space_a_range_is_pinned_once() -> None:
    streams = [stream("dpdk-heap-grow-shrink")] * 2
    apart, one = (Session.boot(streams, "fixed", share=share) for share in ("", "mm"))
    pins = []
    for session in (apart, one):
        for cursor, actor in [(Cursor(streams[0].program.setup), actor) for actor in range(2)]:
            for chunk in cursor.until(100):
                session.make(chunk, actor)
        session.settle()
        pins.append(session.remains().pinned_pages)
    assert pins[0] == 2 * pins[1] > 0


def test_one_address_space_has_one_size_of_page_at_an_address() -> None:
    huge = stream("dpdk-heap-grow-shrink")
    small = structs.replace(huge, backing_shift=16)
    with pytest.raises(ValueError, match="one address space has one size of page at 0x"):
        play_together([huge, small], share="mm")
    with pytest.raises(ValueError, match="share: found 'fds', expected groups, mm or nothing"):
        play_together([huge, huge], share="fds")


def test_progress_is_told_when_they_play_together_too() -> None:
    told: list[int] = []
    streams = [stream("dpdk-heap-grow-shrink")] * 4
    play_together(streams, on_progress=told.append)
    assert told == sorted(told)
    assert 0 < told[-1] <= sum(each.calls for each in streams)


# -- bad input ------------------------------------------------------------------------------------


def test_what_makes_no_sense_is_refused() -> None:
    short = stream("qemu-two-groups")
    with pytest.raises(ValueError, match=r"kill_at: found 54, expected 0 to 53"):
        play(short, kill_at=54)
    with pytest.raises(ValueError, match="borrow: found -1"):
        play(short, borrow=[-1])
    with pytest.raises(UnknownPiece, match="no kernel 'v9'"):
        play(short, "v9")


HEADER = {"format": "vfio-spapr-trace", "version": 1, "name": "s", "page_size": 4096, "threads": 1}


def written(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    header = HEADER | {"calls": sum(row.get("repeat", 1) for row in rows)}
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (header, *rows)))
    return path


def row(op: str, **keys: Any) -> dict[str, Any]:
    return {"op": op, "object": "container0", "thread": 0, "ret": 0, **keys}


OPEN = row("open", path="/dev/vfio/vfio")


def test_absurd_numbers_get_a_kernels_answer(tmp_path: Path) -> None:
    sent = {"argsz": 24, "flags": 0, "vaddr": (1 << 64) - 4096, "size": 1 << 63}
    unmap = {"argsz": 24, "flags": 0, "iova": (1 << 64) - 1, "size": 0}
    path = written(
        tmp_path,
        OPEN,
        row("open", object="group7", path="/dev/vfio/7"),
        row("VFIO_GROUP_SET_CONTAINER", object="group7", **{"in": {"container": "container0"}}),
        row("VFIO_SET_IOMMU", arg=7),
        row("VFIO_IOMMU_SPAPR_REGISTER_MEMORY", **{"in": sent}),
        row("VFIO_IOMMU_UNMAP_DMA", **{"in": unmap}),
        row("FREEZE-INJECT"),
        row("DMA-READ", object="group7", off=0, len=4096),
        row("VFIO_DEVICE_RESET", object="container0"),
    )
    result = play(load_stream(path))
    assert (result.final, result.verdict, result.unexplained) == (NOTHING, "ok", 0)
    assert result.by_op["VFIO_IOMMU_SPAPR_REGISTER_MEMORY"].errors == 1
    assert any("DMA" in remark for remark in result.remarks)


def test_calls_out_of_order_are_explained(tmp_path: Path) -> None:
    path = written(tmp_path, OPEN, row("VFIO_IOMMU_ENABLE"), row("RELEASE"), row("VFIO_DEVICE_RESET"))
    result = play(load_stream(path))
    assert [(d.call, d.actual, d.why) for d in result.differences] == [(1, -22, "E.2")]
    assert result.remarks == ("1 call on a device that was not open, the first on container0",)


def test_very_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.program.files.STREAM_LINES", 4)
    load_stream(written(tmp_path, OPEN, *[row("VFIO_GET_API_VERSION")] * 2))
    with pytest.raises(ProgramError, match=r"line 5: more than 4 lines; a row may have repeat"):
        load_stream(written(tmp_path, OPEN, *[row("VFIO_GET_API_VERSION")] * 4))


def test_a_truncated_stream_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, OPEN, row("RELEASE"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ProgramError, match=r"line 3 byte \d+: not JSON"):
        load_stream(path)


# -- parts ----------------------------------------------------------------------------------------


def test_a_cursor_takes_every_call_once() -> None:
    cursor = Cursor(stream("qemu-nvme-ddw").program.setup)
    first = list(cursor.until(100_000))
    rest = list(cursor.until(None))
    assert sum(chunk.calls for chunk in first) == 100_000
    assert [chunk.call for chunk in rest][:1] == [100_000]
    assert sum(chunk.calls for chunk in (*first, *rest)) == stream("qemu-nvme-ddw").calls
    assert cursor.take() is None


def test_memory_is_what_the_client_names() -> None:
    assert [m.size for m in memory_of(stream("qemu-two-groups"))] == [512 << 20]
    huge = memory_of(stream("dpdk-heap-grow-shrink"))
    assert all(m.shift == 21 and not m.addr % (2 << 20) for m in huge)
    assert merged([(5, 6), (0, 2), (2, 3), (1, 3)]) == [(0, 3), (5, 6)]


def test_memory_of_rows_with_very_many_calls_costs_nothing(tmp_path: Path) -> None:
    sent = {"argsz": 32, "flags": 3, "vaddr": 1 << 30, "iova": 0, "size": 4096}
    map_row = row("VFIO_IOMMU_MAP_DMA", repeat=1 << 24, stride={"vaddr": 8192}, **{"in": sent})
    (mapping,) = memory_of(load_stream(written(tmp_path, OPEN, map_row)))
    assert (mapping.addr, mapping.size) == (1 << 30, (1 << 37) - 4096)
    down = row("VFIO_IOMMU_MAP_DMA", repeat=3, stride={"vaddr": -4096}, **{"in": sent})
    (mapping,) = memory_of(load_stream(written(tmp_path, OPEN, down)))
    assert (mapping.addr, mapping.size) == ((1 << 30) - 8192, 12288)
