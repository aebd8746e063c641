"""Recorded clients as rows of ``tcemu stress``: killed at drawn points, each end torn down in all orders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from actors.explore.client import KilledClient
from actors.program import Stream, builtin_streams

KERNELS = ("v4.9", "v4.10", "v6.12", "fixed")
"""What clients are killed on without ``--kernel``: before the patch, after it, today's, the mended one."""

KILLS = 6
"""Points at which each client is killed."""

FIRST_ROWS = 48
FIRST_CALLS = 3_000
"""Rows of the recording, and calls, within which a client is killed; ``tcemu play --kill-at`` reaches all."""

BORROWING_CPUS = (1,)


class Client(NamedTuple):
    """A recorded client: a built-in one by its name, or a file."""

    client: str

    @property
    def name(self) -> str:
        """For reports."""
        return Path(self.client).stem


def clients() -> list[Client]:
    """All built-in recorded clients."""
    return [Client(name) for name in builtin_streams()]


def kills(client: Client, seed: int, most: int = KILLS) -> Iterator[KilledClient]:
    """The client killed at different points, drawn by the seed, never the same one twice."""
    stream = KilledClient(client.client, 0).stream()
    for calls in kill_points(stream, Random(seed), most):
        yield KilledClient(client.client, calls, BORROWING_CPUS)


def kill_points(stream: Stream, draw: Random, most: int) -> list[int]:
    """Numbers of calls made before a kill: rows drawn without repeating, and a call of each."""
    spans, start = [], 0
    for row in stream.program.setup[:FIRST_ROWS]:
        if start < FIRST_CALLS:
            spans.append((start + 1, min(start + row.repeat, FIRST_CALLS)))
        start += row.repeat
    return [draw.randint(*span) for span in draw.sample(spans, min(most, len(spans)))]


__all__ = ["BORROWING_CPUS", "KERNELS", "Client", "clients", "kills"]
