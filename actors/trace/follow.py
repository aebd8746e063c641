"""Holding a run against a log while it goes on, without keeping either in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actors.runtime.thread import Thread
from actors.trace.logfile import BATCH
from actors.trace.recorder import SLOTS, Recorder
from actors.trace.schema import End, Event, Line


class Difference(NamedTuple):
    """The first event that is not the recorded one; None stands for the end of either."""

    step: int
    recorded: Event | None
    actual: Event | None


class Follower(Recorder):
    """A recorder that compares what happens with the lines of a log, and remembers the first difference.

    Args:
        lines: of the log, without its header.

    Attributes:
        difference: the first one, if any.
        end: the last line of the log, once it has been reached.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        super().__init__()
        self.lines = lines
        self.difference: Difference | None = None
        self.end: End | None = None
        self.broken_off = False

    def event(self, thread: Thread, name: str, fields: dict[str, Any]) -> None:
        """Remember something that is no access, and compare when it is time to."""
        super().event(thread, name, fields)
        if len(self.raw) >= BATCH * SLOTS:
            self.compare()

    def close(self) -> None:
        """Compare what is left, and see whether the log is at its end too."""
        self.detach()
        self.compare()
        if self.difference is None and not self.broken_off:
            recorded = self.next()
            if recorded is not None:
                self.difference = Difference(len(self), recorded, None)

    def compare(self) -> None:
        """Hold what was recorded since the last time against the next lines."""
        for event in self.take():
            if self.difference is None and not self.broken_off:
                recorded = self.next()
                if recorded != event and not self.broken_off:
                    self.difference = Difference(event.step, recorded, event)

    def next(self) -> Event | None:
        """The next event of the log; None at its end, which of a log that was cut off is no difference."""
        line = next(self.lines, None)
        if line is None:
            self.broken_off = self.end is None
        if isinstance(line, End):
            self.end = line
            return None
        return line  # type: ignore[return-value]  # the header is not among the lines


__all__ = ["Difference", "Follower"]
