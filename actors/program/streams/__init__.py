"""Recorded client streams (format `vfio-spapr-trace`, version 1): one JSON object a line.

The requests are the client's own; the replies come from a recorder and are only plausible, so
they are kept as observed, never as expected. The recordings themselves lie beside this code.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from actors.program.address import Address
from actors.program.streams.calls import CALLS
from actors.program.streams.reader import FORMAT, read_stream
from actors.program.values import Step

__all__ = ["CALLS", "FORMAT", "builtin_streams", "expand", "read_stream"]


def expand(step: Step) -> Iterator[Step]:
    """The calls that a step stands for, one by one."""
    once = msgspec.structs.replace(step, repeat=1, stride=None)
    for count in range(step.repeat):
        yield msgspec.structs.replace(once, **_moved(step, count)) if count and step.stride else once


def _moved(step: Step, count: int) -> dict[str, Any]:
    moved = {}
    for field, stride in (step.stride or {}).items():
        value = getattr(step, field)
        by = count * stride
        moved[field] = Address(value.region, value.offset + by) if isinstance(value, Address) else value + by
    return moved


def builtin_streams() -> dict[str, Path]:
    """The recorded client streams that come with the package, by name."""
    folder = Path(str(resources.files("actors.program.streams")))
    return {path.name.removesuffix(".jsonl.gz"): path for path in sorted(folder.glob("*.jsonl.gz"))}
