"""Runs drawn for other tools: the trace event format, Mermaid, SVG."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from xml.etree import ElementTree

import pytest

from actors.draw import draw
from actors.explore import explore, log_of
from actors.explore.scenarios import builtin
from actors.kernel.catalogue import find_kernel
from actors.trace import schema as s
from actors.trace.jsonl import Log

PHASES = {"M": {"args"}, "B": set(), "E": set(), "s": {"id"}, "f": {"id", "bp"}, "i": {"s"}, "C": {"args"},
          "b": {"id", "cat"}, "e": {"id", "cat"}}  # fmt: skip
"""Phases of the trace event format that are used, and what each of them needs beside the common keys."""

EVIL = 'x"<script>alert(1)</script>;\n#%%{init}%% end\x1b[31m]]>'


@pytest.fixture(scope="module")
def log() -> Log:
    program, kernel = builtin("map-vs-remove"), find_kernel("fixed", ["map-remove-race"])
    report = explore(program, kernel, "random", schedules=2000)
    assert report.failure is not None
    return log_of(program, report.failure, kernel)


@pytest.fixture(scope="module")
def evil() -> Log:
    """A log whose names are what an attacker would choose."""
    head = s.Header(format="tcemu-log", version=1, kernel=EVIL, name=EVIL)
    common: dict[str, Any] = {"thread": EVIL, "actor": EVIL, "operation": EVIL, "function": EVIL}
    events: list[s.Event] = [
        s.Start(step=0, **common),
        s.Request(step=1, to=EVIL + "2", request=EVIL, cause=0, args={EVIL: EVIL}, **common),
        s.Access(step=2, object=EVIL, field=EVIL, before=EVIL, after=1, write=True, cause=1, **common),
        s.Violation(step=3, invariant=EVIL, message=EVIL, **common),
    ]
    return Log(head, events, s.End(step=4, verdict=EVIL, message=EVIL))


def events_of(log: Log) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(draw(log, "perfetto"))["traceEvents"]
    return found


@pytest.mark.parametrize("which", ["log", "evil"])
def test_trace_events_have_what_the_format_asks_for(which: str, request: pytest.FixtureRequest) -> None:
    for event in events_of(request.getfixturevalue(which)):
        assert {"ph", "ts", "pid", "tid"} <= set(event)
        assert event["ph"] in PHASES
        assert PHASES[event["ph"]] <= set(event)
        assert event["ph"] == "E" or event["name"]
        assert event["ph"] != "i" or event["s"] in "gpt"


def test_trace_events_are_in_order_of_time_and_balanced_on_each_lane(log: Log) -> None:
    events = [event for event in events_of(log) if event["ph"] != "M"]
    assert [event["ts"] for event in events] == sorted(event["ts"] for event in events)
    depth: Counter[tuple[int, int]] = Counter()
    for event in events:
        lane = event["pid"], event["tid"]
        depth[lane] += {"B": 1, "E": -1}.get(event["ph"], 0)
        assert depth[lane] >= 0
        assert event["ph"] not in "sf" or depth[lane] > 0, "an arrow leads from a slice to a slice"
    assert set(depth.values()) == {0}


def test_every_arrow_and_every_held_lock_has_two_ends(log: Log) -> None:
    events = events_of(log)
    for one, other in (("s", "f"), ("b", "e")):
        begun, ended = ([(e["id"], e["cat"]) for e in events if e["ph"] == ph] for ph in (one, other))
        assert begun
        assert sorted(begun, key=str) == sorted(ended, key=str)
    requests = [event for event in log.events if isinstance(event, s.Request)]
    assert len([e for e in events if e["ph"] == "s"]) >= len(requests)


def test_violations_charges_and_names_are_in_the_trace(log: Log) -> None:
    events = events_of(log)
    assert [e["args"]["step"] for e in events if e["ph"] == "i" and e["s"] == "g"] == [log.events[-1].step]
    counted = [e["args"]["pages"] for e in events if e["ph"] == "C" and e["name"] == "pinned pages"]
    assert counted[0] == log.events[0].pins
    names = {e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "process_name"}
    assert {"container:0", "mm:0", "locks"} <= names


def test_the_diagram_says_who_asked_whom_and_what_broke(log: Log) -> None:
    text = draw(log, "mermaid")
    lines = [line.strip() for line in text.splitlines()]
    assert lines[3] == "sequenceDiagram"
    known = {line.split()[1] for line in lines if line.startswith("participant ")}
    arrows = [re.fullmatch(r"(\w+)(->>|-->>)(\w+): .+", line) for line in lines]
    ends = {end for arrow in arrows if arrow for end in (arrow[1], arrow[3])}
    assert ends
    assert ends <= known
    assert any("region#58;0" in line or "region:0.mapped 2 → 1" in line for line in lines)
    assert any("J-R3 broken" in line for line in lines)
    assert len(draw(log, "mermaid", most=3)) < len(text)


def test_the_diagram_of_names_that_mean_harm(evil: Log) -> None:
    lines = draw(evil, "mermaid").splitlines()
    for line in lines[4:]:
        assert re.fullmatch(
            r"    (participant \w+ as |\w+-?->>\w+: |Note over [\w,]+: |rect rgb|end|).*", line
        )
        assert not re.search(r"[<>\"%{}]", line)
        assert ";" not in re.sub(r"#\d+;", "", line)


@pytest.mark.parametrize("which", ["log", "evil"])
def test_the_picture_is_sound_and_holds_nothing_but_shapes_and_text(
    which: str, request: pytest.FixtureRequest
) -> None:
    root = ElementTree.fromstring(draw(request.getfixturevalue(which), "svg"))
    assert {element.tag.split("}")[1] for element in root.iter()} <= {
        "svg", "style", "rect", "text", "line", "path", "title",
    }  # fmt: skip
    for element in root.iter():
        assert not [name for name in element.attrib if name.startswith("on") or "href" in name]


def test_the_picture_stays_inside_its_frame(log: Log) -> None:
    root = ElementTree.fromstring(draw(log, "svg"))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    boxes = [e.attrib for e in root.iter() if e.tag.endswith("rect")]
    assert all(float(b.get("x", 0)) + float(b["width"]) <= width for b in boxes)
    assert all(float(b.get("y", 0)) + float(b["height"]) <= height for b in boxes)
    text = "".join(root.itertext())
    assert "map-vs-remove" in text
    assert "region:0.mapped" in text


@pytest.mark.parametrize("form", ["perfetto", "mermaid", "svg"])
def test_an_empty_log_can_be_drawn(form: str) -> None:
    assert draw(Log(s.Header(format="tcemu-log", version=1, kernel="fixed"), []), form)
