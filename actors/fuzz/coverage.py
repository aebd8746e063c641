"""Coverage that means something: what has met what, how calls ended in which state, what changed into what.

A feature is a short text. Its first word says what kind it is:

- ``pair tce_container.enabled REMOVE>MAP wr``: on this kind of object a write (``w``) of one thread's
  REMOVE was followed by a read (``r``) of another thread's MAP.
- ``lock tce_container.lock REGISTER>MAP``: a lock went from one call to another thread's.
- ``call MAP EINVAL v2 g1 w2``: how an ioctl ended, and the state of its container: version, groups,
  windows.
- ``path MmIommuNew ENOMEM REGISTER``: an error that one actor gave another, and in what call.
- ``fault pin_user_pages REGISTER``: a failure point failed.
- ``region 1/0>1/2``, ``container ...``, ``group ...``, ``mm ...``: an object changed its state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from errno import errorcode
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from actors.check import Oracles
from actors.explore.arena import Arena
from actors.kernel import uapi
from actors.kernel.container import Container
from actors.kernel.failpoints import FAILPOINTS
from actors.kernel.messages import Ioctl, Memory
from actors.kernel.spapr_tce import HANDLERS
from actors.linear import Linear, judgeable
from actors.linear.oracle import LinearOracles
from actors.runtime.core import Tracer

if TYPE_CHECKING:
    from actors.check.violation import Violation
    from actors.explore.verdicts import OracleMaker
    from actors.kernel.composition import Kernel
    from actors.machine import Machine
    from actors.runtime.core import Chooser
    from actors.runtime.messages import Request
    from actors.runtime.ops import Call, Op
    from actors.runtime.thread import Thread

KINDS = ("pair", "lock", "call", "path", "fault", "region", "container", "group", "mm")
"""The kinds of features, as they are told."""

OUTSIDE = "-"
"""What a thread does before its first system call."""

IGNORED = frozenset({"message", "thread", "user-copy", "rcu"})
"""Points at which nothing can meet anything."""

ALONE = "alone"
"""The thread that carries out what comes last: it meets nobody."""

CONFIGURATIONS = 10_000
"""Of one history that are looked at before it is given up; a usual one has some hundred."""

FEW = 3
"""Numbers from here on count as many."""


class Watched(Arena):
    """A runtime that notes which access of which call met which of another thread's.

    Attributes:
        calls: thread index -> the system call it is in.
        pairs: ``(object, first call, second call, modes, kind)`` seen so far.
    """

    def __init__(self, chooser: Chooser, budget: int, every: bool, pairs: set[Any]) -> None:
        super().__init__(chooser, budget, every)
        self.calls: dict[int, str] = {}
        self.pairs = pairs
        self._last: dict[str, tuple[int, str, bool]] = {}

    def segment(self, thread: Thread) -> bool:
        """Make a step, after noting what it touches."""
        op = thread.pending
        if op is not None and op.kind not in IGNORED and thread.name != ALONE:
            self._touch(thread.index, op)
        return super().segment(thread)

    def _touch(self, index: int, op: Op) -> None:
        last = self._last.get(op.object)
        call = self.calls.get(index, OUTSIDE)
        if last is not None and last[0] != index and (op.write or last[2]):
            self.pairs.add((op.object, last[1], call, last[2], op.write, op.kind))
        self._last[op.object] = index, call, op.write


class Errors(Tracer):
    """A tracer that keeps errors between actors and failed failure points, and nothing else.

    Attributes:
        features: what was seen.
    """

    def __init__(self, core: Watched, features: set[str]) -> None:
        self.core = core
        self.features = features
        self._asked: dict[int, list[str]] = {}

    def access(self, thread: Thread, op: Op, before: object, after: object, note: str) -> None:
        """Accesses are noted elsewhere."""

    def event(self, thread: Thread, name: str, fields: dict[str, Any]) -> None:
        """Remember who asked what, and note errors."""
        if name == "request":
            self._asked.setdefault(thread.index, []).append(type(fields["request"]).__name__)
        elif name == "reply":
            asked = self._asked.get(thread.index)
            what = asked.pop() if asked else OUTSIDE
            value = fields["value"]
            value = getattr(value, "ret", value)
            if type(value) is int and value < 0 and asked:
                call = self.core.calls.get(thread.index, OUTSIDE)
                self.features.add(f"path {what} {error_name(value)} {call}")
        elif name == "fault":
            call = self.core.calls.get(thread.index, OUTSIDE)
            self.features.add(f"fault {fields['failpoint']} {call}")


class Watch(Oracles):
    """The oracles, which also note how calls end and how objects change.

    Args:
        machine: what to look at.
        features: where to put what is seen.
        rest, others: what else the oracles are made with.
    """

    def __init__(self, machine: Machine, features: set[str], *rest: Any, **others: Any) -> None:
        self.features = features
        self.marks: dict[tuple[str, str], str] = {}
        super().__init__(machine, *rest, **others)

    def _served(self, thread: Thread, call: Call) -> None:
        core = self.machine.core
        if len(thread.frames) == 1 and isinstance(core, Watched):
            core.calls[thread.index] = call_name(call.request)
        super()._served(thread, call)

    def system_call(self, target: str, request: Request[Any], ret: Any) -> None:
        """Note how a call ended, then judge it."""
        if isinstance(request, Ioctl):
            name = call_name(request)
            self.features.add(f"call {name} {error_name(ret)} {self._container_state(target, request.fd)}")
        super().system_call(target, request, ret)

    def _container_state(self, process: str, fd: int) -> str:
        actors: Any = self.machine.core.actors
        file = actors[process].files.get(fd)
        if file is None:
            return "no-file"
        if file.kind != "container":
            return str(file.kind)
        container: Container = actors[file.actor]
        data = container.iommu_data.value
        if data is None:
            return "no-iommu"
        windows = sum(cell.value is not None for cell in data.tables)
        return f"v{1 + data.v2} g{len(data.group_list.items)} w{windows}"

    def at_rest(self) -> list[Violation]:
        """Note which objects have changed how, and judge."""
        found = super().at_rest()
        before, self.marks = self.marks, dict(self._marks_of_all())
        for key in before | self.marks:
            old, now = before.get(key, "none"), self.marks.get(key, "none")
            if old != now:
                self.features.add(f"{key[0]} {old}>{now}")
        return found

    def _marks_of_all(self) -> Iterator[tuple[tuple[str, str], str]]:
        """Kind, name and state of every object that there is."""
        view = self.view
        for mm in view.mms:
            users = "u" if mm.mm_users.holders else "-"
            yield ("mm", mm.id), f"{users}{few(len(mm.mm_count.holders))}{'x' if mm.destroyed else ''}"
            listed = mm.mem_list.items
            for region in listed:
                mapped = few(region.mapped.value - 1)
                yield ("region", region.name), f"{few(region.used.value)}/{mapped}"
        for driver in view.drivers:
            data = driver.data
            windows = "".join("-" if cell.value is None else "w" for cell in data.tables)
            yield (
                ("container", data.name),
                f"v{1 + data.v2}{'m' if driver.mm else '-'}{few(len(data.group_list.items))}{windows}"
                f"{'p' if data.def_window_pending.value else ''}{few(len(data.prereg_list.items))}",
            )
        for group in view.groups:
            inside = "c" if group.container.value else "-"
            opened = "o" if group.file.value else "-"
            yield ("group", group.id), f"{opened}{inside}{few(group.container_users.value)}"


class LinearWatch(Watch, LinearOracles):
    """The same, and answers are held against the sequential model."""


def watch(kernel: Kernel, features: set[str], linear: bool) -> OracleMaker:
    """What makes the oracles of a trial, with the sequential model where it can stand for the kernel."""
    if not linear or judgeable(kernel):
        return lambda machine: Watch(machine, features)
    maker = Linear(CONFIGURATIONS)
    return lambda machine: LinearWatch(machine, features, maker)


def few(number: int) -> str:
    """A number as 0, 1, 2 or many."""
    return str(number) if 0 <= number < FEW else "+" if number > 0 else "!"


def call_name(request: Any) -> str:
    """A system call in short: ``MAP``, ``Close``, ``Munmap``."""
    if isinstance(request, Ioctl):
        return short_name(request.cmd)
    return type(request.request if isinstance(request, Memory) else request).__name__


@lru_cache(maxsize=256)
def short_name(cmd: int) -> str:
    """An ioctl in short."""
    name = uapi.REQUEST_NAMES.get(cmd, "unknown-ioctl")
    for long in ("VFIO_IOMMU_SPAPR_", "VFIO_IOMMU_", "VFIO_"):
        name = name.removeprefix(long)
    return name


def error_name(ret: Any) -> str:
    """A result in short: ``ok``, ``positive``, ``EINVAL``."""
    if not isinstance(ret, int) or ret >= 0:
        return "positive" if isinstance(ret, int) and ret > 0 else "ok"
    return errorcode.get(-ret, str(ret))


@lru_cache(maxsize=65536)
def kind_of(name: str) -> str:
    """The kind of an object by its name: ``region:3.used`` is a ``region.used``."""
    return re.sub(r":\d+|\[[^\]]*\]|\d+", "", name)


def pair_features(pairs: Iterable[tuple[str, str, str, bool, bool, str]]) -> Iterator[str]:
    """The features of what has met."""
    for name, first, second, wrote, writes, kind in pairs:
        if kind == "lock":
            yield f"lock {kind_of(name)} {first}>{second}"
        else:
            yield f"pair {kind_of(name)} {first}>{second} {'w' if wrote else 'r'}{'w' if writes else 'r'}"


# -- what there is to reach --------------------------------------------------------------------


def universe() -> list[str]:
    """The beginnings of features that one would like to see: every documented answer, every failure point."""
    answers = [f"call {name} ok" for name in map(short_name, uapi.REQUEST_NAMES)]
    for cmd, method in (HANDLERS[False] | HANDLERS[True]).items():
        errors = dict.fromkeys(re.findall(r"-(E[A-Z]+)", getattr(Container, method).__doc__ or ""))
        answers += [f"call {short_name(cmd)} {error}" for error in errors]
    return answers + [f"fault {name}" for name in FAILPOINTS]


def never_reached(features: Iterable[str]) -> list[str]:
    """What of the universe no feature begins with."""
    reached = {" ".join(feature.split()[:length]) for feature in features for length in (2, 3)}
    return [wanted for wanted in universe() if wanted not in reached]


def by_kind(features: Iterable[str]) -> dict[str, int]:
    """How many features there are of each kind."""
    counts = dict.fromkeys(KINDS, 0)
    for feature in features:
        counts[feature.partition(" ")[0]] += 1
    return counts
