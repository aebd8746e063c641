"""Shared variables of the modelled kernel: every read and write of one is a scheduling point.

The values are plain; what makes them worth a class is that each access is declared before it
happens, is checked against use after free, and can be recorded. ``value`` (or ``items``) may be
looked at without a point by oracles and snapshots only.
"""

from __future__ import annotations

import types
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from actors.runtime.errors import UseAfterFree
from actors.runtime.ops import Op, point

if TYPE_CHECKING:
    from actors.runtime.core import Core

T = TypeVar("T")


def whole_of(name: str) -> str:
    """The name under which all variables of one structure go: ``region:3.*`` for ``region:3.used``."""
    return name.rpartition(".")[0] + ".*"


class Shared:
    """What all shared variables have: a name, the two operations on it, and a life that ends.

    Attributes:
        name: the deterministic name, such as ``mm:0.locked_vm``.
        freed: True once the structure that holds the variable was freed; any later access is a use
            after free (J-K2).
        read_op: the declaration of a read, None until there has been one.
        write_op: the declaration of a write, None until there has been one.
    """

    __slots__ = ("core", "freed", "name", "read_op", "write_op")
    kind = "field"
    state = ("core", "name", "freed", "value")
    """What a copy carries."""

    def __init__(self, core: Core, name: str) -> None:
        self.core = core
        self.name = name
        self.freed = False
        self.read_op: Op | None = None
        self.write_op: Op | None = None

    def reading(self) -> Op:
        """Return :attr:`read_op`, made when it is first declared: most variables are never touched."""
        op = self.read_op = self.read_op or Op(self.kind, self.name, False, within=whole_of(self.name))
        return op

    def writing(self) -> Op:
        """Return :attr:`write_op`, made when it is first declared."""
        op = self.write_op = self.write_op or Op(self.kind, self.name, True, within=whole_of(self.name))
        return op

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        state = {slot: getattr(self, slot) for slot in self.state}
        return None, state | {"read_op": None, "write_op": None}

    def misused(self, how: str = "") -> UseAfterFree:
        """The crash of the running thread that has touched what is gone."""
        return UseAfterFree(self.name + how, self.core.current.place())


class Cell(Shared, Generic[T]):
    """A field: ``await cell.get()``, ``await cell.set(value)``."""

    __slots__ = ("value",)

    def __init__(self, core: Core, name: str, value: T) -> None:
        super().__init__(core, name)
        self.value = value

    @types.coroutine
    def get(self) -> Generator[Op, Any, T]:
        """Return the value."""
        if self.core.controlled:
            yield self.read_op or self.reading()
        if self.freed:
            raise self.misused()
        if self.core.tracing:
            self.core.trace(self.reading(), self.value, self.value)
        return self.value

    @types.coroutine
    def set(self, value: T) -> Generator[Op, Any, None]:
        """Replace the value."""
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        old, self.value = self.value, value
        if self.core.tracing:
            self.core.trace(self.writing(), old, value)


class Counter(Shared):
    """An atomic number: every method is one indivisible step.

    Kernel: ``atomic_t``, ``atomic64_t``; for plain numbers under a lock the lock makes it so.
    """

    __slots__ = ("value",)
    kind = "counter"

    def __init__(self, core: Core, name: str, value: int = 0) -> None:
        super().__init__(core, name)
        self.value = value

    @types.coroutine
    def get(self, *also: Op) -> Generator[Op, Any, int]:
        """Return the number; ``also`` is what the same step looks at besides."""
        if self.core.controlled:
            yield self.reading().together(also) if also else self.read_op or self.reading()
        if self.freed:
            raise self.misused()
        if self.core.tracing:
            self.core.trace(self.reading(), self.value, self.value)
        return self.value

    @types.coroutine
    def add(self, delta: int) -> Generator[Op, Any, int]:
        """Add ``delta`` and return the new number."""
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        old = self.value
        self.value = old + delta
        if self.core.tracing:
            self.core.trace(self.writing(), old, self.value)
        return self.value

    @types.coroutine
    def add_unless(self, delta: int, unless: int) -> Generator[Op, Any, bool]:
        """Add ``delta`` unless the number is ``unless``; say whether it was added.

        Kernel: include/linux/atomic, ``atomic64_add_unless``.
        """
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        old = self.value
        if old != unless:
            self.value = old + delta
        if self.core.tracing:
            self.core.trace(self.writing(), old, self.value)
        return old != unless

    @types.coroutine
    def compare_exchange(self, expected: int, new: int) -> Generator[Op, Any, bool]:
        """Replace ``expected`` by ``new``; say whether the number was ``expected``."""
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        old = self.value
        if old == expected:
            self.value = new
        if self.core.tracing:
            self.core.trace(self.writing(), old, self.value)
        return old == expected


class Refcount(Shared):
    """A reference count that knows its holders by name.

    A holder may hold several references. Kernel: ``struct kref``, ``mm_count``, ``f_count``.
    """

    __slots__ = ("holders",)
    kind = "reference"
    state = ("core", "name", "freed", "holders")

    def __init__(self, core: Core, name: str, *holders: str) -> None:
        super().__init__(core, name)
        self.holders: dict[str, int] = {}
        for holder in holders:
            self.holders[holder] = self.holders.get(holder, 0) + 1

    @property
    def value(self) -> int:
        """The number of references."""
        return sum(self.holders.values())

    @types.coroutine
    def take(self, holder: str, count: int = 1) -> Generator[Op, Any, None]:
        """Add ``count`` references for ``holder``."""
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        old = self.value
        self.holders[holder] = self.holders.get(holder, 0) + count
        if self.core.tracing:
            self.core.trace(self.writing(), old, old + count, holder)

    @types.coroutine
    def drop(self, holder: str, count: int = 1) -> Generator[Op, Any, bool]:
        """Give ``count`` references of ``holder`` back; say whether that was the last.

        Raises:
            KernelOops: the holder holds fewer (J-K2: somebody else's reference would be dropped).
        """
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        old = self.value
        left = self.holders.get(holder, 0) - count
        if left < 0:
            raise self.misused(f" (reference of {holder} dropped twice)")
        if left:
            self.holders[holder] = left
        else:
            del self.holders[holder]
        if self.core.tracing:
            self.core.trace(self.writing(), old, old - count, holder)
        return not self.holders


class KList(Shared, Generic[T]):
    """A linked list: adding, removing and walking are one point each.

    Kernel: ``struct list_head``. ``walk`` returns what a walker sees at one moment; the items
    themselves are then read by points of their own.
    """

    __slots__ = ("items",)
    kind = "list"
    state = ("core", "name", "freed", "items")

    def __init__(self, core: Core, name: str) -> None:
        super().__init__(core, name)
        self.items: list[T] = []

    def __iter__(self) -> Iterator[T]:
        """Look without a point: for oracles and snapshots."""
        return iter(self.items)

    @types.coroutine
    def read(self) -> Generator[Op, Any, None]:
        """Declare one look over the whole list; what it is looked at for follows without another point."""
        if self.core.controlled:
            yield self.read_op or self.reading()
        if self.freed:
            raise self.misused()
        if self.core.tracing:
            self.core.trace(self.reading())

    @types.coroutine
    def walk(self) -> Generator[Op, Any, tuple[T, ...]]:
        """Return the items, first to last."""
        if self.core.controlled:
            yield self.read_op or self.reading()
        if self.freed:
            raise self.misused()
        if self.core.tracing:
            self.core.trace(self.reading())
        return tuple(self.items)

    def put(self, item: T) -> None:
        """Place ``item``: at the head."""
        self.items.insert(0, item)

    def take(self, item: T) -> None:
        """Take ``item`` out: the first one, if it is there several times.

        Raises:
            ValueError: it is not there.
        """
        self.items.remove(item)

    def holds(self, item: T) -> bool:
        """Whether ``item`` is there; whoever asks declares the look with :meth:`read` before."""
        return item in self.items

    @types.coroutine
    def add(self, item: T) -> Generator[Op, Any, None]:
        """Put ``item`` at the head. Kernel: ``list_add``."""
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        self.put(item)
        if self.core.tracing:
            self.core.trace(self.writing(), None, item)

    @types.coroutine
    def delete(self, item: T) -> Generator[Op, Any, None]:
        """Take ``item`` off the list. Kernel: ``list_del``."""
        if self.core.controlled:
            yield self.write_op or self.writing()
        if self.freed:
            raise self.misused()
        try:
            self.take(item)
        except ValueError:
            raise self.misused(f" (list_del of {item!r}, which is not on it)") from None
        if self.core.tracing:
            self.core.trace(self.writing(), item, None)


async def free(structure: str, *variables: Shared) -> None:
    """End the life of a structure in one step: later accesses to its variables are uses after free.

    Args:
        structure: its name, which the names of its variables begin with.
        variables: all of them.
    """
    core = variables[0].core
    if core.controlled:
        await point(Op("lifetime", f"{structure}.*", True))
    for variable in variables:
        variable.freed = True
