"""The two lists of regions: found at once, in the order of the list that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.kernel.regions import PreregList, Region, RegionList
from actors.runtime.bare import BareRuntime
from actors.runtime.cells import KList
from actors.runtime.copies import restore, snapshot
from hw import Ua

NAMES = st.sampled_from(["region:0", "region:1", "region:2"])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.booleans(), NAMES), max_size=200))
def test_a_list_of_names_is_the_plain_list_whatever_is_done(steps: list[tuple[bool, str]]) -> None:
    core = BareRuntime()
    plain: KList[str] = KList(core, "plain")
    quick = PreregList(core, "quick")
    for puts, name in steps:
        if puts:
            plain.put(name)
            quick.put(name)
        elif plain.holds(name):
            plain.take(name)
            quick.take(name)
        else:
            with pytest.raises(ValueError, match=name):
                quick.take(name)
        assert quick.items == plain.items
        assert quick.first == next(iter(plain.items), None)
        assert [quick.holds(each) for each in ("region:0", "region:1")] == [
            plain.holds(each) for each in ("region:0", "region:1")
        ]


def test_names_that_came_and_went_take_no_room() -> None:
    names = PreregList(BareRuntime(), "quick")
    names.put("stays")
    for _ in range(1000):
        names.put("goes")
        names.take("goes")
    assert names.next < 200
    assert names.items == ["stays"]


def test_a_copy_has_the_same_order() -> None:
    names = PreregList(BareRuntime(), "quick")
    for name in ("a", "b", "a", "c"):
        names.put(name)
    core = BareRuntime()
    names.core = core
    copy = restore(core, snapshot([names.items]))[0]
    assert copy == ["c", "a", "b", "a"]


def test_a_region_is_taken_out_by_its_address() -> None:
    core = BareRuntime()
    regions = RegionList(core, "regions")
    made = [Region(core, Ua(at << 16), np.zeros(1, np.uint32), 16, 16) for at in (5, 1, 3)]
    for region in made:
        regions.put(region)
    regions.take(made[2])
    assert regions.items == [made[1], made[0]]
    with pytest.raises(ValueError, match="not in list"):
        regions.take(made[2])
