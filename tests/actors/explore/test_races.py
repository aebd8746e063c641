"""The race detector in searches: silent on the mended kernel, telling on those of Linux."""

from __future__ import annotations

import pytest

from actors.explore import explore
from actors.explore.scenarios import builtin, builtin_names


@pytest.mark.parametrize("name", builtin_names())
def test_it_claims_nothing_of_the_mended_kernel(name):
    report = explore(builtin(name), "fixed", "dpor", schedules=15, races=True)
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
    report = explore(builtin(name), kernel, "dpor", schedules=15, races=True)
    races = [message for invariant, message in report.findings if invariant == "race"]
    assert any(variable in message and "nothing orders two accesses" in message for message in races)


def test_each_variable_is_told_once_and_beside_the_sequential_model_too():
    report = explore(builtin("map-vs-unset-container"), "v6.12", "random", schedules=40, races=True)
    kinds = [finding.kind for finding in report.findings]
    assert len(kinds) == len(set(kinds)) and any("group_list" in kind for kind in kinds)
    both = explore(builtin("register-twice"), "v4.10", "dpor", schedules=15, races=True, linear=True)
    assert "race" in {finding.invariant for finding in both.findings}
