"""The levels of a table, and its userspace view."""

import numpy as np
import pytest

from hw import NONE, LevelMissing, NoView
from hw.tce import READ
from tests.hw.tables import TIB, hpas, make, state


def test_view_comes_and_goes() -> None:
    table = make(view=False)
    assert not table.has_view
    for act in (
        lambda: table.ua(3),
        lambda: table.set_ua(3, 1),
        lambda: table.set_uas(3, 1, 2),
        lambda: table.install_view_level(3, 1),
    ):
        with pytest.raises(NoView):
            act()
    table.xchg(3, 0x1000, READ)
    assert state(table) == {3: (0x1001, 0)}
    assert table.clear(0, 9).uas.tolist() == [0]
    table.allocate_view()
    table.set_ua(3, 0xFFFF_FFFF_FFFF_F000)
    assert table.has_view and table.ua(3) == 0xFFFF_FFFF_FFFF_F000
    table.drop_view()
    table.allocate_view()
    assert table.ua(3) == 0


def test_an_address_without_a_tce_is_left_alone() -> None:
    table = make()
    table.set_ua(3, 0x1000)
    table.clear(0, 100)
    assert table.ua(3) == 0x1000


def test_a_missing_level() -> None:
    table = make(levels=2, on_demand=True)
    assert table.missing_depth(600) == 1
    assert table.xchg(600, 0, NONE) == (0, NONE)
    assert table.get(600) == (0, NONE) and table.ua(600) == 0
    for act in (lambda: table.xchg(600, 0x1000, READ), lambda: table.store(600, hpas(1), READ)):
        with pytest.raises(LevelMissing, match="table level"):
            act()
    for act in (lambda: table.set_ua(600, 0x1000), lambda: table.set_uas(600, 0x1000, 1)):
        with pytest.raises(LevelMissing, match="view level"):
            act()
    assert table.missing_depth(600) == 1
    assert not table.view_level_present(600)


def test_installing_levels() -> None:
    table = make(levels=2, on_demand=True)
    assert table.install_level(600, 1) == 0
    assert [table.missing_depth(index) for index in (511, 512, 1023, 1024)] == [1, 0, 0, 1]
    assert not table.view_level_present(600)
    assert table.install_view_level(600, 1) == 0
    assert table.view_level_present(600)
    table.xchg(600, 0x1000, READ)
    table.set_ua(600, 0x2000)
    assert state(table) == {600: (0x1001, 0x2000)}
    assert table.ensure_levels(600, 1) == 0


def test_two_cpus_installing_one_level_lose_the_first() -> None:
    table = make(levels=2, on_demand=True)
    for index in (100, 600):
        table.install_level(index, 1)
        table.install_view_level(index, 1)
    table.xchg(100, 0x9000, READ)
    table.store(600, hpas(1, 2), READ)
    table.set_ua(600, 0x5000)
    assert table.install_level(601, 1) == 2
    assert table.get(600) == (0, NONE) and table.live_count == 1
    assert table.ua(600) == 0x5000
    assert table.install_view_level(601, 1) == 1
    assert table.ua(600) == 0


def test_an_overtaken_install_higher_up() -> None:
    table = make(TIB, 16, levels=3, on_demand=True)
    assert table.ensure_levels(0, 1) == 4
    table.xchg(0, 0x10000, READ)
    assert table.install_level(0, depth=1) == 1
    assert table.missing_depth(0) == 2
    assert table.missing_depth(0, view=True) == 0


def test_ensure_levels() -> None:
    table = make(levels=2, on_demand=True)
    assert table.ensure_levels(500, 600) == 2 * 3
    assert table.ensure_levels(500, 600) == 0
    assert table.ensure_levels(3, 0) == 0
    assert table.store(500, np.arange(600, dtype=np.uint64) << np.uint64(12), READ) is None


@pytest.mark.parametrize(("levels", "on_demand"), [(1, True), (1, False), (3, False)])
def test_levels_that_are_all_there(levels: int, on_demand: bool) -> None:
    table = make(levels=levels, on_demand=on_demand)
    assert table.view_level_present(5) and table.missing_depth(5) == 0
    assert table.ensure_levels(0, 100) == 0
    for act in (table.install_level, table.install_view_level):
        with pytest.raises(ValueError, match="from the start"):
            act(0, 1)
