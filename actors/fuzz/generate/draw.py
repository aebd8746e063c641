"""Arguments: mostly such that a call succeeds, often next to the edge, sometimes absurd."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from actors.fuzz.generate.scene import V2, ContainerScene, ProcessScene, Scene, Window
from actors.program import Address
from actors.program.address import LARGEST_PAGE, U64_MAX

T = TypeVar("T")

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MOST_ENTRIES = 16
"""IOMMU pages of one MAP or UNMAP: each is a handful of scheduling points."""
ABSURD = (0, 1, 0xFFF, 1 << 40, (1 << 59) + 4096, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1)
"""Addresses and sizes that nobody should pass."""


def address(region: str | None, offset: int, pages: int = 0) -> Address:
    """An address, or a size, that a file can spell: without a region it is within 64 bits."""
    if region is not None:
        return Address(region, offset, pages)
    offset &= U64_MAX
    return Address(None, offset, pages if offset + pages * LARGEST_PAGE <= U64_MAX else 0)


class Draw:
    """One source of chance for one program, and what it draws from.

    Args:
        random: decides everything.
        scene: what there is to aim at.
        tidiness: the chance that an argument is left as it should be.

    Attributes:
        focus: kind of descriptor -> the one that was drawn last: calls often meet on one object.
    """

    def __init__(self, random: Random, scene: Scene, tidiness: float) -> None:
        self.random = random
        self.scene = scene
        self.tidiness = tidiness
        self.focus: dict[str, str] = {}

    # -- chance --------------------------------------------------------------------------------

    def chance(self, part: float) -> bool:
        """True in that part of all cases."""
        return self.random.random() < part

    def pick(self, options: Sequence[T]) -> T:
        """One of them."""
        return options[int(self.random.random() * len(options))]

    def tidy(self) -> bool:
        """Whether the next argument is as it should be."""
        return self.chance(self.tidiness)

    # -- who and what --------------------------------------------------------------------------

    def process(self, actor: int) -> ProcessScene:
        """What an actor has; nothing, for one that is not known."""
        return self.scene.processes.get(actor) or ProcessScene()

    def descriptor(self, actor: int, kind: str, with_: str = "") -> str | None:
        """A descriptor of one kind; when untidy any name that some step opens.

        Args:
            actor: whose.
            kind: of what.
            with_: what a container should have, if one has it.
        """
        names = self.process(actor).named(kind)
        if with_ and self.chance(0.9):
            able = [name for name in names if getattr(self.scene.container(actor, name), with_, None)]
            names = able or names
        if names and self.tidy():
            name = self.pick(names)
            if self.focus.get(kind) in names and self.chance(0.5):
                name = self.focus[kind]
            self.focus[kind] = name
            return name
        everything = list(self.scene.names)
        return self.pick(everything) if everything else None

    def region(self, actor: int) -> tuple[str, int] | None:
        """A region of memory and its pages."""
        regions = list(self.process(actor).regions.items())
        if regions and self.chance(0.95):
            return self.pick(regions)
        known = list(self.scene.regions)
        return (self.pick(known), 4) if known else None

    # -- memory --------------------------------------------------------------------------------

    def span(self, actor: int, container: ContainerScene | None) -> tuple[Address, Address] | None:
        """A range to register: memory that nobody has, a whole region, or what somebody has."""
        fresh = self.fresh(actor)
        if fresh and self.chance(0.55):
            name, pages = self.pick(fresh)
            return self.nudged(Address(name), Address(None, 0, pages))
        taken = [place for each in self.scene.containers.values() for place in each.registered]
        if container is not None and container.registered and self.chance(0.25):
            taken = container.registered
        if taken and self.chance(0.35):
            return self.nudged(*self.pick(taken))
        found = self.region(actor)
        if found is None:
            return None
        name, pages = found
        first = 0 if self.chance(0.75) else self.random.randrange(pages)
        count = pages - first if self.chance(0.7) else 1 + self.random.randrange(pages)
        return self.nudged(Address(name, 0, first), Address(None, 0, count))

    def fresh(self, actor: int) -> list[tuple[str, int]]:
        """Regions of memory of which nothing is registered."""
        known = {at.region for each in self.scene.containers.values() for at, _ in each.registered}
        return [(name, pages) for name, pages in self.process(actor).regions.items() if name not in known]

    def nudged(self, at: Address, size: Address) -> tuple[Address, Address]:
        """The range as it is, or off by a page or by a few bytes."""
        if self.tidy():
            return at, size
        how = self.random.randrange(7)
        if how == 0:
            at = address(at.region, at.offset + self.pick((1, 0x800, 0x1000)), at.pages)
        elif how == 1 and at.region is not None:
            at = address(at.region, at.offset, at.pages + self.pick((-1, 1)))
        elif how in (2, 3):
            size = address(None, size.offset, max(0, size.pages + self.pick((-1, 1, 1, 4))))
        elif how == 4:
            size = address(None, size.offset + self.pick((1, 0x1000)), size.pages)
        elif how == 5:
            size = address(None, self.pick((0, 0, *ABSURD)))
        else:
            at = address(None, self.pick(ABSURD))
        return at, size

    # -- bus addresses -------------------------------------------------------------------------

    def window(self, container: ContainerScene | None) -> Window:
        """A window of a container, or the default one."""
        if container is not None and container.windows:
            return self.pick(container.windows)
        return Window(0, self.scene.machine.dma32_window_size, 12)

    def bus_range(self, container: ContainerScene | None, window: Window) -> tuple[Address, int]:
        """A bus address in a window and how many IOMMU pages: near its ends, or where something is mapped."""
        shift = window.shift if 0 < window.shift < 40 else 12
        count = self.pick((1, 1, 1, 1, 2, 2, 4, MOST_ENTRIES))
        at = self.pick((0, 0, 0, 1, 1, 2, 3, 16)) << shift
        if container is not None and container.mapped and self.chance(0.4):
            iova, size = self.pick(container.mapped)
            if self.chance(0.7) and 0 < size >> shift <= MOST_ENTRIES:
                count = size >> shift
            return self.off(iova, shift), count
        if self.chance(0.12):
            at = window.size - (self.pick((0, 1, 1, count)) << shift)
        return self.off(window.start + max(0, at), shift), count

    def off(self, iova: int, shift: int) -> Address:
        """A bus address as it is, or not quite."""
        if not self.tidy():
            iova = self.pick(
                (iova + 1, iova + 0x800, iova + (1 << shift), max(0, iova - 1), self.pick(ABSURD))
            )
        return address(None, iova)

    def mapped_memory(self, actor: int, container: ContainerScene | None, bytes_: int) -> Address | None:
        """Memory to map: inside something registered, so that ``bytes_`` fit."""
        places = list(container.registered) if container is not None else []
        if not places or self.chance(0.3):
            places += [place for each in self.scene.containers.values() for place in each.registered]
        v1 = container is not None and container.iommu_type not in (V2, None)
        if not places or v1 or self.chance(0.05):
            found = self.region(actor)
            if found is None:
                return None
            places = [(Address(found[0]), Address(None, 0, found[1]))]
        at, size = self.pick(places)
        room = max(0, self.scene.bytes_of(size) - bytes_)
        step = max(4096, bytes_)
        ahead = 0 if self.chance(0.6) else self.random.randrange(room // step + 1) * step
        if not self.tidy():
            ahead = self.pick((ahead + 1, room + 4096, room + bytes_, ahead + 0x800))
        return address(at.region, at.offset + ahead, at.pages)
