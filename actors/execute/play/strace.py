"""Reading an ``strace`` log of a VFIO client as far as such a log goes.

Made by ``strace -f -X raw -e trace=openat,close,ioctl,dup -o FILE CLIENT``. A raw log has the number of
each request and, where the argument is a number itself, the argument. It does not have the structs that
arguments point to: addresses and sizes of REGISTER, MAP, UNMAP, TCE_CREATE and TCE_REMOVE are not in it, so
those calls are left out, and said to be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from actors.kernel import uapi
from actors.program import MachineSpec, Observed, Program, ProgramError, Step, Stream
from actors.program.fields import ERRNO_BY_NAME
from actors.program.files import LINE_BYTES, STREAM_BYTES, opened

LINE = re.compile(
    r"(?:\[pid\s+(?P<pid>\d+)\]\s+|(?P<tid>\d+)\s+)?(?:[\d:.]+\s+)?"
    r"(?P<name>\w+)\((?P<args>.*)\)\s+=\s+(?P<ret>0x[0-9a-f]+|-?\d+|\?)(?:<[^>]*>)?(?:\s+(?P<errno>E[A-Z0-9]+))?"
)
UNFINISHED = re.compile(r"(?P<head>.*?)\s*<unfinished \.\.\.>$")
RESUMED = re.compile(r"(?P<who>.*?)<\.\.\. (?P<name>\w+) resumed>(?P<tail>.*)$")
WHO = re.compile(r"^(?:\[pid\s+(\d+)\]|(\d+))?\s*")
GROUP_PATH = re.compile(r"/dev/vfio/(\d{1,9})$")
VFIO_LOW = uapi.VFIO_GET_API_VERSION & 0xFFFF
DIRECTIONS = (0, 0x20000000)
"""What may stand above the low half of a request: ``_IO`` as x86 and as powerpc spell it."""

LOG_LINES = 1 << 22
"""Lines that a log may have: many calls of a client are no business of VFIO's."""

DEVICE_NUMBERS = range(7, 12)
"""Requests of a device's descriptor, counted from GET_API_VERSION; those of containers begin at 12."""


class Known(NamedTuple):
    """A request whose argument is all in the log."""

    op: str
    field: str | None = None


KNOWN: Mapping[int, Known] = {
    uapi.VFIO_GET_API_VERSION: Known("api"),
    uapi.VFIO_CHECK_EXTENSION: Known("chkext", "extension"),
    uapi.VFIO_SET_IOMMU: Known("setiommu", "iommu_type"),
    uapi.VFIO_GROUP_UNSET_CONTAINER: Known("unsetcont"),
    uapi.VFIO_IOMMU_ENABLE: Known("enable"),
    uapi.VFIO_IOMMU_DISABLE: Known("disable"),
}
INFERRED: Mapping[int, str] = {
    uapi.VFIO_GROUP_GET_STATUS: "status",
    uapi.VFIO_GROUP_SET_CONTAINER: "setcont",
    uapi.VFIO_GROUP_GET_DEVICE_FD: "devfd",
    uapi.VFIO_IOMMU_SPAPR_TCE_GET_INFO: "info",
}
"""Requests whose struct is not in the log, but can only be one thing, or hardly another."""


class StraceReader:
    """Turns the lines of a log into steps.

    Attributes:
        missing: requests that were left out because their structs are not in the log, counted by name.
        guessed: requests whose struct was inferred, counted by name.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.fds: dict[int, str] = {}
        self.kinds: dict[str, str] = {}
        self.groups: dict[str, int] = {}
        self.threads: dict[str, int] = {}
        self.pending: dict[str, str] = {}
        self.missing: Counter[str] = Counter()
        self.guessed: Counter[str] = Counter()
        self.container = ""

    def add(self, line: str) -> None:
        """Take one more line; lines that are no calls of interest are passed over."""
        line = self.whole(line.rstrip())
        match = LINE.match(line)
        carry: Callable[..., None] | None = getattr(self, f"_{match['name']}", None) if match else None
        if match is None or carry is None or match["ret"] == "?":
            return
        ret = int(match["ret"], 0)
        if ret < 0:
            ret = -ERRNO_BY_NAME.get(match["errno"] or "", 22)
        thread = self.threads.setdefault(match["pid"] or match["tid"] or "", len(self.threads))
        carry(match["args"].split(", "), ret, thread)

    def whole(self, line: str) -> str:
        """Join the two halves of a call that another thread's line has split."""
        who = WHO.match(line)
        key = (who[1] or who[2] or "") if who else ""
        if begun := UNFINISHED.match(line):
            self.pending[key] = begun["head"]
            return ""
        if resumed := RESUMED.match(line):
            return self.pending.pop(key, "") + resumed["tail"]
        return line

    def step(self, op: str, call: str, ret: int, thread: int, **fields: Any) -> None:
        """Enter a step."""
        seen = Observed(ret=min(ret, 0) if op in ("open", "devfd") else ret)
        self.steps.append(Step(op=op, actor=0, call=call, thread=thread, observed=seen, **fields))

    # -- system calls --------------------------------------------------------------------------

    def _openat(self, args: list[str], ret: int, thread: int) -> None:
        self.open_path(args[1] if len(args) > 1 else "", ret, thread)

    def _open(self, args: list[str], ret: int, thread: int) -> None:
        self.open_path(args[0], ret, thread)

    def open_path(self, quoted: str, ret: int, thread: int) -> None:
        """A file was opened; only VFIO's matter."""
        path = quoted.strip('"')
        match = GROUP_PATH.match(path)
        if path == "/dev/vfio/vfio":
            name = self.name("container", ret)
            self.step("open", "open", ret, thread, fd=name, path=path)
        elif match is not None:
            index = self.groups.setdefault(match[1], len(self.groups))
            name = self.name("group", ret)
            self.step("open", "open", ret, thread, fd=name, path="/dev/vfio/<group>", group_index=index)

    def name(self, kind: str, fd: int) -> str:
        """A name for a new object, known by its descriptor from now on."""
        name = f"{kind}{sum(known == kind for known in self.kinds.values())}"
        self.kinds[name] = kind
        if fd >= 0:
            self.fds[fd] = name
            self.container = name if kind == "container" else self.container
        return name

    def _close(self, args: list[str], ret: int, thread: int) -> None:
        name = self.fds.pop(descriptor(args[0]), None)
        if name is not None and name not in self.fds.values():
            self.steps.append(Step(op="release", actor=0, call="RELEASE", thread=thread, fd=name))

    def _dup(self, args: list[str], ret: int, thread: int) -> None:
        name = self.fds.get(descriptor(args[0]))
        if name is not None and ret >= 0:
            self.fds[ret] = name

    def _ioctl(self, args: list[str], ret: int, thread: int) -> None:
        name = self.fds.get(descriptor(args[0]))
        request = number(args[1]) if len(args) > 1 else None
        if name is None or request is None or request & ~0xFFFF not in DIRECTIONS:
            return
        nr = (request & 0xFFFF) - VFIO_LOW
        cmd = uapi.VFIO_GET_API_VERSION + nr
        if self.kinds[name] == "device":
            if nr in DEVICE_NUMBERS:
                self.step("device", DEVICE_NAMES[nr - 7], ret, thread, fd=name)
            return
        call = uapi.REQUEST_NAMES.get(cmd)
        if call is not None:
            self.request(call, cmd, name, args[2] if len(args) > 2 else "", ret, thread)

    def request(self, call: str, cmd: int, name: str, arg: str, ret: int, thread: int) -> None:
        """A request of a container or a group."""
        known = KNOWN.get(cmd)
        if known is not None:
            fields = {} if known.field is None else {known.field: number(arg) or 0}
            self.step(known.op, call, ret, thread, fd=name, **fields)
        elif cmd in INFERRED:
            self.infer(INFERRED[cmd], call, name, ret, thread)
        else:
            self.missing[call] += 1

    def infer(self, op: str, call: str, name: str, ret: int, thread: int) -> None:
        """A request whose struct can be guessed."""
        if op == "devfd":
            self.step(op, call, ret, thread, fd=name, newfd=self.name("device", ret))
        elif op != "setcont":
            self.step(op, call, ret, thread, fd=name)
        elif self.container:
            self.guessed[call] += 1
            self.step(op, call, ret, thread, fd=name, container=self.container)
        else:
            self.missing[call] += 1

    def words(self) -> str:
        """What was read, and what a raw log does not have."""
        parts = [f"{len(self.steps)} calls read from an strace log"]
        if self.missing:
            left_out = ", ".join(f"{name} x{count}" for name, count in sorted(self.missing.items()))
            parts.append(f"left out, because a raw log has no structs: {left_out}")
        if self.guessed:
            parts.append("taken to be meant by SET_CONTAINER: the container opened last")
        return "; ".join(parts)


DEVICE_NAMES = (
    "VFIO_DEVICE_GET_INFO",
    "VFIO_DEVICE_GET_REGION_INFO",
    "VFIO_DEVICE_GET_IRQ_INFO",
    "VFIO_DEVICE_SET_IRQS",
    "VFIO_DEVICE_RESET",
)


def descriptor(arg: str) -> int:
    """A descriptor, which ``-y`` decorates with its path; -1 for none."""
    found = number(arg.split("<", maxsplit=1)[0])
    return -1 if found is None else found


def number(arg: str) -> int | None:
    """A raw number; None for anything else."""
    try:
        return int(arg.strip(), 0)
    except ValueError:
        return None


def from_strace(path: str | Path, page_size: int = 65536) -> Stream:
    """Read the VFIO calls of a log; ``program.about`` says what could not be read.

    Args:
        path: the log, packed by gzip or not.
        page_size: bytes a kernel page on the machine that the log comes from.

    Raises:
        ProgramError: the file cannot be read, or has no VFIO call in it.
    """
    reader, file = StraceReader(), str(path)
    for line in text_lines(path):
        reader.add(line)
    if not reader.steps:
        expected = "found no open of /dev/vfio, expected an strace log of a VFIO client"
        raise ProgramError(file, "top level", expected)
    program = Program(
        name=Path(path).name.split(".")[0],
        about=reader.words(),
        machine=MachineSpec(page_size=page_size, groups=max(1, len(reader.groups)), memory_bytes=1 << 40),
        setup=tuple(reader.steps),
    )
    return Stream(file, program, len(reader.steps), len(reader.threads), page_size.bit_length() - 1)


def text_lines(path: str | Path) -> Iterator[str]:
    """The lines of a file of text that may be calls.

    Raises:
        ProgramError: it cannot be read, a line is too long, or it is too large.
    """
    total = 0
    with opened(path) as stream:
        for count, line in enumerate(iter(lambda: stream.readline(LINE_BYTES + 1), b""), 1):
            total += len(line)
            if len(line) > LINE_BYTES or total > STREAM_BYTES or count > LOG_LINES:
                raise ProgramError(str(path), f"line {count}", "longer than a line or a log may be")
            if b"(" in line or b"resumed>" in line:
                yield line.decode("utf-8", "replace")


__all__ = ["from_strace"]
