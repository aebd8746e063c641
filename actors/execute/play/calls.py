"""The calls of a stream, taken a few at a time: a row may stand for very many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from actors.program import Step

CHUNK_CALLS = 8192
"""Calls of a row that are made before anyone is told of the progress."""


class Chunk(NamedTuple):
    """Some of the calls that a row stands for.

    Attributes:
        call: index of the first of them in the stream.
        step: the row.
        first: how many calls of the row come before.
        calls: how many they are.
    """

    call: int
    step: Step
    first: int
    calls: int


class Cursor:
    """A place in a stream.

    Attributes:
        call: how many calls have been taken.
    """

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self.steps = steps
        self.row = 0
        self.first = 0
        self.call = 0

    def take(self, most: int = CHUNK_CALLS) -> Chunk | None:
        """Take up to ``most`` calls of one row; None at the end."""
        if self.row == len(self.steps):
            return None
        step = self.steps[self.row]
        chunk = Chunk(self.call, step, self.first, min(most, step.repeat - self.first))
        self.call += chunk.calls
        self.first += chunk.calls
        if self.first == step.repeat:
            self.row, self.first = self.row + 1, 0
        return chunk

    def until(self, call: int | None) -> Iterator[Chunk]:
        """Take everything before a call, or to the end."""
        while call is None or self.call < call:
            chunk = self.take(CHUNK_CALLS if call is None else min(CHUNK_CALLS, call - self.call))
            if chunk is None:
                return
            yield chunk
