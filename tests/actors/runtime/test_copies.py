from __future__ import annotations

import pickle

import numpy as np
import pytest

from actors.runtime import copies
from actors.runtime.actor import Actor
from actors.runtime.bare import BareRuntime
from actors.runtime.cells import Cell, Counter, KList, Refcount
from actors.runtime.errors import EmulatorError
from actors.runtime.ops import Op
from actors.runtime.sync import Mutex, RwSem


class Store(Actor):
    kind = "store"

    def __init__(self, core: BareRuntime) -> None:
        super().__init__(core)
        self.cell = Cell(core, "cell", (1, "two"))
        self.counter = Counter(core, "counter", 3)
        self.count = Refcount(core, "count", "a", "a", "b")
        self.items: KList[str] = KList(core, "items")
        self.items.items.append("x")
        self.lock, self.sem = Mutex(core, "lock"), RwSem(core, "sem")
        self.words = np.arange(5)


def test_a_copy_belongs_to_its_own_core_and_is_equal() -> None:
    store, core = Store(BareRuntime()), BareRuntime()
    copy: Store = copies.restore(core, copies.snapshot(store))
    assert copy.core is copy.cell.core is copy.lock.core is core
    assert (copy.cell.value, copy.counter.value, copy.count.holders, copy.items.items) == (
        store.cell.value, store.counter.value, store.count.holders, store.items.items,
    )  # fmt: skip
    assert copy.lock.acquire_op.guard is copy.lock
    assert copy.sem.read().take_op.guard is copy.sem
    assert copy.items.items is not store.items.items
    assert copy.count.holders is not store.count.holders


def test_what_never_changes_is_shared_and_arrays_cannot_be_written_any_more() -> None:
    store = Store(BareRuntime())
    copy: Store = copies.restore(BareRuntime(), copies.snapshot(store))
    assert copy.message_op is store.message_op
    assert copy.words is store.words
    with pytest.raises(ValueError, match="read-only"):
        copy.words[0] = 9


def test_a_copy_can_be_sent_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(copies.snapshot(Store(BareRuntime()))))
    store: Store = copies.restore(BareRuntime(), copy)
    assert store.words.tolist() == [0, 1, 2, 3, 4]
    assert store.counter.value == 3


def test_a_core_is_never_copied_and_nothing_is_restored_without_one() -> None:
    copy = pickle.dumps(Store(BareRuntime()))
    with pytest.raises(EmulatorError, match="restored by themselves"):
        pickle.loads(copy)


def test_operations_with_a_guard_are_the_copys_own() -> None:
    core = BareRuntime()
    lock = Mutex(core, "lock")
    plain = Op("field", "x", True)
    mine, other = copies.restore(core, copies.snapshot([lock.acquire_op, plain]))
    assert mine is not lock.acquire_op
    assert other is plain
