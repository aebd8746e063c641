"""Reads a recorded client stream row by row into one program."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from actors.program import fields as f
from actors.program.errors import Refusal, refuse
from actors.program.fields import Reader
from actors.program.programs import require_format
from actors.program.steps import MOST_CALLS
from actors.program.streams.calls import CALLS, Call
from actors.program.streams.rows import ROW, observed, sent_fields, stride_fields
from actors.program.values import TIB, FrozenDict, MachineSpec, Program, Step, Stream

FORMAT = "vfio-spapr-trace"
SHIFT_2M = 21
_POOL_2M = TIB // 2 >> SHIFT_2M  # Half of the memory: no recorded client asks for more.
_BYTES_OPS = ("pread", "pwrite", "dma_read", "dma_write")
_GROUP_PATH = re.compile(r"/dev/vfio/(\d{1,9})", re.ASCII)
_HEADER: Mapping[str, Reader] = {
    "format": f.anything,
    "version": f.anything,
    "name": f.title,
    "about": f.prose,
    "page_size": f.one_of(4096, 65536),
    "calls": f.number(0, MOST_CALLS),
    "threads": f.number(1, 1024),
}


class StreamReader:
    """Turns rows into steps; knows which objects were opened and which groups there are."""

    def __init__(self, header: object, file: str) -> None:
        require_format(header, FORMAT)
        self.file = file
        self.header = f.record(header, _HEADER, ("name", "page_size", "calls", "threads"))
        self.calls = 0
        self._steps: list[Step] = []
        self._opened: set[str] = set()
        self._group_indices: dict[str, int] = {}

    def add(self, raw: object) -> None:
        """Take one more row.

        Raises:
            Refusal: With the path inside the row.
        """
        row = f.record(raw, ROW, ("op", "object"))
        if row.get("thread", 0) >= self.header["threads"]:
            expected = f"less than the header's threads, {self.header['threads']}"
            raise refuse(row["thread"], expected).within("thread")
        step = self._step(row, CALLS[row["op"]])
        self._note_names(step)
        self.calls += step.repeat
        if self.calls > self.header["calls"]:
            raise Refusal(f"more calls than the header's {self.header['calls']}", "repeat")
        self._steps.append(step)

    def end(self) -> Stream:
        """The whole stream.

        Raises:
            Refusal: Fewer calls than the header says.
        """
        if self.calls < self.header["calls"]:
            expected = f"the header's {self.header['calls']}"
            raise Refusal(f"the file ends after {self.calls} calls, expected {expected}")
        hugetlb = any(step.op == "create" and step.page_shift == SHIFT_2M for step in self._steps)
        program = Program(
            name=self.header["name"],
            about=self.header.get("about", ""),
            machine=self._machine(hugetlb),
            setup=tuple(self._steps),
        )
        page_shift = self.header["page_size"].bit_length() - 1
        shift = SHIFT_2M if hugetlb else page_shift
        return Stream(self.file, program, self.calls, self.header["threads"], shift)

    def _machine(self, hugetlb: bool) -> MachineSpec:
        return MachineSpec(
            page_size=self.header["page_size"],
            groups=max(1, len(self._group_indices)),
            memory_bytes=TIB,
            hugepages=FrozenDict({"2M": _POOL_2M} if hugetlb else {}),
        )

    def _step(self, row: Mapping[str, Any], call: Call) -> Step:
        values = {key: row[key] for key in ("off", "len", "data") if key in row and call.op in _BYTES_OPS}
        values |= sent_fields(row, call) | stride_fields(row, call)
        if call.op == "open":
            values |= self._open(row)
        return Step(
            op=call.op,
            actor=0,
            fd=row["object"],
            thread=row.get("thread"),
            call=row["op"],
            repeat=row.get("repeat", 1),
            observed=observed(row),
            **values,
        )

    def _open(self, row: Mapping[str, Any]) -> dict[str, Any]:
        path = row.get("path")
        if path == "/dev/vfio/vfio":
            return {"path": path}
        match = _GROUP_PATH.fullmatch(path or "")
        if match is None:
            raise refuse(path, "/dev/vfio/vfio or /dev/vfio/ and a group's number").within("path")
        index = self._group_indices.setdefault(match[1], len(self._group_indices))
        return {"path": "/dev/vfio/<group>", "group_index": index}

    def _note_names(self, step: Step) -> None:
        if step.op == "open":
            self._opened.add(step.fd or "")
        if step.fd not in self._opened:
            raise Refusal(f"{step.fd!r} was not opened before", "object")
        if step.op == "setcont" and step.container not in self._opened | {"-1"}:
            raise Refusal(f"{step.container!r} was not opened before", "in", "container")
        if step.newfd is not None:
            self._opened.add(step.newfd)


def read_stream(lines: Iterable[tuple[str, object]], file: str) -> Stream:
    """A stream from its lines.

    Args:
        lines: Where each line is ("line 12") and what JSON it holds; the header first.
        file: For messages.

    Raises:
        ProgramError: Naming the line.
    """
    reader, place = None, "line 1"
    try:
        for place, raw in lines:  # noqa: B007 - the refusal names the last place
            if reader is None:
                reader = StreamReader(raw, file)
            else:
                reader.add(raw)
        if reader is None:
            raise Refusal("found nothing, expected a JSON object")
        return reader.end()
    except Refusal as refusal:
        raise refusal.at(file, place) from None
