"""Every shipped client stream loads; rows become steps; truncation and nonsense are named."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.program import (
    Address,
    FrozenDict,
    ProgramError,
    Step,
    Stream,
    builtin_streams,
    check_program,
    expand,
    load,
    load_stream,
    parse_exact,
    write_program,
)

STREAMS = builtin_streams()
HEADER = {
    "format": "vfio-spapr-trace",
    "version": 1,
    "name": "s",
    "about": "",
    "page_size": 4096,
    "threads": 1,
}
OPEN = {"op": "open", "thread": 0, "object": "container0", "path": "/dev/vfio/vfio", "ret": 0}
GROUP = {"op": "open", "thread": 0, "object": "group7", "path": "/dev/vfio/7", "ret": 0}


def row(op: str, **keys: Any) -> dict[str, Any]:
    return {"op": op, "thread": 0, "object": "container0", "ret": 0, **keys}


def unmap(**keys: Any) -> dict[str, Any]:
    sent = {"argsz": 24, "flags": 0, "iova": 0, "size": 4096}
    return row("VFIO_IOMMU_UNMAP_DMA", **{"in": sent | keys.pop("sent", {}), **keys})


def read(tmp_path: Path, *rows: object, **header: Any) -> Stream:
    calls = sum(each.get("repeat", 1) for each in rows if isinstance(each, dict) and each.get("repeat") != 0)
    lines = [{**HEADER, "calls": calls, **header}, *rows]
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return load_stream(tmp_path / "s.jsonl")


def test_the_shipped_streams() -> None:
    assert sorted(STREAMS) == [
        "dpdk-4k-pages",
        "dpdk-heap-grow-shrink",
        "qemu-eeh",
        "qemu-levels-fatal",
        "qemu-memory-hotplug",
        "qemu-nvme-ddw",
        "qemu-rtl8139",
        "qemu-two-groups",
        "qemu-v1-fallback",
    ]


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_every_stream_loads(name: str) -> None:
    lines = [json.loads(line) for line in gzip.decompress(STREAMS[name].read_bytes()).splitlines()]
    stream = load_stream(STREAMS[name])
    assert stream.program.name == name
    assert stream.calls == lines[0]["calls"] == sum(step.repeat for step in stream.program.setup)
    assert Counter(step.call for step in stream.program.setup) == Counter(line["op"] for line in lines[1:])
    assert stream.backing_shift == (21 if name == "dpdk-heap-grow-shrink" else 12)
    check_program(stream.program)


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_the_shipped_files_are_packed_reproducibly(name: str) -> None:
    assert STREAMS[name].read_bytes()[4:8] == bytes(4)


def test_a_stream_survives_being_written() -> None:
    program = load_stream(STREAMS["qemu-rtl8139"]).program
    assert parse_exact(write_program(program)) == program


def test_unpacked_and_packed_are_the_same(tmp_path: Path) -> None:
    packed = STREAMS["qemu-eeh"]
    (tmp_path / "plain").write_bytes(gzip.decompress(packed.read_bytes()))
    plain = load(tmp_path / "plain")
    assert isinstance(plain, Stream)
    assert plain.program == load_stream(packed).program


def test_a_row_becomes_a_step(tmp_path: Path) -> None:
    sent = {"argsz": 32, "flags": 3, "vaddr": 1 << 46, "iova": 0, "size": 4096}
    map_row = row("VFIO_IOMMU_MAP_DMA", ret=-1, errno="EBUSY", **{"in": sent})
    step = read(tmp_path, OPEN, map_row).program.setup[1]
    assert (step.op, step.call, step.fd, step.thread, step.actor) == (
        "map",
        "VFIO_IOMMU_MAP_DMA",
        "container0",
        0,
        0,
    )
    assert (step.vaddr, step.size, step.argsz) == (Address(None, 1 << 46), Address(None, 4096), 32)
    assert step.observed is not None
    assert step.observed.ret == -16
    assert step.ret is None


def test_groups_are_counted_by_path(tmp_path: Path) -> None:
    other = {**GROUP, "object": "group8", "path": "/dev/vfio/8"}
    stream = read(tmp_path, GROUP, other, GROUP)
    assert [step.group_index for step in stream.program.setup] == [0, 1, 0]
    assert stream.program.machine.groups == 2


def test_replies_have_the_names_of_the_vectors(tmp_path: Path) -> None:
    info = row(
        "VFIO_IOMMU_SPAPR_TCE_GET_INFO",
        out={"flags": 1, "ddw_levels": 5},
        **{"in": {"argsz": 32, "flags": 9}},
    )
    step = read(tmp_path, OPEN, info).program.setup[1]
    assert step.observed is not None
    assert step.observed.out == {"flags": 1, "ddw.levels": 5}


@pytest.mark.parametrize("name", ["DMA-READ", "DMA-WRITE", "pread", "pwrite"])
def test_rows_with_bytes(name: str, tmp_path: Path) -> None:
    got = {"op": "VFIO_GROUP_GET_DEVICE_FD", "object": "group7", "in": {"name": "0000:01:00.0"}, "ret": 0}
    bytes_row = {"op": name, "object": "0000:01:00.0", "off": 4096, "len": 2, "data": "beef"}
    step = read(tmp_path, GROUP, got, bytes_row).program.setup[2]
    assert (step.off, step.len, step.data, step.fd) == (4096, 2, "beef", "0000:01:00.0")


def test_expand_moves_the_strided_fields(tmp_path: Path) -> None:
    step = read(tmp_path, OPEN, unmap(repeat=3, stride={"iova": 4096})).program.setup[1]
    calls = list(expand(step))
    assert [call.iova for call in calls] == [Address(None, 0), Address(None, 4096), Address(None, 8192)]
    assert all(call.repeat == 1 and call.stride is None for call in calls)


def test_expand_without_stride_repeats() -> None:
    step = Step("unmap", iova=Address(None, 5), repeat=2)
    assert [call.iova for call in expand(step)] == [Address(None, 5)] * 2
    moved = Step("unmap", iova=Address(None, 8192), repeat=2, stride=FrozenDict({"iova": -4096}))
    assert [call.iova for call in expand(moved)] == [Address(None, 8192), Address(None, 4096)]


REFUSED: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
    ([], {"format": "y"}, "line 1 format: found 'y', expected vfio-spapr-trace"),
    ([], {"version": 9}, "line 1 version: found 9, expected 1"),
    ([], {"page_size": 3}, "line 1 page_size: found 3, expected 4096 or 65536"),
    ([], {"calls": -1}, "line 1 calls: found -1, expected a whole number"),
    ([], {"x": 0}, "line 1 x: unknown key"),
    ([OPEN], {"calls": 2}, "line 2: the file ends after 1 calls, expected the header's 2"),
    ([OPEN, OPEN], {"calls": 1}, "line 3 repeat: more calls than the header's 1"),
    ([row("VFIO_FLY")], {}, "line 2 op: found 'VFIO_FLY', expected open or RELEASE"),
    ([row("VFIO_IOMMU_ENABLE")], {}, "line 2 object: 'container0' was not opened before"),
    ([{"op": "RELEASE", "object": "group7"}], {}, "line 2 object: 'group7' was not opened before"),
    ([{**OPEN, "note": 1}], {}, "line 2 note: unknown key"),
    ([{**OPEN, "path": "/etc/passwd"}], {}, "line 2 path: found '/etc/passwd', expected /dev/vfio/vfio or"),
    ([{**OPEN, "thread": 1}], {}, "line 2 thread: found 1, expected less than the header's threads, 1"),
    ([{"op": "open", "path": "/dev/vfio/vfio"}], {}, "line 2 object: missing"),
    ([OPEN, row("VFIO_SET_IOMMU")], {}, "line 3 arg: missing"),
    ([OPEN, row("VFIO_SET_IOMMU", arg=-7)], {}, "line 3 arg: found -7, expected a whole number"),
    ([OPEN, row("VFIO_IOMMU_ENABLE", ret=-16)], {}, "line 3 ret: found -16, expected a whole number from -1"),
    ([OPEN, row("VFIO_IOMMU_ENABLE", ret=-1)], {}, "line 3 errno: missing, expected the name of the error"),
    (
        [OPEN, row("VFIO_IOMMU_ENABLE", errno="EWHAT")],
        {},
        "line 3 errno: found 'EWHAT', expected the name of",
    ),
    ([OPEN, unmap(sent={"size": -1})], {}, "line 3 in.size: found -1, expected a size"),
    ([OPEN, unmap(sent={"iova": 1 << 64})], {}, f"line 3 in.iova: found {1 << 64}, expected a size"),
    (
        [OPEN, unmap(sent={"vaddr": 0})],
        {},
        "line 3 in.vaddr: unknown key, expected one of argsz, flags, iova, size",
    ),
    ([OPEN, row("VFIO_IOMMU_UNMAP_DMA")], {}, "line 3 in.argsz: missing"),
    ([OPEN, unmap(repeat=0)], {}, "line 3 repeat: found 0, expected a whole number from 1"),
    ([OPEN, unmap(repeat=2, stride={"vaddr": 1})], {}, "line 3 stride.vaddr: no number of `in`"),
    (
        [OPEN, unmap(repeat=2, stride={"iova": -1})],
        {},
        "line 3 stride.iova: found -1, expected a stride that stays",
    ),
    (
        [
            GROUP,
            {
                "op": "VFIO_GROUP_SET_CONTAINER",
                "object": "group7",
                "in": {"container": "container0"},
                "ret": 0,
            },
        ],
        {},
        "line 3 in.container: 'container0' was not opened before",
    ),
]


@pytest.mark.parametrize(("rows", "header", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_refusals(rows: list[dict[str, Any]], header: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as caught:
        read(tmp_path, *rows, **header)
    assert str(caught.value).startswith(f"{tmp_path / 's.jsonl'}: {message}")
    assert len(str(caught.value).splitlines()) == 1


PLAIN = gzip.decompress(STREAMS["qemu-v1-fallback"].read_bytes())
PACKED = STREAMS["qemu-v1-fallback"].read_bytes()


@settings(deadline=None, derandomize=True)
@given(st.integers(0, len(PLAIN) - 2), st.booleans())
def test_a_truncated_stream_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, end: int, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "cut"
    path.write_bytes(PACKED[: end % len(PACKED)] if packed else PLAIN[:end])
    for read_any in (load_stream, load):
        with pytest.raises(ProgramError):
            read_any(path)


def test_a_damaged_gzip_is_named(tmp_path: Path) -> None:
    broken = bytearray(PACKED)
    broken[-5] ^= 0xFF
    (tmp_path / "s").write_bytes(broken)
    with pytest.raises(ProgramError, match="s: gzip: damaged or truncated: CRC check failed"):
        load_stream(tmp_path / "s")


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    pack = zlib.compressobj(9, wbits=31)
    (tmp_path / "s").write_bytes(b"".join(pack.compress(bytes(1 << 20)) for _ in range(200)) + pack.flush())
    with pytest.raises(ProgramError, match="s: line 1: longer than a line"):
        load_stream(tmp_path / "s")
