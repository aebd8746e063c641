"""Who waits for what, and who holds it: a look at a running machine, at any moment.

While a machine runs freely, SIGUSR1 prints the same on standard error, unless the program has a
handler of its own for that signal.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CoroutineType, FrameType
from typing import Any, Final, NamedTuple

from actors.runtime.core import Core
from actors.runtime.thread import Thread

RUNTIME: Final = str(Path(__file__).parent)
SIGNAL: Final = signal.SIGUSR1


class Stance(NamedTuple):
    """Where a thread stands.

    Attributes:
        thread: its name; two of one name are told apart by ``~2``.
        stack: the actors it is in, outermost first, each with the function that serves it there.
        holds: locks that it holds, oldest first; ``/read`` behind a shared one.
        waits_for: what it waits for; "" when it could go on.
        holders: who keeps it waiting; ``(dead)`` behind one that has crashed.
        paused: the stopped actor in which it would go on, if one is stopped.
    """

    thread: str
    stack: tuple[str, ...]
    holds: tuple[str, ...] = ()
    waits_for: str = ""
    holders: tuple[str, ...] = ()
    paused: str = ""

    def __str__(self) -> str:
        """One or two lines."""
        what = "could go on"
        if self.waits_for:
            what = f"waits for {self.waits_for}, held by {', '.join(self.holders) or 'nobody'}"
        if self.paused:
            what += f"; {self.paused} is paused"
        held = f"; holds {', '.join(self.holds)}" if self.holds else ""
        return f"{self.thread} {what}{held}\n  in {' > '.join(self.stack) or 'nothing'}"


class Explanation(NamedTuple):
    """How things stand on a machine.

    Attributes:
        threads: those that are at something, those that wait first.
        cycles: threads that wait for each other in a circle: a deadlock each.
    """

    threads: tuple[Stance, ...]
    cycles: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """A text for people."""
        if not self.threads:
            return "nobody is at anything"
        by_name = {stance.thread: stance for stance in self.threads}
        lines = [str(stance) for stance in self.threads]
        for cycle in self.cycles:
            links = [f"{name} waits for {by_name[name].waits_for}" for name in cycle[:1]]
            links += [f"{name}, who waits for {by_name[name].waits_for}" for name in cycle[1:]]
            lines.append(f"deadlock: {', held by '.join((*links, cycle[0]))}")
        return "\n".join(lines)


def explain(core: Core) -> Explanation:
    """Look at every thread of ``core``; kernel threads that merely wait for work are left out."""
    threads = list(core.threads.values())
    labels = labels_of(threads)
    paused: dict[str, Any] = getattr(core, "paused", {})
    stances = [stance_of(t, labels, paused) for t in threads if not (t.daemon and idle(t))]
    stances.sort(key=lambda stance: not stance.waits_for)
    return Explanation(tuple(stances), tuple(cycles_of(threads, labels)))


def idle(thread: Thread) -> bool:
    """Whether a kernel thread has nothing to do and nobody is kept waiting by it."""
    return not thread.held


def labels_of(threads: list[Thread]) -> dict[int, str]:
    """A name for each thread, by index, that no other one has."""
    seen: dict[str, int] = {}
    labels = {}
    for thread in threads:
        number = seen[thread.name] = seen.get(thread.name, 0) + 1
        labels[thread.index] = thread.name if number == 1 else f"{thread.name}~{number}"
    return labels


def stance_of(thread: Thread, labels: dict[int, str], paused: dict[str, Any]) -> Stance:
    """Where a thread stands."""
    guard = thread.guard if not thread.enabled else None
    stack = tuple(f"{actor.id} {function_of(body)}" for actor, body in thread.frames)
    holds = tuple(f"{op.object}/read" if op.mode == "read" else op.object for op in thread.held)
    here = thread.call.target if thread.call is not None else thread.frames[-1][0].id if thread.frames else ""
    return Stance(
        labels[thread.index],
        stack,
        holds,
        guard.name if guard is not None else "",
        tuple(guard.holders()) if guard is not None else (),
        here if here in paused else "",
    )


def function_of(body: Any) -> str:
    """The function of the kernel in which a coroutine stands."""
    name = body.__name__
    while isinstance(body, CoroutineType):
        if not body.cr_code.co_filename.startswith(RUNTIME):
            name = body.__name__
        body = body.cr_await
    return str(name)


def cycles_of(threads: list[Thread], labels: dict[int, str]) -> Iterator[tuple[str, ...]]:
    """The circles in which threads wait for each other, each once, its oldest thread first."""
    waits = {thread.index: [t.index for t in threads if keeps(t, thread)] for thread in threads}
    told: set[frozenset[int]] = set()
    for start in sorted(waits):
        path = circle(start, waits)
        if path and frozenset(path) not in told:
            told.add(frozenset(path))
            yield tuple(labels[index] for index in path)


def keeps(holder: Thread, waiter: Thread) -> bool:
    """Whether a thread keeps another one waiting."""
    guard = waiter.guard
    if guard is None or waiter.enabled:
        return False
    return any(op.object == guard.name for op in holder.held) or holder.name in guard.holders()


def circle(start: int, waits: dict[int, list[int]]) -> list[int]:
    """The shortest way from a thread back to itself along those it waits for; [] when there is none."""
    ways, seen = [[start]], {start}
    for way in ways:
        for index in waits.get(way[-1], ()):
            if index == start:
                return way
            if index not in seen:
                seen.add(index)
                ways.append([*way, index])
    return []


# -- on a signal -------------------------------------------------------------------------------

_watched: list[Core] = []


@contextmanager
def explained_on_signal(core: Core) -> Iterator[None]:
    """Let SIGUSR1 print how things stand on ``core`` while the block runs.

    A handler that somebody else has set stays; so does everything in threads other than the main one.
    """
    mine = not _watched and may_listen()
    _watched.append(core)
    if mine:
        signal.signal(SIGNAL, tell)
    try:
        yield
    finally:
        _watched.remove(core)
        if not _watched and may_listen(ours=True):
            signal.signal(SIGNAL, signal.SIG_DFL)


def may_listen(ours: bool = False) -> bool:
    """Whether nobody else listens to the signal, and Python lets us."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(SIGNAL) == (tell if ours else signal.SIG_DFL)


def tell(number: int, frame: FrameType | None) -> None:
    """Print how things stand on every machine that runs, as the handler of a signal."""
    for count, core in enumerate(_watched, 1):
        title = "tcemu" if len(_watched) == 1 else f"tcemu, machine {count} of {len(_watched)}"
        print(f"{title} (process {os.getpid()}):\n{explain(core)}", file=sys.stderr, flush=True)


__all__ = ["Explanation", "Stance", "explain", "explained_on_signal"]
