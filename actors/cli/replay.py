"""``tcemu replay``: one recorded failure again, exactly, and its log."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from actors.cli.exits import BadInput, ExitCode
from actors.cli.hunt import print_cause, print_explanation
from actors.cli.options import json_option
from actors.cli.outputs import OutputFile
from actors.cli.pipes import is_pipe, settled
from actors.cli.relog import print_commands_for, replay_file
from actors.cli.tables import print_command, print_json, print_line
from actors.explore import Failure, Result, load_failure, replay
from actors.explore.explain import explained
from actors.explore.logged import logged
from actors.explore.result import Explanation
from actors.trace.jsonl import is_log, write_log

EPILOG = """\b
Examples:
  tcemu replay .tcemu/failures/exit-with-lazy-borrower-v4.9-J-Q1-1a2b3c4d.json
  tcemu replay FILE --log run.jsonl     write all that happens; tcemu log reads it
  tcemu replay FILE --json
  tcemu replay run.jsonl                a log holds all that it takes; every event is compared

\b
Exit code 1: the failure came out as recorded. 3: the recording no longer fits, and the first
place where it does not is named.
"""

ROWS = 40
"""Rows of the table at most."""


@click.command("replay", epilog=EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--log", "log_file", metavar="FILE", type=OutputFile(), help="Write a log of the run.")
@json_option
def command(file: str, log_file: str | None, as_json: bool) -> int:
    """Run one recorded failure again, exactly, or what a log tells of."""
    name, file = file, settled(file)
    if is_log(file):
        return replay_file(name, file, log_file, as_json)
    failure = load_failure(file)
    if log_file is not None and Path(log_file).exists() and Path(log_file).samefile(file):
        raise BadInput(f"--log: {log_file} is the failure itself, expected another file")
    result = replay(failure)
    log = logged(failure)
    if log_file is not None:
        write_log(log_file, log)
    explanation = explained(log, result.accesses, ROWS)
    if as_json:
        print_json(as_values(name, failure, result) | explanation.as_json())
    else:
        show(failure, result, explanation, name, log_file)
    return ExitCode.OK if result.ok else ExitCode.FOUND


def as_values(file: str, failure: Failure, result: Result) -> dict[str, object]:
    """The outcome as JSON values."""
    return {
        "file": file,
        "program": failure.name,
        "kernel": failure.kernel.compose().name,
        "verdict": result.verdict,
        "invariant": result.invariant,
        "message": result.message,
        "known_as": failure.known_as,
        "changed": failure.changed,
        "steps": result.steps,
        "preemptions": result.preemptions,
        "choices": [choice._asdict() for choice in result.choices],
    }


def show(failure: Failure, result: Result, explanation: Explanation, file: str, log_file: str | None) -> None:
    """Print what came out, why, and what to type next."""
    what = result.invariant or result.verdict
    print_line(f"{failure.name} on {failure.kernel.compose().name}: {what}, as recorded", bold=True)
    print_line(result.message, 2)
    print_explanation(explanation)
    print_cause(failure.known_as)
    if failure.changed:
        print_line(f"{failure.changed}, and the recording still fits", 2)
    if log_file is not None:
        print_commands_for(log_file)
    elif not is_pipe(file):
        print_command(f"tcemu replay {shlex.quote(file)} --log run.jsonl")
