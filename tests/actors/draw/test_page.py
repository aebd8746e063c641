"""The page in a real browser: what one sees and does."""

from __future__ import annotations

import re

import pytest
from msgspec import structs

from actors.draw.lanes import lanes
from tests.actors.draw.test_html import NASTY, nasty

pytestmark = pytest.mark.browser

CELLS = """([x, y, width, height]) => {
  const canvas = document.querySelector(".scroll canvas"), ratio = canvas.width / canvas.clientWidth;
  const { data } = canvas.getContext("2d").getImageData(x * ratio, y * ratio, width * ratio, height * ratio);
  const found = new Set();
  for (let i = 0; i < data.length; i += 4) found.add(data.slice(i, i + 3).join());
  return found.size;
}"""


def step(page):
    return int(re.search(r"step (\d+)", page.inner_text("#step"))[1])


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
    return step(page)


def cards(page):
    """Title -> text of the cards of the state that are shown."""
    return {
        c.query_selector("h4 span").inner_text(): c.inner_text()
        for c in page.query_selector_all("#state .card")
    }


def until(page, expression, value):
    """Wait until an expression has a value; the page's policy lets nobody do that inside it."""
    for _ in range(500):
        if page.evaluate(expression) == value:
            return
        page.wait_for_timeout(20)
    assert page.evaluate(expression) == value


def settled(page):
    """Wait until what was asked for has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_it_opens_at_the_violation_and_says_what_broke(opened, log):
    page = opened(log)
    assert page.title() == "exit-with-lazy-borrower on v4.9 · tcemu"
    assert page.inner_text("#verdict") == "J-Q1 broken"
    assert step(page) == len(log.events) - 1
    assert "still pinned" in page.inner_text("#event")
    assert [button.inner_text() for button in page.query_selector_all("#problems button")][-1].startswith(
        "J-Q1 at"
    )


def test_the_lanes_are_drawn(opened, log):
    page = opened(log)
    label = page.get_attribute(".scroll canvas", "aria-label")
    assert label == "lanes: " + ", ".join(lane.name for lane in lanes(log.events).lanes)
    press(page, "Home")
    settled(page)
    assert page.evaluate(CELLS, [60, 120, 300, 600]) > 10


def test_a_lane_says_what_the_pointer_points_to(opened, log):
    page = opened(log)
    press(page, "Home")
    box = page.locator(".scroll canvas").bounding_box()
    said = set()
    for y in (310, 400):
        for x in range(60, 460, 8):
            page.mouse.move(box["x"] + x, box["y"] + y)
            said.add(page.inner_text("#tip"))
    assert any(re.fullmatch(r"kworker in cpu:1: context_switch, steps \d+ to \d+", text) for text in said)
    assert any(
        re.fullmatch(r"kworker holds process:0.threadgroup_lock, steps \d+ to \d+", text) for text in said
    )
    assert "thread qemu" in said


def test_keys_step_forward_and_back(opened, log):
    page = opened(log)
    page.select_option("#level", "0")
    assert press(page, "Home") == 0
    assert press(page, "ArrowRight", "ArrowRight", "ArrowRight") == 3
    assert press(page, "ArrowLeft") == 2
    assert press(page, "PageDown") > 20
    assert press(page, "PageUp") == 2
    assert press(page, "End") == len(log.events) - 1
    assert press(page, "ArrowRight") == len(log.events) - 1


def test_shift_keeps_to_the_thread(opened, log):
    page = opened(log, link="#step=2")
    seen = {log.events[press(page, "Shift+ArrowRight")].thread for _ in range(12)}
    assert seen == {log.events[2].thread}


def test_buttons_and_the_mouse_step_too(opened, log):
    page = opened(log)
    page.click("[data-go=first]")
    assert step(page) == 0
    page.click("[data-go=on]")
    assert step(page) == 1
    page.click(".scroll canvas", position={"x": 500, "y": 116 + 20 * 6 + 10})
    assert step(page) > 3
    page.click(".map", position={"x": 30, "y": 700})
    assert step(page) > 60


def test_calm_choices_can_be_hidden(opened, log):
    page = opened(log)
    steps = {}
    for level in ("0", "1", "2"):
        page.select_option("#level", level)
        press(page, "Home")
        steps[level] = [press(page, "ArrowRight") for _ in range(12)]
    assert steps["0"] == list(range(1, 13))
    assert steps["0"] != steps["1"] != steps["2"]
    assert steps["2"][-1] > steps["1"][-1] > 12


def test_n_and_p_go_from_violation_to_violation(opened, log):
    page = opened(log)
    rows = [event.step for event in log.events if type(event).__name__ in ("Misuse", "Violation")]
    press(page, "Home")
    assert [press(page, "n") for _ in rows] == rows
    assert press(page, "p") == rows[-2]


def test_a_leak_is_told_with_who_holds_what(opened, log):
    page = opened(log)
    press(page, "End")
    assert "mm:0.mm_count is 1, held by cpu:1" in page.inner_text("#event .trouble")
    assert "racing" not in page.inner_text("#event .trouble")


def test_r_goes_to_the_racing_accesses(opened, race):
    page, log = opened(race), race
    one, other, last = (press(page, "r") for _ in range(3))
    assert last == len(log.events) - 1
    assert {log.events[one].thread, log.events[other].thread} == {"mapper", "closer"}
    assert press(page, "r") == one
    assert "racing: mapper at" in page.inner_text("#event .trouble")
    page.click(f"#event a.row >> text=#{other}")
    assert step(page) == other


def test_the_state_follows_the_cursor_both_ways(opened, log):
    page = opened(log)
    press(page, "End")
    assert "cpu:1" in cards(page)["mm:0"]
    assert "freed" in cards(page)["table:0"]
    taken = next(e.step for e in log.events if getattr(e, "field", "") == "mm_count" and e.holder == "cpu:1")
    page.evaluate(f"location.hash = '#step={taken - 1}'")
    until(page, "document.getElementById('step').textContent", f"step {taken - 1}")
    assert "cpu:1" not in cards(page)["mm:0"]
    assert press(page, "ArrowRight") == taken
    assert "1 → 2" in " ".join(cards(page)["mm:0"].split())
    assert "mm:0 mm_count" in page.inner_text("#changed")
    assert "cpu:1" in cards(page)["mm:0"]
    press(page, "ArrowLeft")
    assert "cpu:1" not in cards(page)["mm:0"]
    assert "freed" not in cards(page)["table:0"]


def test_a_click_on_a_part_goes_to_its_last_change(opened, log):
    page = opened(log)
    page.click("#state .card:has(h4 span:text-is('mm:0')) dt:text-is('mm_users')")
    event = log.events[step(page)]
    assert (event.object, event.field, event.after) == ("mm:0", "mm_users", 0)


def test_search_finds_and_goes_on(opened, log):
    page = opened(log)
    press(page, "Home", "/")
    page.keyboard.type("mm_count")
    rows = [e.step for e in log.events if getattr(e, "field", "") == "mm_count"]
    assert page.inner_text("#found") == str(len(rows))
    assert press(page, "Enter") == rows[0]
    assert press(page, "Enter") == rows[1]
    assert page.inner_text("#found") == f"2/{len(rows)}"
    assert press(page, "Shift+Enter") == rows[0]
    page.fill("#find", "no such thing")
    assert page.inner_text("#found") == "nothing"
    page.fill("#find", "#17")
    assert press(page, "Enter") == 17
    press(page, "Escape")
    assert press(page, "ArrowRight") > 17


def test_a_link_leads_to_a_step_and_the_address_follows(opened, log):
    page = opened(log, link="#step=33")
    assert step(page) == 33
    press(page, "ArrowRight")
    until(page, "location.hash", f"#step={step(page)}")
    assert step(page) > 33
    assert step(opened(log, link="#step=999999")) == len(log.events) - 1
    assert step(opened(log, link="#step=nonsense")) == len(log.events) - 1


def test_light_and_dark(opened, log):
    background = "getComputedStyle(document.body).backgroundColor"
    page = opened(log, scheme="dark")
    dark = page.evaluate(background)
    press(page, "t")
    light = page.evaluate(background)
    assert dark != light
    press(page, "t")
    assert page.evaluate(background) == dark
    page.emulate_media(color_scheme="light")
    until(page, background, light)
    assert opened(log).evaluate(background) == light


def test_help_opens_and_closes(opened, log):
    page = opened(log)
    press(page, "?")
    assert page.is_visible("#keys")
    press(page, "Escape")
    assert not page.is_visible("#keys")


def test_two_runs_stand_side_by_side_and_part_at_the_choice(opened, log):
    events = list(log.events)
    other = log._replace(
        events=[*events[:60], *events[70:110]], end=log.end.__class__(step=110, verdict="ok")
    )
    page = opened(log, compare=other)
    assert len(page.query_selector_all(".pane")) == 2
    assert page.inner_text("#problems .part") == "parted at 60"
    assert press(page, "d") == 60
    until(page, "location.hash", "#step=60&run=1")
    press(page, "c")
    assert step(page) == 70
    until(page, "location.hash", "#step=70&run=2")
    press(page, "c")
    assert step(page) == 60
    assert step(opened(log, compare=other, link="#step=70&run=2")) == 70


def test_the_other_runs_values_are_told_where_they_differ(opened, log):
    events = list(log.events)
    other = log._replace(events=events[:40])
    page = opened(log, compare=other)
    press(page, "End")
    assert "other run: 1" in cards(page)["mm:0"]


def test_a_deadlock_shows_who_waits_for_whom(opened, deadlock):
    page = opened(deadlock)
    assert page.inner_text("#verdict") == "deadlock"
    shown = cards(page)
    assert " ".join(shown["mem_list_mutex"].split()) == "mem_list_mutex held by closer waited for by mapper"
    assert "mapper" in shown["tce_container:0.lock"]


def test_nasty_names_are_only_text(opened, script):
    page = opened(nasty(script))
    assert not page.query_selector("img")
    assert page.inner_text("#name").startswith("</script><script>alert(1)")
    assert page.inner_text("#event .thread").startswith(NASTY[:40])
    press(page, "Home", "ArrowRight", "ArrowRight", "ArrowRight")
    assert step(page) == 3


def test_a_narrow_window_still_shows_both(opened, log):
    page = opened(log, width=620, height=800)
    assert page.is_visible(".scroll canvas") and page.is_visible("#event")
    assert page.evaluate("document.documentElement.scrollWidth") <= 620


def test_a_long_run_opens_and_steps(opened, log):
    size = len(log.events)
    events = [structs.replace(log.events[i % size], step=i, cause=None) for i in range(10_000)]
    page = opened(log._replace(events=events))
    assert press(page, "End") == 9_999
    assert press(page, "Home") == 0
    press(page, *["ArrowRight"] * 20, *["PageDown"] * 5)
    assert step(page) > 100
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
