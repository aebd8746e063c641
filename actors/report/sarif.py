"""A summary as SARIF 2.1.0, the format of code scanning: one result a failure, the interleaving its flow."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from actors.report.cases import Case, Summary, sentence_of
from actors.trace.header import emulator_version

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(summary: Summary) -> str:
    """The summary as a log with one run."""
    broken = [case for case in summary.cases if case.rule]
    rules = list(dict.fromkeys(case.rule for case in broken))
    driver = {
        "name": "tcemu",
        "semanticVersion": version(),
        "rules": [{"id": rule, "shortDescription": {"text": sentence_of(rule)}} for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"{summary.title}/"},
        "columnKind": "unicodeCodePoints",
        "results": [result(case, rules.index(case.rule)) for case in broken],
    }
    return (
        json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)
        + "\n"
    )


def version() -> str:
    """The version of the emulator as SARIF wants it: of three numbers."""
    told = emulator_version()
    return told if told[:1].isdigit() else "0.0.0"


def result(case: Case, rule: int) -> dict[str, Any]:
    """One failure."""
    text = f"{case.name} on {case.kernel}: {case.message}"
    if case.known_as:
        text += f" ({case.known})"
    values: dict[str, Any] = {
        "ruleId": case.rule,
        "ruleIndex": rule,
        "level": "note" if case.expected else "warning" if case.known_as else "error",
        "baselineState": case.baseline,
        "message": {"text": text},
        "locations": [location(case)],
        "partialFingerprints": {"tcemuFailure/v1": fingerprint(case)},
        "properties": {"kernel": case.kernel, "knownAs": list(case.known_as), "replay": case.command},
    }
    if case.steps:
        values["codeFlows"] = [{"threadFlows": flows(case)}]
    return values


def location(case: Case) -> dict[str, Any]:
    """Where the failure is: the file that holds its order, and the program by name."""
    where: dict[str, Any] = {
        "logicalLocations": [
            {"name": case.name, "fullyQualifiedName": f"{case.kernel}::{case.name}", "kind": "module"}
        ]
    }
    if case.file:
        artifact = {"uri": case.file.replace("\\", "/").replace(" ", "%20")}
        where["physicalLocation"] = {"artifactLocation": artifact, "region": {"startLine": 1}}
    return where


def flows(case: Case) -> list[dict[str, Any]]:
    """The steps that matter, by thread; their numbers are the order of execution."""
    threads = dict.fromkeys(row.thread for row in case.steps)
    return [
        {
            "id": thread,
            "locations": [
                {
                    "executionOrder": row.step,
                    "importance": "essential" if row.why in ("complaint", "call") else "important",
                    "location": {"message": {"text": row.text}},
                }
                for row in case.steps
                if row.thread == thread
            ],
        }
        for thread in threads
    ]


def fingerprint(case: Case) -> str:
    """What stays the same when the failure is found again: everything but numbers."""
    plain = "".join(c for c in case.message if not c.isdigit())
    return sha256("\0".join((case.kernel, case.rule, *case.known_as, plain)).encode()).hexdigest()


__all__ = ["sarif"]
