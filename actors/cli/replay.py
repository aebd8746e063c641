"""``tcemu replay``: one recorded failure again, exactly."""

from __future__ import annotations

import click

from actors.cli.exits import ExitCode
from actors.cli.options import json_option
from actors.cli.tables import print_json, print_line
from actors.explore import load_failure, replay
from actors.program import parse_exact

EPILOG = """\b
Examples:
  tcemu replay .tcemu/failures/exit-with-lazy-borrower-v4.9-J-Q1-1a2b3c4d.json
  tcemu replay FILE --json

\b
Exit code 1: the failure came out as recorded. 3: the recording no longer fits, and the first
place where it does not is named.
"""


@click.command("replay", epilog=EPILOG)
@click.argument("file", metavar="FILE", type=click.Path())
@json_option
def command(file: str, as_json: bool) -> int:
    """Run one recorded failure again, exactly."""
    failure = load_failure(file)
    program = parse_exact(failure.program)
    kernel = failure.kernel.compose()
    result = replay(failure)
    if as_json:
        print_json({
            "file": file,
            "program": program.name,
            "kernel": kernel.name,
            "verdict": result.verdict,
            "invariant": result.invariant,
            "message": result.message,
            "steps": result.steps,
            "preemptions": result.preemptions,
            "choices": [choice._asdict() for choice in result.choices],
        })  # fmt: skip
    else:
        print_line(
            f"{program.name} on {kernel.name}: {result.invariant or result.verdict}, as recorded", bold=True
        )
        print_line(result.message, 2)
        for access in result.accesses:
            print_line(access, 4)
    return ExitCode.OK if result.ok else ExitCode.FOUND
