"""Whatever is wrong with the input: one line that says where and what was expected, and exit code 2."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

VECTOR_FILE: dict[str, Any] = {
    "format": "vfio-spapr-vectors",
    "version": 1,
    "generation": "v6.12",
    "page_size": 65536,
    "vectors": [
        {"name": "one", "steps": [{"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": "C0", "ret": 0}]}
    ],
}
PROGRAM: dict[str, Any] = {
    "format": "tcemu-program",
    "version": 1,
    "name": "one",
    "setup": [],
    "threads": [{"name": "qemu", "actor": 0, "steps": [{"op": "exit"}]}],
}
STREAM_HEADER: dict[str, Any] = {
    "format": "vfio-spapr-trace",
    "version": 1,
    "name": "one",
    "page_size": 65536,
    "calls": 1,
    "threads": 1,
}


def changed(base: dict[str, Any], path: str, value: object) -> str:
    """A file as JSON with one field changed; the path is dotted."""
    copy = json.loads(json.dumps(base))
    *outer, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inside = copy
    for part in outer:
        inside = inside[part]
    inside[last] = value
    return json.dumps(copy)


VECTOR_CASES = {
    "empty": ("", "expected a JSON object"),
    "truncated": (json.dumps(VECTOR_FILE)[:120], "not JSON"),
    "no-object": ("[1, 2]", "expected a JSON object"),
    "zeros": ("\0" * 4096, "expected a JSON object"),
    "page-size-3": (changed(VECTOR_FILE, "page_size", 3), "page_size: found 3"),
    "negative-size": (changed(VECTOR_FILE, "page_size", -65536), "page_size: found -65536"),
    "over-64-bit": (changed(VECTOR_FILE, "page_size", 1 << 70), "page_size"),
    "unknown-kernel": (changed(VECTOR_FILE, "generation", "v6.13"), "generation: no kernel 'v6.13'"),
    "unknown-op": (changed(VECTOR_FILE, "vectors.0.steps.0.op", "opne"), "vectors[0].steps[0].op"),
    "wrong-field": (changed(VECTOR_FILE, "vectors.0.steps.0.actor", "a"), "vectors[0].steps[0].actor"),
    "unknown-format": (changed(VECTOR_FILE, "format", "vfio"), "format"),
}
PROGRAM_CASES = {
    "truncated": (json.dumps(PROGRAM)[:60], "not JSON"),
    "unknown-op": (changed(PROGRAM, "threads.0.steps.0.op", "exti"), "threads[0].steps[0].op"),
    "unknown-field": (changed(PROGRAM, "threads.0.nice", 5), "threads[0]"),
    "absurd-machine": (changed(PROGRAM, "machine", {"page_size": 3}), "machine.page_size: found 3"),
    "thousands-of-cpus": (changed(PROGRAM, "machine", {"cpus": 1 << 65}), "machine.cpus"),
    "unknown-kernel": (changed(PROGRAM, "kernels", ["v6.13"]), "no kernel 'v6.13'"),
    "unknown-defect": (changed(PROGRAM, "with", ["ioctl-vs-relaese"]), "ioctl-vs-release"),
}
STREAM_CASES = {
    "empty": ("", "expected a JSON object"),
    "zeros": ("\0" * 4096, "expected a JSON object"),
    "too-few-calls": (json.dumps(STREAM_HEADER), "expected the header's 1"),
    "unknown-object": (
        json.dumps(STREAM_HEADER) + '\n{"op": "VFIO_IOMMU_ENABLE", "object": "container9"}\n',
        "line 2",
    ),
    "page-size-3": (changed(STREAM_HEADER, "page_size", 3), "page_size"),
}


def assert_refused(finished: Any, *, words: str, file: Path | None = None) -> None:
    """Exit code 2, nothing printed, one line on standard error that begins with the file."""
    assert finished.returncode == 2, finished
    assert "Traceback" not in finished.stderr
    assert finished.stderr.count("\n") == 1, finished.stderr
    assert words in finished.stderr
    if file is not None:
        assert finished.stderr.startswith(f"{file}: ")


@pytest.mark.parametrize("case", VECTOR_CASES)
def test_vectors(case: str, tcemu: Any, tmp_path: Path) -> None:
    text, words = VECTOR_CASES[case]
    file = tmp_path / "vectors.json"
    file.write_text(text)
    assert_refused(tcemu("conform", file), words=words, file=file)


@pytest.mark.parametrize("case", PROGRAM_CASES)
def test_programs(case: str, tcemu: Any, tmp_path: Path) -> None:
    text, words = PROGRAM_CASES[case]
    file = tmp_path / "program.json"
    file.write_text(text)
    assert_refused(tcemu("stress", file), words=words, file=file)


@pytest.mark.parametrize("case", STREAM_CASES)
def test_streams(case: str, tcemu: Any, tmp_path: Path) -> None:
    text, words = STREAM_CASES[case]
    file = tmp_path / "stream.jsonl"
    file.write_text(text)
    assert_refused(tcemu("play", file), words=words, file=file)


def test_damaged_gzip(tcemu: Any, tmp_path: Path) -> None:
    file = tmp_path / "stream.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(STREAM_HEADER).encode() * 50)[:40])
    assert_refused(tcemu("play", file), words="damaged or truncated", file=file)


USES = {
    "no-command": (["conforn"], "did you mean conform?"),
    "no-such-option": (["conform", "--jsno", "x"], "--json"),
    "no-file-given": (["conform"], "FILE"),
    "no-such-file": (["conform", "absent.json"], "absent.json: cannot be read: No such file"),
    "a-folder": (["conform", "."], "Is a directory"),
    "kernel": (["conform", "absent.json", "--kernel", "v6.21"], "no kernel 'v6.21'; did you mean v6.12?"),
    "defect": (["conform", "x", "--kernel", "fixed", "--with", "ioctl-vs-relaese"], "mean ioctl-vs-release?"),
    "not-there": (["conform", "x", "--kernel", "fixed", "--without", "lookup-uaf"], "not have lookup-uaf"),
    "diff": (["kernels", "diff", "v4.10", "fixd"], "did you mean fixed?"),
    "show": (["defects", "show", "lookup-usf"], "did you mean lookup-uaf?"),
    "number": (["conform", "absent.json", "--failures", "-1"], "--failures"),
    "shell": (["completion", "tcsh"], "bash"),
    "stream": (["play", "qemu-rtl8193"], "did you mean qemu-rtl8139?"),
    "no-stream": (["play", "nope"], "no built-in recording 'nope'; there are dpdk-4k-pages, "),
    "dask": (["fuzz", "--dask", "scheduler:8786"], "no Dask scheduler at scheduler:8786: expected tcp://"),
    "kill-at": (["play", "qemu-eeh", "--kill-at", "sometimes"], "--kill-at"),
    "schedules": (["stress", "--schedules", "0"], "--schedules"),
    "seconds": (["stress", "--seconds", "-3"], "--seconds"),
    "seconds-nan": (["stress", "--seconds", "nan"], "'--seconds': found nan, expected a number above 0"),
    "seconds-inf": (["fuzz", "--seconds", "inf"], "'--seconds': found inf, expected a number above 0"),
    "seed": (["stress", "--seed", "first"], "--seed"),
    "strategy": (["stress", "--strategy", "dpro"], "dpor"),
    "fail-nth": (["stress", "--fail-nth", "often"], "--fail-nth"),
    "scenario": (["stress", "nowhere:scenario"], "nowhere"),
    "program": (["stress", "exit-with-lazy-borower"], "exit-with-lazy-borrower"),
    "replay": (["replay", "absent.json"], "absent.json"),
    "command-of-group": (["defects", "ioctl-vs-release"], "no command 'ioctl-vs-release'; there is show"),
    "command-of-log": (["log", "tre"], "did you mean tree?"),
}  # fmt: skip


@pytest.mark.parametrize("case", USES)
def test_usage(case: str, tcemu: Any) -> None:
    args, words = USES[case]
    assert_refused(tcemu(*args), words=words)


ROW = ["stress", "exit-with-lazy-borrower", "--kernel", "v4.9", "--schedules", "20"]


@pytest.mark.parametrize(
    "command",
    [
        [*ROW, "--markdown"],
        [*ROW, "--log"],
        ["play", "qemu-eeh", "--log"],
        ["fuzz", "--programs", "1", "--curve"],
    ],
    ids=" ".join,
)
def test_a_file_that_cannot_be_written_is_named(command: list[str], tcemu: Any, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    done = tcemu(*command, "taken/file")
    assert done.returncode == 2
    assert re.search(r"\btaken/file: cannot be written: Not a directory\b", done.stderr), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_log_does_not_replace_the_failure(tcemu: Any, tmp_path: Path) -> None:
    tcemu("stress", "exit-with-lazy-borrower", "--kernel", "v4.9", "--schedules", "20")
    (kept,) = tmp_path.glob(".tcemu/failures/*.json")
    before = kept.read_bytes()
    assert_refused(tcemu("replay", kept, "--log", kept), words="is the failure itself")
    assert kept.read_bytes() == before


def test_results_so_far_are_kept(tcemu: Any, tmp_path: Path, vectors: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    good = vectors / "linux-6.12-powernv8-hugetlb.json"
    finished = tcemu("conform", good, bad, good, "--json")
    assert finished.returncode == 2
    assert [file["vectors_passed"] for file in json.loads(finished.stdout)["files"]] == [11, 11]
    assert re.fullmatch(r".*bad\.json: .*not JSON.*\n", finished.stderr)
