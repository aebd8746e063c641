"""``tcemu replay``: one recorded failure again, exactly, and its log."""

from __future__ import annotations

import click

from actors.cli.exits import ExitCode
from actors.cli.options import json_option
from actors.cli.tables import print_command, print_json, print_line
from actors.explore import Choice, Failure, Result, load_failure, prepare, replay
from actors.explore.arena import Arena
from actors.explore.faults import FailNth
from actors.explore.strategies import Replay
from actors.program import parse_exact, write_program
from actors.trace.jsonl import Log, write_log
from actors.trace.recorder import Recorder
from actors.trace.schema import FORMAT, VERSION, End, Header

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
        write_log(log_file, log_of(failure, result))
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
    if log_file is not None:
        print_command(f"tcemu log tree {log_file}")


def log_of(failure: Failure, result: Result) -> Log:
    """Run the failure once more with everything recorded."""
    program, kernel = parse_exact(failure.program), failure.kernel.compose()
    model = prepare(program, kernel)
    choices = tuple(Choice(*choice) for choice in failure.choices)
    core = Arena(Replay(choices), failure.budget)
    if failure.fail_nth is not None:
        core.faults = FailNth(failure.fail_nth)(core)
    recorder = Recorder()
    recorder.attach(core)
    model.run(core)
    recorder.detach()
    events = recorder.events()
    header = Header(
        format=FORMAT,
        version=VERSION,
        name=program.name,
        program=write_program(program),
        kernel=kernel.name,
        switches=tuple(piece.slug for piece in kernel.pieces),
        strategy="replay",
        choices=failure.choices,
    )
    end = End(
        step=len(events),
        verdict=result.verdict,
        invariant=result.invariant,
        message=result.message,
        steps=result.steps,
    )
    return Log(header, events, end)
