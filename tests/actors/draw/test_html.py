"""The page as text: whole, small, and harmless whatever the log holds."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from hashlib import sha256

import pytest

from actors.draw import Undrawable
from actors.draw.html import draw
from actors.draw.rundata import MOST_STEPS, run_data
from actors.trace import schema as s

NASTY = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>'\"&\u2028\u202e`${x}"


def embedded(page):
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )


def nasty(script):
    script.add(s.Start, NASTY, NASTY)
    script.add(s.Request, NASTY, NASTY, to=NASTY, request=NASTY, operation=NASTY, args={NASTY: NASTY})
    script.add(
        s.Access, NASTY, NASTY, object=NASTY, field=NASTY, kind=NASTY, write=True, before=NASTY, after=[NASTY]
    )
    script.add(
        s.Access,
        NASTY,
        NASTY,
        object="mm:0",
        field="mm_count",
        kind="reference",
        before=0,
        after=1,
        holder=NASTY,
    )
    script.add(s.Acquire, NASTY, NASTY, object=NASTY, mode=NASTY)
    script.add(s.Violation, NASTY, NASTY, invariant=NASTY, message=NASTY, accesses=(NASTY,))
    return script.log(NASTY, verdict=NASTY, message=NASTY, invariant=NASTY)


def test_every_step_of_the_run_is_in_the_page(log):
    (run,) = embedded(draw(log))["runs"]
    assert run["step"] == [event.step for event in log.events]
    assert [run["texts"][i] for i in run["thread"]] == [event.thread for event in log.events]
    assert run["name"] == "exit-with-lazy-borrower"
    assert run["end"]["invariant"] == "J-Q1"


def test_names_cannot_become_markup(script):
    page = draw(nasty(script), None)
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "alert(1)</" not in page and "<img" not in page and "\u2028" not in page and "\u202e" not in page
    assert "&lt;/script&gt;" in page
    assert embedded(page)["runs"][0]["name"].startswith("</script><script>")


def test_only_the_scripts_that_it_names_may_act(log):
    page = draw(log)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    assert policy.startswith("default-src 'none';")
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        text = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)[1]
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r'(src|href)="(?!data:,)', page)


def test_the_same_log_makes_the_same_page(log):
    assert draw(log) == draw(log)


def test_two_runs_part_where_their_logs_do(log):
    other = log._replace(events=log.events[:50])
    parting = embedded(draw(log, compare=other))["parting"]
    assert (parting["row"], parting["same"]) == (50, False)
    assert embedded(draw(log, compare=log))["parting"]["same"]


def test_without_jinja_it_says_what_to_install(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(Undrawable, match=r"pip install 'tcemu\[report\]'"):
        draw(log)


def test_a_log_without_events_and_one_with_too_many_are_refused(script):
    with pytest.raises(Undrawable, match="found no events"):
        draw(script.log())
    event = s.Start(step=0, thread="t", actor="")
    many = script.log()._replace(events=[event] * (MOST_STEPS + 1))
    with pytest.raises(Undrawable, match=r"found 100,001 steps, expected at most 100,000; cut it first"):
        run_data(many)


def test_a_step_that_the_page_cannot_count_is_refused(script):
    log = script.log()._replace(events=[s.Start(step=1 << 60, thread="t", actor="")])
    with pytest.raises(Undrawable, match="found a step outside"):
        draw(log)


def test_long_texts_are_cut(script):
    script.add(s.Request, "t" * 100_000, to="x" * 100_000, request="r" * 100_000, args={"a": "b" * 100_000})
    assert max(map(len, run_data(script.log())["texts"])) <= 600


def test_steps_may_have_gaps(log):
    part = log._replace(events=log.events[5::3])
    (run,) = embedded(draw(part))["runs"]
    assert run["step"] == [event.step for event in part.events]
    assert all(-1 <= cause < len(part.events) for cause in run["cause"])


def test_patches_name_keys_and_values_that_exist(log):
    data = run_data(log)
    assert len(data["patches"]) == len(log.events)
    for patch in data["patches"]:
        assert len(patch) % 3 == 0
        for key, old, new in zip(*[iter(patch)] * 3, strict=True):
            assert 0 <= key < len(data["keys"])
            assert old != new and min(old, new) >= 0 and max(old, new) < len(data["values"])
