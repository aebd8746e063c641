"""What a search came to shows itself."""

from __future__ import annotations

import pickle
import sys
from html import unescape

import pytest

from actors import Machine
from actors.explore import explore as plain_explore
from actors.explore import explore_async
from actors.explore.scenarios import builtin
from actors.notebook import explore


def test_a_failure_shows_its_timeline() -> None:
    found = explore("map-vs-unregister", "v6.12", schedules=50)
    assert found.report.invariant == "J-R2"
    assert found.log.end is not None
    assert (found.log.end.verdict, found.log.end.invariant) == ("violation", "J-R2")
    text, page = repr(found), found._repr_html_()
    assert text.startswith("map-vs-unregister on v6.12: J-R2 in order ")
    assert "calls UNREGISTER_MEMORY" in text
    assert page.count("<iframe") == 1
    inside = page.partition('srcdoc="')[2].rpartition('"></iframe>')[0]
    assert '"' not in inside
    assert unescape(inside).lstrip().lower().startswith("<!doctype html>")


def test_a_plain_report_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    report = plain_explore(builtin("map-vs-unregister"), "v6.12", schedules=50)
    page = report._repr_html_()
    assert page.startswith("<table") and "<td>J-R2</td>" in page and "map-vs-unregister on v6.12" in page
    assert page.count("<iframe") == 1 and "UNREGISTER_MEMORY" in page
    sent = pickle.loads(pickle.dumps(report))
    assert sent == report and repr(sent) == repr(report)
    assert page.startswith(sent._repr_html_()) and "<iframe" not in sent._repr_html_()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "<pre>" in report._repr_html_() and "calls UNREGISTER_MEMORY" in report._repr_html_()


def test_a_plain_report_without_failure_is_a_table() -> None:
    report = plain_explore(both_exit, strategy="dpor", schedules=500, name="<both>")
    page = report._repr_html_()
    assert "all that there are" in page and "&lt;both&gt; on fixed" in page and "<iframe" not in page


async def test_explored_beside_other_tasks_it_shows_itself_too() -> None:
    report = await explore_async(builtin("map-vs-unregister"), "v6.12", schedules=50)
    twin = plain_explore(builtin("map-vs-unregister"), "v6.12", schedules=50)
    assert report.as_json() | {"seconds": 0} == twin.as_json() | {"seconds": 0}
    assert "<iframe" in report._repr_html_()
    with pytest.raises(TypeError, match="orcales"):
        await explore_async(both_exit, orcales=None)  # type: ignore[call-arg]


async def both_exit(machine: Machine) -> None:
    qemu = await machine.spawn("qemu")
    child = await qemu.fork("child")
    async with machine.threads() as threads:
        threads.start("child", child.exit())
        threads.start("parent", qemu.exit())


def test_where_nothing_fails_the_calm_order_is_shown() -> None:
    found = explore(both_exit, strategy="dpor", schedules=500)
    assert found.report.complete
    assert "orders are ok, and there are no others" in repr(found)
    assert {event.thread for event in found.log.events} >= {"child", "parent", "scenario"}


def test_without_the_extra_it_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    page = explore("map-vs-unregister", "v6.12", schedules=50)._repr_html_()
    assert page.startswith("<pre>map-vs-unregister on v6.12: J-R2")
    assert "<iframe" not in page
