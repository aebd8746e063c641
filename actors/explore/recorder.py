"""Recording decisions: a run becomes a list of ``(number of options, which one, label)``.

The options of a decision about the order are put into the order that makes 0 the calm one: first
the thread that is running, if it can go on, then the others, oldest first. So a list of zeros means
"no preemption", and lists can be shortened and lowered without knowing the program.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from actors.explore.result import Choice

if TYPE_CHECKING:
    from actors.runtime.core import Chooser, Core
    from actors.runtime.thread import Thread


def option(core: Core, index: int) -> Thread:
    """The ``index``-th option of the decision that ``core`` faces; 0 is the calm one."""
    ready, current = core.ready, core.current
    if not current.enabled:
        return ready[index]
    if index == 0:
        return current
    place = ready.index(current)
    return ready[index - 1] if index <= place else ready[index]


def index_of(core: Core, thread: Thread) -> int:
    """Which option of the decision that ``core`` faces ``thread`` is."""
    ready, current = core.ready, core.current
    if thread is current:
        return 0
    place = ready.index(thread)
    return place + 1 if current.enabled and place < ready.index(current) else place


class Recorder:
    """A chooser that notes what another one decides, and witnesses every step.

    It wants to be asked at every step (:attr:`Arena.every`); the other one is asked only where there
    is something to decide.

    Attributes:
        choices: the decisions so far.
        preemptions: how often a thread was stopped that could have gone on.
        order: the decisions about the order as stretches, ``(thread, decisions)``.
    """

    def __init__(self, inner: Chooser) -> None:
        self.inner = inner
        self.choices: list[Choice] = []
        self.preemptions = 0
        self.order: list[tuple[str, int]] = []
        self._hash = sha256()

    def choose(self, label: str, options: int) -> int:
        """Pass a decision on and note it."""
        index = self.inner.choose(label, options)
        self.choices.append(Choice(options, index, label))
        return index

    def pick(self, core: Core) -> Thread:
        """Pass a decision on and note it, and what the thread is about to do."""
        thread = core.ready[0]
        if len(core.ready) > 1:
            thread = self.inner.pick(core)
            index = index_of(core, thread)
            self.preemptions += index > 0 and core.current.enabled
            self.choices.append(Choice(len(core.ready), index, thread.name))
            self._stretch(thread.name)
        op = thread.pending
        if op is not None:
            mode = op.mode or ("write" if op.write else "read")
            self._hash.update(f"{thread.name} {op.kind} {op.object} {mode}\n".encode())
        return thread

    def _stretch(self, name: str) -> None:
        if self.order and self.order[-1][0] == name:
            self.order[-1] = (name, self.order[-1][1] + 1)
        else:
            self.order.append((name, 1))

    @property
    def digest(self) -> str:
        """SHA-256 over all steps so far, each as ``thread kind object mode``."""
        return self._hash.hexdigest()


__all__ = ["Recorder", "index_of", "option"]
