"""What a search came to shows itself."""

from __future__ import annotations

import sys
from html import unescape

import pytest

from actors import Machine
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
