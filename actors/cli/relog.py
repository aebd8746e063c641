"""Running again what a log tells of: the part of ``tcemu replay`` for logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from actors.cli.exits import ExitCode
from actors.cli.play import counted
from actors.cli.tables import plural, print_command, print_json, print_line, progress
from actors.execute.play import PlayResult
from actors.explore import Result
from actors.explore.clientlog import play_log
from actors.explore.explain import explained
from actors.explore.logged import replay_log
from actors.trace.interleaving import lines
from actors.trace.jsonl import Log, read_lines, write_log
from actors.trace.schema import Header, Line


def replay_file(file: str, log_file: str | None, as_json: bool) -> ExitCode:
    """Run again what a log tells of, and hold every event against it.

    Raises:
        ProgramError: it is no log, or does not say enough.
        ReplayDivergence: something else happened.
    """
    lines_of_log = read_lines(file)
    head = next(lines_of_log)
    assert isinstance(head, Header)
    if head.clients is not None and head.choices is None:
        results = played_again(head, lines_of_log, file)
        show_client(file, head, results, as_json)
        if log_file is not None and file != "-":
            Path(log_file).write_bytes(Path(file).read_bytes())
        return ExitCode.FOUND if any(result.verdict != "ok" for result in results) else ExitCode.OK
    log = Log.of(head, lines_of_log, file)
    result, again = replay_log(log, name=file)
    if log_file is not None:
        write_log(log_file, again)
    if as_json:
        print_json(values_of(file, again, result))
    else:
        how = "as recorded" if log.end is not None else "as far as the log goes"
        show_order(again, result, log_file, how)
    return ExitCode.OK if result.ok else ExitCode.FOUND


def played_again(head: Header, lines_of_log: Iterator[Line], file: str) -> Sequence[PlayResult]:
    """Play recorded clients again, with a bar on a terminal."""
    with progress(None) as advance:
        return play_log(head, lines_of_log, file, counted(advance, head.name))


def show_client(file: str, head: Header, results: Sequence[PlayResult], as_json: bool) -> None:
    """Print what playing came to."""
    if as_json:
        print_json({"file": file, "kernel": head.kernel, "results": [each.as_json() for each in results]})
        return
    names = head.clients.streams if head.clients is not None else ()
    for index, each in enumerate(results):
        name = names[index] if len(results) > 1 else head.name
        verdict = each.verdict if each.verdict != "ok" else plural(each.final.pinned_pages, "pinned page")
        made = plural(each.calls, "call")
        print_line(f"{name} on {head.kernel}: {made}, {verdict}, as recorded", bold=True)


def values_of(file: str, log: Log, result: Result) -> dict[str, Any]:
    """What a replayed order came to, as JSON values."""
    assert log.end is not None
    return {
        "file": file,
        "program": log.header.name,
        "kernel": log.header.kernel,
        "verdict": result.verdict,
        "invariant": result.invariant,
        "message": result.message,
        "steps": result.steps,
        "digest": log.end.digest,
        "events": len(log.events),
    }


def show_order(log: Log, result: Result, log_file: str | None, how: str) -> None:
    """Print what a replayed order came to, and what in it mattered."""
    head, what = log.header, result.invariant or result.verdict
    print_line(f"{head.name} on {head.kernel}: {what}, {how}", bold=True)
    if result.message:
        print_line(result.message, 2)
    explanation = explained(log, result.accesses)
    print_line()
    for line in lines(explanation.table):
        click.echo(line)
    if explanation.facts or log_file is not None:
        print_line()
    for fact in explanation.facts:
        print_line(fact, 2)
    if log_file is not None:
        print_command(f"tcemu log tree {log_file}")
