"""``tcemu replay``: one recorded failure again, exactly, and its log."""

from __future__ import annotations

import click

from actors.cli.exits import ExitCode
from actors.cli.options import json_option
from actors.cli.tables import print_command, print_json, print_line
from actors.explore import Failure, Result, load_failure, replay
from actors.explore.logged import logged
from actors.trace.interleaving import interleaving, lines
from actors.trace.jsonl import write_log

EPILOG = """\b
Examples:
  tcemu replay .tcemu/failures/exit-with-lazy-borrower-v4.9-J-Q1-1a2b3c4d.json
  tcemu replay FILE --log run.jsonl     write all that happens; tcemu log reads it
  tcemu replay FILE --json

\b
Exit code 1: the failure came out as recorded. 3: the recording no longer fits, and the first
place where it does not is named.
"""


@click.command("replay", epilog=EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--log", "log_file", metavar="FILE", type=click.Path(), help="Write a log of the run.")
@json_option
def command(file: str, log_file: str | None, as_json: bool) -> int:
    """Run one recorded failure again, exactly."""
    failure = load_failure(file)
    result = replay(failure)
    if log_file is not None:
        write_log(log_file, logged(failure))
    if as_json:
        print_json(as_values(file, failure, result))
    else:
        show(failure, result, log_file)
    return ExitCode.OK if result.ok else ExitCode.FOUND


def as_values(file: str, failure: Failure, result: Result) -> dict[str, object]:
    """The outcome as JSON values."""
    return {
        "file": file,
        "program": failure.program["name"],
        "kernel": failure.kernel.compose().name,
        "verdict": result.verdict,
        "invariant": result.invariant,
        "message": result.message,
        "steps": result.steps,
        "preemptions": result.preemptions,
        "choices": [choice._asdict() for choice in result.choices],
    }


def show(failure: Failure, result: Result, log_file: str | None) -> None:
    """Print what came out, and what to type next."""
    what = result.invariant or result.verdict
    print_line(
        f"{failure.program['name']} on {failure.kernel.compose().name}: {what}, as recorded", bold=True
    )
    print_line(result.message, 2)
    for access in result.accesses:
        print_line(access, 4)
    print_line()
    for line in lines(interleaving(logged(failure).events, result.message)):
        click.echo(line)
    if log_file is not None:
        print_line()
        print_command(f"tcemu log tree {log_file}")
