"""The header of a log: what was run, so completely that it can be run again from the log alone."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from msgspec import structs

from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.kernel.generations import GENERATIONS
from actors.machine import Machine
from actors.program import Program, Stream, write_program
from actors.program.values import MachineSpec
from actors.trace.schema import FORMAT, VERSION, Clients, Header


def header(
    kernel: Kernel,
    *,
    name: str = "",
    program: Program | None = None,
    machine: MachineSpec | None = None,
    choices: Iterable[tuple[int, int, str]] | None = None,
    **how: Any,
) -> Header:
    """The header of a log.

    Args:
        kernel: what was booted.
        name: of what was run; that of the program when left out.
        program: the program, if it is one.
        machine: what the machine was made of; what the program says when left out.
        choices: every decision, if they are known.
        how: further fields of :class:`Header`.
    """
    spec = machine or (program.machine if program is not None else MachineSpec())
    return Header(
        format=FORMAT,
        version=VERSION,
        emulator=emulator_version(),
        name=name or (program.name if program is not None else ""),
        program=write_program(program) if program is not None else None,
        kernel=kernel.name,
        switches=tuple(piece.slug for piece in kernel.pieces),
        machine=changes(spec),
        choices=None if choices is None else tuple((count, taken, label) for count, taken, label in choices),
        **how,
    )


def header_of(machine: Machine, name: str = "", program: Program | None = None, **how: Any) -> Header:
    """The header of a log of what runs on ``machine``; freely, unless ``runtime`` says otherwise."""
    spec = machine.spec
    return header(
        machine.world.kernel, name=name, program=program, machine=spec, **{"runtime": "free"} | how
    )


def kernel_of(head: Header) -> Kernel:
    """The kernel that a header describes.

    Raises:
        UnknownPiece, Conflict: it does not exist here.
    """
    name = max((g for g in GENERATIONS if head.kernel.startswith(g)), key=len, default="fixed")
    usual, switches = set(GENERATIONS[name].slugs), set(head.switches)
    return find_kernel(name, sorted(switches - usual), sorted(usual - switches))


def changes(spec: MachineSpec) -> dict[str, object]:
    """The fields of a machine that are not the defaults."""
    usual = MachineSpec()
    return {n: v for n, v in structs.asdict(spec).items() if v != getattr(usual, n)}


def clients_of(streams: Iterable[Stream], names: Iterable[str], **how: Any) -> Clients:
    """What a header says of recorded clients.

    Args:
        streams: the recordings.
        names: by which they can be found again: built-in ones, or files.
        how: further fields of :class:`Clients`.
    """
    return Clients(streams=tuple(names), digests=tuple(map(digest_of, streams)), **how)


def digest_of(stream: Stream) -> str:
    """SHA-256 of what a recorded client does, whatever the file is called that holds it."""
    return sha256(msgspec.json.encode(stream.program)).hexdigest()


def emulator_version() -> str:
    """The version of this emulator."""
    try:
        return version("tcemu")
    except PackageNotFoundError:
        return "unreleased"


__all__ = ["changes", "clients_of", "digest_of", "emulator_version", "header", "header_of", "kernel_of"]
