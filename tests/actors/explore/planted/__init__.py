"""Subtle mistakes of our own, none of them one that Linux has had, and where each shows.

Each is a piece of a few lines: two lines swapped, a put forgotten on an error path, a lock taken late.
``docs/planted.md`` tells which search finds which, and what catches it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel, Piece
from actors.program import Program, parse_program
from tests.actors.explore.planted import mapping, points, registering, release


def opened(number: int, iommu_type: int = 7) -> list[dict[str, Any]]:
    """The setup of one container with one group."""
    c, g = f"C{number}", f"G{number}"
    return [
        {"actor": 0, "op": "open", "path": "/dev/vfio/vfio", "fd": c},
        {"actor": 0, "op": "open", "path": "/dev/vfio/<group>", "fd": g, "group_index": number},
        {"actor": 0, "op": "setcont", "fd": g, "container": c},
        {"actor": 0, "op": "setiommu", "fd": c, "iommu_type": iommu_type},
    ]


RAM = {"actor": 0, "op": "mmap", "addr": "M0", "size": "16P", "prot": "rw"}


def on(number: int, op: str) -> dict[str, Any]:
    """REGISTER or UNREGISTER of that memory on a container."""
    return {"op": op, "fd": f"C{number}", "vaddr": "M0", "size": "16P"}


def mapped(number: int) -> dict[str, Any]:
    """MAP of its first page on a container."""
    return {"op": "map", "fd": f"C{number}", "vaddr": "M0", "iova": 0, "size": 4096}


def program(
    name: str,
    setup: list[dict[str, Any]],
    *threads: list[dict[str, Any]],
    cpus: Sequence[list[dict[str, Any]]] = (),
) -> Program:
    """A program whose threads are all of the first process, which exits in the end.

    Args:
        name: for reports.
        setup: steps before the threads begin.
        threads: the steps of each.
        cpus: the steps of CPU 1 and further ones.
    """
    spelled = [{"name": f"t{n}", "actor": 0, "steps": steps} for n, steps in enumerate(threads)]
    spelled += [{"name": f"cpu{n}", "cpu": n, "steps": steps} for n, steps in enumerate(cpus, 1)]
    ends = [] if any(step["op"] == "exit" for steps in threads for step in steps) else [as_actor(EXIT)]
    return parse_program(
        {"format": "tcemu-program", "version": 1, "name": name, "machine": {"groups": 2}, "setup": setup,
         "threads": spelled, "finally": ends}
    )  # fmt: skip


EXIT = {"op": "exit"}


def as_actor(step: dict[str, Any]) -> dict[str, Any]:
    """A step of the setup."""
    return {"actor": 0, **step}


def unregister_twice() -> Program:
    setup = [*opened(0), RAM, as_actor(on(0, "reg"))]
    return program("unregister-twice", setup, [on(0, "unreg")], [on(0, "unreg")])


def foreign_unregister() -> Program:
    setup = [*opened(0), *opened(1), RAM, as_actor(on(0, "reg"))]
    return program("foreign-unregister", setup, [mapped(0)], [on(1, "reg"), on(1, "unreg"), on(1, "unreg")])


def register_while_unregistered() -> Program:
    setup = [*opened(0), *opened(1), RAM, as_actor(on(0, "reg"))]
    return program("register-while-unregistered", setup, [on(0, "unreg")], [on(1, "reg")])


def two_registrations() -> Program:
    return program("two-registrations", [*opened(0), *opened(1), RAM], [on(0, "reg")], [on(1, "reg")])


def two_maps() -> Program:
    setup = [*opened(0), RAM, as_actor(on(0, "reg"))]
    other = {**mapped(0), "iova": 4096}
    return program("two-maps", setup, [mapped(0)], [other])


def v1_device_while_closing() -> Program:
    setup = [*opened(0, 2), RAM, {"actor": 0, "op": "enable", "fd": "C0"}, as_actor(mapped(0))]
    dma = {"op": "dma", "iova": 0, "size": 4096, "group": 0, "write": True}
    return program("v1-device-while-closing", setup, [{"op": "close", "fd": "G0"}], [dma, dma])


def last_unmap_of_forsaken() -> Program:
    setup = [*opened(0), *opened(1), RAM, {**RAM, "addr": "M1"}, as_actor(on(0, "reg")),
             as_actor({**on(1, "reg"), "vaddr": "M1"}), as_actor(mapped(1))]  # fmt: skip
    unmap = {"op": "unmap", "fd": "C1", "iova": 0, "size": 4096}
    return program("last-unmap-of-forsaken", setup, [unmap], [{"op": "close", "fd": "G0"}])


def info_while_closing() -> Program:
    setup = [*opened(0), RAM, as_actor(on(0, "reg"))]
    return program("info-while-closing", setup, [{"op": "info", "fd": "C0"}], [{"op": "close", "fd": "G0"}])


def two_dups() -> Program:
    setup = [*opened(0), RAM, as_actor(on(0, "reg"))]
    dups = [[{"op": "dup", "fd": "G0", "newfd": name}] for name in ("G1", "G2")]
    return program("two-dups", setup, *dups)


def two_closes() -> Program:
    setup = [*opened(0), RAM, as_actor(on(0, "reg")), as_actor({"op": "dup", "fd": "G0", "newfd": "G1"})]
    return program("two-closes", setup, [{"op": "close", "fd": "G0"}], [{"op": "close", "fd": "G1"}])


def exit_beside_a_borrower() -> Program:
    kworker = [{"op": "run", "task": "actor:0"}, {"op": "run", "task": "kthread:kworker/1:0"}]
    return program("exit-beside-a-borrower", [], [EXIT], cpus=[kworker])


class Planted(NamedTuple):
    """A mistake and where to look for it."""

    piece: type[Piece]
    program: Program
    sort: str

    @property
    def kernel(self) -> Kernel:
        """The mended kernel with the mistake."""
        return find_kernel("fixed").with_piece(self.piece)


def planted() -> tuple[Planted, ...]:
    """All of them."""
    return (
        Planted(registering.BusyKeepsReference, builtin("register-twice"), "a put dropped on an error path"),
        Planted(registering.ForeignPut, foreign_unregister(), "a put too many on an error path"),
        Planted(registering.PutDecrementsUnlocked, register_while_unregistered(), "a lock taken late"),
        Planted(registering.UnregisterChecksUnlocked, unregister_twice(), "a check before the lock"),
        Planted(registering.PublishUnchecked, two_registrations(), "a check before the lock"),
        Planted(registering.UnchargeBeforeBusy, builtin("map-vs-unregister"), "a charge given back early"),
        Planted(registering.FreeWithoutGracePeriod, builtin("map-vs-unregister"), "a wait left out"),
        Planted(mapping.MappedPlainIncrement, two_maps(), "a plain ++ for an atomic one"),
        Planted(mapping.ForsakenSeenTooEarly, last_unmap_of_forsaken(), "a check before the count"),
        Planted(mapping.RemoveUnlocksEarly, builtin("map-vs-remove"), "a lock given back early"),
        Planted(mapping.MissedWakeup, builtin("map-vs-remove"), "a missed wakeup"),
        Planted(release.DetachUnlistsFirst, v1_device_while_closing(), "list_del before the last use"),
        Planted(release.ReleaseDropsMmFirst, builtin("exit-with-lazy-borrower"), "two lines swapped"),
        Planted(release.DataFreedUnlocked, info_while_closing(), "a lock given back early"),
        Planted(points.InstallFindsFirst, two_dups(), "a check before the lock"),
        Planted(points.LastSeenBeforeDrop, two_closes(), "a check before the drop"),
        Planted(points.LazyMmUsedUnheld, exit_beside_a_borrower(), "a reference not taken"),
    )  # fmt: skip


__all__ = ["Planted", "planted"]
