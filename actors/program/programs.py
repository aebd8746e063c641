"""Concurrent programs to and from JSON objects (format `tcemu-program`, version 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from actors.program import fields as f
from actors.program.address import U64_MAX, parse_size
from actors.program.errors import Refusal, refuse
from actors.program.fields import Reader
from actors.program.steps import EXACT, PROGRAM, Dialect, read_step, write_step
from actors.program.values import GIB, KIB, MIB, MachineSpec, Program, Step, ThreadSpec

FORMAT = "tcemu-program"
VERSION = 1
VERDICTS = ("ok", "violation", "deadlock", "livelock", "oops", "race", "warning", "expectation")
RECORDED_VERDICTS = ("livelock", "deadlock", "oops")

_INVARIANT = re.compile(r"J-[A-Z]\d{1,2}", re.ASCII)
_KEYS = {"with": "with_", "without": "without", "finally": "finally_"}


def _outcome(value: object) -> str:
    if isinstance(value, str) and (value in VERDICTS or _INVARIANT.fullmatch(value)):
        return value
    raise refuse(value, 'an invariant such as "J-Q1", or ' + ", ".join(VERDICTS))


def _hugepage_size(value: object) -> str:
    size = parse_size(value).offset
    if not isinstance(value, str) or size & (size - 1) or not 64 * KIB < size <= 16 * GIB:
        raise refuse(value, 'a huge page size such as "16M"')
    return value


def _bytes(low: int, high: int, unit: int) -> Reader:
    """A size in bytes that does not depend on the page size."""
    expected = f"a multiple of {unit} from {low} to {high:#x}"

    def read(value: object) -> int:
        size = parse_size(value)
        if size.pages or not low <= size.offset <= high or size.offset % unit:
            raise refuse(value, expected)
        return size.offset

    return read


def _window_size(value: object) -> int:
    """The size of the default window, as the firmware makes windows: a power of two."""
    size: int = _bytes(64 * KIB, 4 * GIB, 64 * KIB)(value)
    if size & (size - 1):
        raise refuse(value, f"a power of two from {64 * KIB:#x} to {4 * GIB:#x}")
    return size


def _memlock(value: object) -> int | None:
    limit: int | None = None if value in (None, "RLIM_INFINITY") else _bytes(0, U64_MAX, 1)(value)
    return limit


MACHINE: Mapping[str, Reader] = {
    "page_size": f.one_of(4096, 65536),
    "cpus": f.number(1, 64),
    "groups": f.number(1, 64),
    "memory_bytes": _bytes(16 * MIB, 1 << 52, 64 * KIB),
    "platform": f.one_of("powernv9", "powernv8"),
    "mmu": f.one_of("radix", "hash"),
    "dma32_window_size": _window_size,
    "hugepages": f.table(_hugepage_size, f.number(0, 1 << 24)),
    "rlimit_memlock": _memlock,
}


def read_machine(raw: object) -> MachineSpec:
    """The machine of a program, with the defaults for what is left out.

    Raises:
        Refusal: With the path inside the machine.
    """
    machine = MachineSpec(**f.record(raw, MACHINE))
    pooled = sum(count << shift for shift, count in machine.hugepage_pools.items())
    if pooled > machine.memory_bytes:
        raise refuse(pooled, f"pools of at most {machine.memory_bytes} bytes, the memory").within("hugepages")
    return machine


def read_program(raw: object, *, exact: bool = False) -> Program:
    """A program from JSON values, keys and types checked; `check.check` judges the rest.

    Args:
        raw: The object, `format` and `version` included.
        exact: Read what `write_program` makes of any program: vectors and streams too.

    Raises:
        Refusal: With the path of the offending field.
    """
    values = f.record(raw, _EXACT_READERS if exact else _READERS, _REQUIRED)
    del values["format"], values["version"]
    return Program(**{_KEYS.get(key, key): value for key, value in values.items()})


def _readers(dialect: Dialect) -> dict[str, Reader]:
    def step(raw: object) -> Step:
        return read_step(raw, dialect)

    thread = {"name": f.title, "actor": f.actor, "cpu": f.index, "steps": f.array(step)}
    names = f.array(f.title)
    return {
        "format": f.one_of(FORMAT),
        "version": f.one_of(VERSION),
        "name": f.title,
        "about": f.prose,
        "machine": read_machine,
        "kernels": names,
        "with": names,
        "without": names,
        "expect": f.table(f.title, _outcome),
        "setup": f.array(step),
        "threads": f.array(lambda raw: ThreadSpec(**f.record(raw, thread, ("name", "steps")))),
        "finally": f.array(step),
    }


_REQUIRED = ("format", "version", "name", "setup", "threads")
_READERS = _readers(PROGRAM)
_EXACT_READERS = _readers(EXACT) | {
    "tag": f.title,
    "verdict": f.one_of(*RECORDED_VERDICTS),
    "pinned_pages_leaked": f.result,
}


def write_program(program: Program) -> dict[str, Any]:
    """The program as JSON values in a fixed order, without what has its default."""
    values = {
        "about": program.about,
        "machine": write_machine(program.machine),
        "kernels": list(program.kernels),
        "with": list(program.with_),
        "without": list(program.without),
        "expect": dict(program.expect),
        "tag": program.tag,
        "verdict": program.verdict,
        "pinned_pages_leaked": program.pinned_pages_leaked,
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": program.name,
        **{key: value for key, value in values.items() if value not in ("", [], {}, None)},
        "setup": [write_step(step) for step in program.setup],
        "threads": [_write_thread(thread) for thread in program.threads],
        **({"finally": [write_step(step) for step in program.finally_]} if program.finally_ else {}),
    }


def write_machine(machine: MachineSpec) -> dict[str, Any]:
    """What differs from the defaults."""
    usual = MachineSpec()
    pairs = ((key, getattr(machine, key)) for key in MACHINE)
    return {key: value for key, value in pairs if value != getattr(usual, key)}


def _write_thread(thread: ThreadSpec) -> dict[str, Any]:
    owner = {"actor": thread.actor, "cpu": thread.cpu}
    return {
        "name": thread.name,
        **{key: value for key, value in owner.items() if value is not None},
        "steps": [write_step(step) for step in thread.steps],
    }


def require_format(raw: object, expected: str, version: int = 1) -> None:
    """Refuse another format or version before anything else is looked at.

    Raises:
        Refusal: Naming `format` or `version`.
    """
    values = f.mapping(raw)
    for key, value in (("format", expected), ("version", version)):
        if key not in values:
            raise Refusal(f"missing, expected {value}", key)
        if type(values[key]) is not type(value) or values[key] != value:
            raise refuse(values[key], str(value)).within(key)
