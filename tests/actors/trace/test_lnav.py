"""The format file for lnav: it knows every kind of event, makes no field up, and lnav takes it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from actors.cli.app import run
from actors.trace import schema as s
from actors.trace.jsonl import write_log

FIELDS = {name for kind in s.LINE_TYPES for name in kind.__struct_fields__} | {"event"}


@pytest.fixture
def text(capsys) -> str:
    assert run(["log", "lnav"]) == 0
    return capsys.readouterr().out


def test_every_kind_of_event_has_a_level_and_no_field_is_made_up(text):
    form = json.loads(text)["tcemu_log"]
    for name in s.EVENT_NAMES:
        assert [level for level, pattern in form["level"].items() if re.fullmatch(pattern, name)]
    assert set(form["value"]) <= FIELDS
    assert {part["field"] for part in form["line-format"] if isinstance(part, dict)} <= set(form["value"])


@pytest.mark.skipif(shutil.which("lnav") is None, reason="lnav is not installed")
def test_lnav_reads_a_log(text, log, tmp_path):
    environment = os.environ | {"HOME": str(tmp_path), "TERM": "dumb"}
    (tmp_path / "tcemu_log.json").write_text(text)
    write_log(tmp_path / "run.jsonl", log)

    def lnav(*words: str) -> str:
        done = subprocess.run(["lnav", *words], cwd=tmp_path, env=environment, capture_output=True, text=True,
                              check=True, timeout=60)  # fmt: skip
        return done.stdout

    lnav("-i", "tcemu_log.json")
    shown = lnav("-n", "run.jsonl").splitlines()
    start = next(line for line in shown if " start " in line)
    assert start.split()[:2] == ["0", log.events[0].thread]
    counted = lnav("-n", "-c", ";select count(*) from tcemu_log where log_level = 'debug'", "run.jsonl")
    loud = [event for event in log.events if event.level == "debug"]
    assert str(len(loud)) in counted
