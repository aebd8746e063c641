"""How a kernel is put together: the text of today's design plus named pieces that change it.

A piece is a class with a nested class for each part of the kernel that it changes::

    class ForgetfulRelease(Piece):
        slug = "forgetful-release"
        class container(Container):
            async def tce_iommu_release(self, container): ...

Nested classes are put in front of the part's own class, in the order of the pieces, so that
``super()`` reaches the text that is being changed. Two pieces that replace the same method outright
make no sense together and are refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from typing import Any, ClassVar

from actors.kernel.container import Container
from actors.kernel.cpu import Cpu
from actors.kernel.group import Group
from actors.kernel.mm_iommu import Mm
from actors.kernel.process import Process
from actors.runtime.actor import Actor

PARTS: dict[str, type[Actor]] = {
    "mm": Mm,
    "container": Container,
    "group": Group,
    "process": Process,
    "cpu": Cpu,
}
"""Name of a part -> the class whose text is the kernel of today with every known defect mended."""


class UnknownPiece(ValueError):
    """A name that no piece and no kernel has."""


class Conflict(ValueError):
    """Pieces that cannot be in one kernel."""


class Piece:
    """One named change of the kernel: a defect, or a difference between versions.

    Class attributes:
        slug: its name on the command line.
        aliases: other names that it goes by.
        number: the entry of section G of the reference, "" for a difference or a finding of our own.
        title: what it is, in one line.
        commit: what introduced or mended it in Linux, as far as known.
        versions: where Linux has it.
        symptom: what a user or an administrator sees.
        trigger: what makes it show.
        remedy: what the text here does instead, and why.
        invariants: the invariants that catch it, most telling first; ``expectation`` where only a wrong
            answer shows it.
        failpoints: failure points that it needs, by name.
        excludes: slugs of pieces that it makes no sense with, each with the reason.
        defect: False for a difference that is no defect.
    """

    slug: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    number: ClassVar[str] = ""
    title: ClassVar[str] = ""
    commit: ClassVar[str] = ""
    versions: ClassVar[str] = ""
    symptom: ClassVar[str] = ""
    trigger: ClassVar[str] = ""
    remedy: ClassVar[str] = ""
    invariants: ClassVar[tuple[str, ...]] = ()
    failpoints: ClassVar[tuple[str, ...]] = ()
    excludes: ClassVar[dict[str, str]] = {}
    defect: ClassVar[bool] = True


class Kernel:
    """The classes that make up one kernel.

    Attributes:
        name: ``fixed``, ``v6.12``, or either with ``+slug`` and ``-slug``.
        pieces: the pieces it is made with, in order.
        mm, container, group, process, cpu: the composed classes.
    """

    def __init__(self, name: str, pieces: tuple[type[Piece], ...]) -> None:
        check(pieces)
        self.name = name
        self.pieces = pieces
        self.mm: type[Mm] = compose("mm", pieces)
        self.container: type[Container] = compose("container", pieces)
        self.group: type[Group] = compose("group", pieces)
        self.process: type[Process] = compose("process", pieces)
        self.cpu: type[Cpu] = compose("cpu", pieces)

    @property
    def slugs(self) -> frozenset[str]:
        """The names of its pieces."""
        return frozenset(piece.slug for piece in self.pieces)

    def with_piece(self, *pieces: type[Piece]) -> Kernel:
        """Return this kernel with more pieces; for a variant of your own."""
        names = "".join(f"+{piece.slug}" for piece in pieces)
        return Kernel(self.name + names, self.pieces + pieces)

    def __repr__(self) -> str:
        return f"<kernel {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Kernel, (self.name, self.pieces))


@cache
def composed(part: str, changes: tuple[type, ...]) -> type[Actor]:
    """Put the changes of a part in front of its class; findable by pickle under its own name."""
    base = PARTS[part]
    if not changes:
        return base
    module = sys.modules[__name__]
    name = f"{base.__name__}__" + "__".join(change.__qualname__.replace(".", "_") for change in changes)
    made = type(name, (*reversed(changes),), {"__module__": __name__, "__doc__": base.__doc__})
    setattr(module, name, made)
    return made


def compose(part: str, pieces: Iterable[type[Piece]]) -> Any:
    """Return the class of a part with the changes of ``pieces``."""
    changes = dict.fromkeys(p.__dict__[part] for p in pieces if part in p.__dict__)
    return composed(part, tuple(changes))


def check(pieces: tuple[type[Piece], ...]) -> None:
    """Refuse pieces that make no sense together.

    Raises:
        Conflict: naming both and the reason.
    """
    slugs = {piece.slug for piece in pieces}
    for piece in pieces:
        for other, reason in piece.excludes.items():
            if other in slugs:
                raise Conflict(f"{piece.slug} and {other} do not go together: {reason}")
    for part in PARTS:
        check_part(part, [piece for piece in pieces if part in piece.__dict__])


def check_part(part: str, pieces: list[type[Piece]]) -> None:
    """Refuse pieces of which one replaces outright what another one has changed in the same part."""
    owners: dict[str, tuple[type[Piece], Any]] = {}
    for piece in pieces:
        for method, body in vars(piece.__dict__[part]).items():
            if not callable(body):
                continue
            owner, earlier = owners.get(method, (piece, body))
            if earlier is not body and not uses_super(body):
                raise Conflict(
                    f"{piece.slug} and {owner.slug} do not go together:"
                    f" both replace {PARTS[part].__name__}.{method}"
                )
            owners[method] = (piece, body)


def uses_super(function: Any) -> bool:
    """Whether a method builds on the text that it changes."""
    code = getattr(function, "__code__", None)
    return code is not None and "__class__" in code.co_freevars
