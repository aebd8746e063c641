"""Running again what a log tells of: the part of ``tcemu replay`` for logs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from actors.cli.exits import ExitCode
from actors.cli.hunt import print_cause
from actors.cli.pipes import is_pipe
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


def replay_file(name: str, file: str, log_file: str | None, as_json: bool) -> ExitCode:
    """Run again what a log tells of, and hold every event against it.

    Args:
        name: what the user calls the file.
        file: where it can be read.
        log_file: where to write the log of this run; None for nowhere.
        as_json: whether to print JSON.

    Raises:
        ProgramError: it is no log, or does not say enough.
        ReplayDivergence: something else happened.
    """
    lines_of_log = read_lines(file)
    head = next(lines_of_log)
    assert isinstance(head, Header)
    if head.clients is not None and head.choices is None:
        results = played_again(head, lines_of_log, file)
        show_client(name, head, results, as_json)
        if log_file is not None:
            Path(log_file).write_bytes(Path(file).read_bytes())
        if not as_json and not (log_file is None and is_pipe(name)):
            print_commands_for(log_file or name)
        return ExitCode.FOUND if any(result.verdict != "ok" for result in results) else ExitCode.OK
    log = Log.of(head, lines_of_log, file)
    result, again = replay_log(log, name=file)
    if log_file is not None:
        write_log(log_file, again)
    if as_json:
        print_json(values_of(name, again, result))
    else:
        how = "as recorded" if log.end is not None else "as far as the log goes"
        show_order(again, result, how, log_file or ("" if is_pipe(name) else name))
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


def show_order(log: Log, result: Result, how: str, log_file: str) -> None:
    """Print what a replayed order came to, what in it mattered, and what to type next.

    Args:
        log: of the run.
        result: what it came to.
        how: how far it went.
        log_file: where its log is; "" for nowhere.
    """
    head, what = log.header, result.invariant or result.verdict
    print_line(f"{head.name} on {head.kernel}: {what}, {how}", bold=True)
    if result.message:
        print_line(result.message, 2)
    explanation = explained(log, result.accesses)
    print_line()
    for line in lines(explanation.table):
        click.echo(line)
    known_as = log.end.known_as if log.end is not None else None
    if explanation.facts or known_as or log_file:
        print_line()
    for fact in explanation.facts:
        print_line(fact, 2)
    print_cause(known_as)
    if log_file:
        print_commands_for(log_file)


def print_commands_for(log_file: str) -> None:
    """Print how to look at a log."""
    name = shlex.quote(log_file)
    print_command(f"tcemu log tree {name}")
    print_command(f"tcemu draw {name} -o run.html")
