"""The race detector in searches: silent on the mended kernel, telling on those of Linux."""

from __future__ import annotations

from functools import partial

import pytest

from actors.check import Oracles
from actors.explore import explore
from actors.explore.scenarios import builtin, builtin_names

DETECTING = partial(Oracles, races=True)


@pytest.mark.parametrize("name", builtin_names())
def test_it_claims_nothing_of_the_mended_kernel(name):
    report = explore(builtin(name), "fixed", "dpor", schedules=15, oracles=DETECTING)
    assert (report.verdict, report.findings) == ("ok", ())


@pytest.mark.parametrize(
    ("name", "kernel", "variable"),
    [
        ("shared-region-register", "v4.9", "iommu_group_mem_list"),
        ("register-twice", "v4.10", "tce_container:0.mm"),
        ("map-vs-map-pending-window", "v6.12", "def_window_pending"),
        ("map-vs-unset-container", "v6.12", "group_list"),
    ],
)
def test_it_names_both_accesses_without_the_failure_having_to_happen(name, kernel, variable):
    report = explore(builtin(name), kernel, "dpor", schedules=15, oracles=DETECTING)
    races = [message for invariant, message in report.findings if invariant == "race"]
    assert any(variable in message and "nothing orders two accesses" in message for message in races)
