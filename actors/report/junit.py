"""A summary as JUnit XML, in the dialect that pipelines read: one test suite, one test case a row."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from actors.report.cases import Case, Summary, sentence_of

FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot hold."""


def junit(summary: Summary) -> str:
    """The summary as XML."""
    counts = {
        "tests": str(len(summary.cases)),
        "failures": str(len(summary.failures)),
        "errors": "0",
        "skipped": "0",
        "time": seconds(sum(case.seconds for case in summary.cases)),
    }
    suites = Element("testsuites", {"name": summary.title, **counts})
    suite = SubElement(suites, "testsuite", {"name": summary.title, **counts})
    for case in summary.cases:
        add(suite, case)
    indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def add(suite: Element, case: Case) -> None:
    """Add one case."""
    name = {"name": clean(f"{case.name}[{case.kernel}]"), "classname": f"tcemu.{clean(case.kernel)}"}
    test = SubElement(suite, "testcase", {**name, "time": seconds(case.seconds)})
    values = {
        "orders": str(case.orders),
        "covered": "all" if case.covered else "some",
        "known_as": ", ".join(case.known_as),
        "failure_file": case.file,
    }
    properties = SubElement(test, "properties")
    for key, value in values.items():
        SubElement(properties, "property", {"name": key, "value": clean(value)})
    if not case.failed:
        return
    kind = f"{case.rule}, as expected" if case.expected else case.rule
    failure = SubElement(test, "failure", {"type": kind, "message": clean(case.message.partition("\n")[0])})
    told = [sentence_of(case.rule), case.message, *case.facts, case.known, "", *case.table, "", case.command]
    failure.text = clean("\n".join(told))


def seconds(value: float) -> str:
    """A time."""
    return f"{value:.3f}"


def clean(text: str) -> str:
    """Text that XML can hold."""
    return FORBIDDEN.sub("?", text)


__all__ = ["junit"]
