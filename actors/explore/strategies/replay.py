"""Running a recorded order again, strictly, loosely, or from the trail that a strategy left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.explore.recorder import option
from actors.explore.result import Choice

if TYPE_CHECKING:
    from actors.runtime.core import Core
    from actors.runtime.thread import Thread


class ReplayDivergence(Exception):
    """A recording does not fit this program, kernel or emulator.

    Args:
        choice: number of the first decision that does not fit, from 0.
        expected: what the recording says.
        actual: what there is.
    """

    def __init__(self, choice: int, expected: str, actual: str) -> None:
        super().__init__(
            f"the recording does not fit at choice {choice}: it says {expected}, here is {actual}"
        )
        self.choice = choice
        self.expected = expected
        self.actual = actual


class Replay:
    """Takes the recorded decisions; any difference is a :class:`ReplayDivergence`.

    Args:
        choices: the recording; a run that is longer diverges too.
    """

    def __init__(self, choices: Sequence[Choice]) -> None:
        self.choices = choices
        self.at = 0

    def choose(self, label: str, options: int) -> int:
        """Take the recorded option."""
        recorded = self._next(label, options)
        if recorded.options != options or recorded.label != label:
            raise self._diverges(recorded, f"{label!r} with {options} options")
        return recorded.taken

    def pick(self, core: Core) -> Thread:
        """Take the recorded thread."""
        options = len(core.ready)
        recorded = self._next("a thread", options)
        if recorded.options == options and recorded.taken < options:
            thread = option(core, recorded.taken)
            if thread.name == recorded.label:
                return thread
        raise self._diverges(recorded, "one of " + ", ".join(repr(t.name) for t in core.ready))

    def finished(self) -> None:
        """The run has ended.

        Raises:
            ReplayDivergence: decisions are left.
        """
        if self.at < len(self.choices):
            raise self._diverges(self.choices[self.at], "the end of the run", self.at)

    def _next(self, label: str, options: int) -> Choice:
        if self.at >= len(self.choices):
            raise ReplayDivergence(self.at, "the end of the run", f"{label!r} with {options} options")
        self.at += 1
        return self.choices[self.at - 1]

    def _diverges(self, recorded: Choice, actual: str, at: int | None = None) -> ReplayDivergence:
        spelled = f"{recorded.label!r} out of {recorded.options}"
        return ReplayDivergence(self.at - 1 if at is None else at, spelled, actual)


class Lenient:
    """Takes the indices of a list of decisions as far as they go and fit, else the calm option."""

    def __init__(self, indices: Sequence[int]) -> None:
        self.indices = indices
        self.at = 0

    def choose(self, label: str, options: int) -> int:
        """Take the listed option, or the calm one."""
        at = self.at
        self.at = at + 1
        index = self.indices[at] if at < len(self.indices) else 0
        return index if index < options else 0

    def pick(self, core: Core) -> Thread:
        """Take the listed thread, or the calm one."""
        return option(core, self.choose("", len(core.ready)))


class Trail:
    """Takes what a strategy has noted in its trail: indices of threads and of options."""

    def __init__(self, trail: Sequence[int]) -> None:
        self.trail = trail
        self.at = 0

    def choose(self, label: str, options: int) -> int:
        """Take the noted option."""
        if self.at >= len(self.trail):
            raise ReplayDivergence(self.at, "the end of the run", f"{options} options")
        self.at += 1
        return self.trail[self.at - 1]

    def pick(self, core: Core) -> Thread:
        """Take the noted thread."""
        wanted = self.choose("", len(core.ready))
        for thread in core.ready:
            if thread.index == wanted:
                return thread
        raise ReplayDivergence(
            self.at - 1, f"thread {wanted}", "one of " + ", ".join(t.name for t in core.ready)
        )


__all__ = ["Lenient", "Replay", "ReplayDivergence", "Trail"]
