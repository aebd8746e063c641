"""Recordings that are none: each gets one line that says where and what was expected, and exit code 2."""

from __future__ import annotations

import gzip
import json
import random
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.program import builtin_streams
from tests.e2e.conftest import environment

PACKED = builtin_streams()["qemu-two-groups"].read_bytes()
LINES = gzip.decompress(PACKED).decode().splitlines(keepends=True)
ROWS = [json.loads(line) for line in LINES]
KIB = 1 << 10
MOST_KIB = 1_500_000
"""Address space that the command may have."""


def row_of(op: str) -> int:
    """The first row of a call."""
    return next(at for at, row in enumerate(ROWS) if row.get("op") == op)


REGISTER = row_of("VFIO_IOMMU_SPAPR_REGISTER_MEMORY")


def with_change(at: int, **keys: Any) -> str:
    """The recording with keys of one row changed."""
    rows = [row | keys if index == at else row for index, row in enumerate(ROWS)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def zeros(path: Path) -> None:
    """10 GB without a block on the disk."""
    with path.open("wb") as file:
        file.truncate(10 << 30)


def bomb(path: Path) -> None:
    """64 MiB of zeros in 64 KiB."""
    path.write_bytes(gzip.compress(bytes(64 << 20), compresslevel=1))


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut.jsonl.gz": (lambda path: path.write_bytes(PACKED[: len(PACKED) // 2]), "damaged or truncated"),
    "cut-line.jsonl": (text("".join(LINES)[:-5]), f"line {len(LINES)} byte {len(LINES[-1]) - 5}: not JSON: "),
    "cut-calls.jsonl": (text("".join(LINES[:-3])), "the file ends after 50 calls, expected the header's 53"),
    "reordered.jsonl": (
        text("".join([LINES[0], *LINES[REGISTER:], *LINES[1:REGISTER]])),
        "line 2 object: 'container0' was not opened before",
    ),
    "unknown.jsonl": (
        text(with_change(REGISTER, object="container9")),
        f"line {REGISTER + 1} object: 'container9' was not opened before",
    ),
    "call.jsonl": (text(with_change(REGISTER, op="VFIO_DANCE")), f"line {REGISTER + 1} op: found 'VFIO_DA"),
    "type.jsonl": (
        text(with_change(REGISTER, **{"in": ROWS[REGISTER]["in"] | {"size": [1]}})),
        f"line {REGISTER + 1} in.size: found an array of 1, expected a size",
    ),
    "repeat.jsonl": (text(with_change(REGISTER, repeat=-1)), f"line {REGISTER + 1} repeat: found -1"),
    "header.jsonl": (text(with_change(0, calls="many")), "line 1 calls: found 'many', expected a"),
    "zeros.jsonl": (zeros, "line 1: longer than a line"),
    "bomb.jsonl.gz": (bomb, "line 1: longer than a line"),
    "empty.jsonl": (text(""), "line 1: found nothing, expected a JSON object"),
    "binary.jsonl": (
        lambda path: path.write_bytes(b"\x7fELF" + random.Random(1).randbytes(4096)),
        "line 1: found '\\x7fELF",
    ),
    "folder.jsonl": (Path.mkdir, "cannot be read: Is a directory"),
    "missing.jsonl": (lambda path: None, "cannot be read: No such file or directory"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all the bad files."""
    place = tmp_path_factory.mktemp("streams")
    for name, (write, _) in FILES.items():
        write(place / name)
    return place


def played(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """``tcemu play`` in a folder, with little memory."""
    command = shlex.join([sys.executable, "-m", "actors.cli", "play", *args])
    return subprocess.run(
        ["sh", "-c", f"ulimit -v {MOST_KIB}; exec {command}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(OPENBLAS_NUM_THREADS="1"),
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def refusals(folder: Path) -> list[str]:
    """What is said of all of them, named in one command."""
    finished = played(folder, *FILES)
    assert (finished.returncode, finished.stdout.count("\n")) == (2, 0), finished
    return finished.stderr.splitlines()


@pytest.mark.parametrize("name", FILES)
def test_each_bad_recording_gets_one_line(name: str, refusals: list[str]) -> None:
    (line,) = [line for line in refusals if line.startswith(f"{name}: ")]
    assert FILES[name][1] in line
    assert len(line) < KIB


def test_nothing_else_is_said(refusals: list[str]) -> None:
    assert [line.split(":")[0] for line in refusals] == list(FILES)


@pytest.mark.parametrize("name", ["zeros.jsonl", "missing.jsonl"])
def test_alone_it_ends_with_two(name: str, folder: Path) -> None:
    finished = played(folder, name)
    assert (finished.returncode, finished.stdout, finished.stderr.count("\n")) == (2, "", 1)


def test_none_of_them_is_a_log_of_strace(folder: Path) -> None:
    finished = played(folder, *(word for name in FILES for word in ("--from-strace", name)))
    assert (finished.returncode, finished.stdout, "Traceback" in finished.stderr) == (2, "", False)
    assert [line.split(":")[0] for line in finished.stderr.splitlines()] == list(FILES)


def test_good_ones_beside_a_bad_one_are_played(folder: Path) -> None:
    finished = played(folder, "zeros.jsonl", "qemu-two-groups", "--json")
    assert finished.returncode == 2
    assert [each["calls"] for each in json.loads(finished.stdout)["files"]] == [53]


def test_together_a_bad_one_ends_it(folder: Path) -> None:
    finished = played(folder, "qemu-two-groups", "zeros.jsonl", "--interleave", "1")
    assert (finished.returncode, finished.stdout, finished.stderr.count("\n")) == (2, "", 1)


SHARING = {
    "needs-interleave": (["qemu-two-groups", "qemu-eeh", "--share", "mm"], "--share goes with --interleave"),
    "needs-two": (["qemu-two-groups", "--interleave", "1", "--share", "mm"], "shares with nobody"),
    "word": (["qemu-two-groups", "--interleave", "1", "--share", "fds"], "'groups', 'mm'"),
    "kill": (["qemu-eeh", "qemu-eeh", "--interleave", "1", "--kill-at", "3"], "neither --kill-at nor"),
}


@pytest.mark.parametrize("case", SHARING)
def test_what_cannot_be_shared_is_said_in_one_line(case: str, folder: Path) -> None:
    args, words = SHARING[case]
    finished = played(folder, *args)
    assert (finished.returncode, finished.stdout, finished.stderr.count("\n")) == (2, "", 1), finished
    assert words in finished.stderr


def test_pages_of_two_sizes_do_not_fit_in_one_address_space(folder: Path) -> None:
    """A copy of a client without hugepages, at the addresses of one that has them."""
    small = next(row for row in ROWS if row.get("op") == "VFIO_IOMMU_SPAPR_REGISTER_MEMORY")
    huge = gzip.decompress(builtin_streams()["dpdk-heap-grow-shrink"].read_bytes()).decode().splitlines()
    range_of = next(row["in"] for row in map(json.loads, huge) if row.get("op") == small["op"])
    header = ROWS[0] | {"calls": 2, "page_size": json.loads(huge[0])["page_size"], "name": "small"}
    rows = [header, ROWS[row_of("open")] | {"object": "container0", "path": "/dev/vfio/vfio"}]
    rows.append(small | {"object": "container0", "thread": 0, "in": range_of})
    (folder / "small.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    finished = played(folder, "dpdk-heap-grow-shrink", "small.jsonl", "--interleave", "1", "--share", "mm")
    assert (finished.returncode, finished.stdout, finished.stderr.count("\n")) == (2, "", 1), finished
    assert "one address space has one size of page at" in finished.stderr
