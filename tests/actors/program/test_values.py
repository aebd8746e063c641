"""Values are frozen, hashable and picklable."""

from __future__ import annotations

import pickle

import pytest

from actors.program import FrozenDict, MachineSpec, ProgramError


def test_machine_defaults() -> None:
    machine = MachineSpec()
    assert (machine.page_size, machine.cpus, machine.groups, machine.memory_bytes) == (65536, 2, 1, 2 << 30)
    assert (machine.platform, machine.mmu, machine.dma32_window_size) == ("powernv9", "radix", 2 << 30)
    assert (machine.hugepages, machine.rlimit_memlock) == ({}, None)


def test_hugepage_pools_by_shift() -> None:
    assert MachineSpec(hugepages=FrozenDict({"16M": 20, "1G": 1})).hugepage_pools == {24: 20, 30: 1}


def test_a_frozen_dict_does_not_change() -> None:
    frozen = FrozenDict({"a": 1})
    for change in (lambda: frozen.update(b=2), lambda: frozen.__setitem__("b", 2), frozen.clear):
        with pytest.raises(TypeError):
            change()
    assert frozen == {"a": 1}
    assert hash(frozen) == hash(FrozenDict({"a": 1}))


def test_errors_pickle_and_stay_on_one_line() -> None:
    error = ProgramError("a\nb.json", "setup[0]", "found '\x00'")
    assert str(error) == r"a\nb.json: setup[0]: found '\x00'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
