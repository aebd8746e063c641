"""The client's memory, which a recording does not list: whatever it registers or maps must exist.

A range that a call names counts as mapped and touched from that call on. Nothing shows whether it was
there before, so all of it is mapped before the first call, as the few large mappings that ranges which
touch or overlap come from; pages are allocated when they are first pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from actors.kernel.messages import Mmap
from actors.program import Step, Stream

NAMING = ("reg", "map")
"""Operations whose ``vaddr`` and ``size`` name memory of the client."""

MANY = 1 << 16
"""Calls of one row beyond which the gaps between their ranges are taken for memory too."""


def memory_of(stream: Stream) -> list[Mmap]:
    """Return the mappings that hold everything the client names, lowest first.

    Ranges larger than the machine's memory are no memory that a client can have, and are left out.
    """
    backing, most = 1 << stream.backing_shift, stream.program.machine.memory_bytes
    named = (span for step in stream.program.setup if step.op in NAMING for span in spans(step))
    there = [
        (start // backing * backing, -(-end // backing) * backing)
        for start, end in named
        if 0 < end - start <= most
    ]
    return [
        Mmap(start, end - start, True, True, False, stream.backing_shift, False)
        for start, end in merged(there)
    ]


def shared_memory(streams: Sequence[Stream]) -> list[Mmap]:
    """Return the mappings of one address space that holds everything the clients name.

    Raises:
        ValueError: two of them want pages of different sizes at one address.
    """
    sizes: dict[int, list[tuple[int, int]]] = {}
    for stream in streams:
        for mapping in memory_of(stream):
            sizes.setdefault(mapping.shift, []).append((mapping.addr, mapping.addr + mapping.size))
    there = [
        Mmap(start, end - start, True, True, False, shift, False)
        for start, end, shift in sorted((*each, shift) for shift in sizes for each in merged(sizes[shift]))
    ]
    for low, high in pairwise(there):
        if low.addr + low.size > high.addr:
            pages = f"{1 << low.shift >> 10} KiB and {1 << high.shift >> 10} KiB"
            raise ValueError(f"one address space has one size of page at {high.addr:#x}, found {pages}")
    return there


def spans(step: Step) -> Iterator[tuple[int, int]]:
    """Address ranges in bytes that the calls of a row name; those that touch, or are very many, are one."""
    assert step.vaddr is not None
    assert step.size is not None
    start, size = step.vaddr.offset, step.size.offset
    stride: Mapping[str, int] = step.stride or {}
    by, grow = stride.get("vaddr", 0), stride.get("size", 0)
    if step.repeat > MANY or (not grow and abs(by) <= size):
        last = start + by * (step.repeat - 1)
        yield min(start, last), max(start, last) + size + max(0, grow) * (step.repeat - 1)
        return
    for count in range(step.repeat):
        yield start + by * count, start + by * count + size + grow * count


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join ranges that touch or overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
