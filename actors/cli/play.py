"""``tcemu play``: recorded clients, to their end or killed, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from actors.cli.exits import BadInput, Ending, ExitCode
from actors.cli.leftovers import Killed, is_well, show
from actors.cli.options import json_option, kernel_option, switches
from actors.cli.outputs import OutputFile
from actors.cli.tables import Advance, Column, plural, print_json, print_table, progress
from actors.execute.play import PlayResult, from_strace, play, play_killed, play_together
from actors.kernel.catalogue import find_kernel, nearest
from actors.kernel.composition import Kernel
from actors.program import Stream, builtin_streams, load_stream

EPILOG = """\b
Examples:
  tcemu play --list                                  which streams are built in
  tcemu play                                         every built-in stream, on "fixed"
  tcemu play dpdk-4k-pages --kernel v6.12            what a defect leaves behind, and which
  tcemu play qemu-nvme-ddw --kill-at 300 --borrow 1  SIGKILL after 300 calls, cpu 1 borrows the mm
  tcemu play qemu-eeh --kill-at every:50             killed at many points of its life
  tcemu play qemu-eeh qemu-nvme-ddw --interleave 7   two clients on one machine
  tcemu play qemu-two-groups qemu-memory-hotplug --interleave 7 --share mm
                                                     two clients in one address space
  tcemu play my-client.jsonl.gz --json               your recording, for a machine to read
  tcemu play qemu-eeh --log run.jsonl                write all that happens; tcemu log reads it
"""

RANDOM_POINTS = 16
"""How many points ``--kill-at random:SEED`` draws in a stream."""


class KillAt(NamedTuple):
    """Where to kill a client.

    Attributes:
        kind: ``at``, ``every`` or ``random``.
        number: calls made before the kill, calls between kills, or the seed.
    """

    kind: str
    number: int

    def points(self, calls: int) -> list[int]:
        """The points in a stream of so many calls, ascending."""
        if self.kind == "at":
            return [self.number]
        if self.kind == "every":
            return list(range(0, calls + 1, self.number))
        return sorted(Random(self.number).sample(range(calls + 1), min(RANDOM_POINTS, calls + 1)))


def read_kill_at(ctx: click.Context, param: click.Parameter, value: str | None) -> KillAt | None:
    """Read ``N``, ``every:K`` or ``random:SEED``."""
    if value is None:
        return None
    kind, _, number = value.rpartition(":")
    if kind not in ("", "every", "random") or not (number.isascii() and number.isdigit()):
        raise click.BadParameter(f"{value!r} is neither N, every:K nor random:SEED", ctx, param)
    if kind == "every" and int(number) == 0:
        raise click.BadParameter("every:0 has no next point; expected every:1 or more", ctx, param)
    return KillAt(kind or "at", int(number))


def complete_stream(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The built-in streams whose names begin so, and files."""
    names = [name for name in builtin_streams() if name.startswith(incomplete)]
    return [*map(CompletionItem, names), CompletionItem(incomplete, type="file")]


@click.command("play", epilog=EPILOG)
@click.argument("files", nargs=-1, metavar="[STREAM|FILE]...", shell_complete=complete_stream)
@kernel_option("Play on this kernel.  [default: fixed]")
@switches
@click.option(
    "--kill-at",
    metavar="N|every:K|random:SEED",
    callback=read_kill_at,
    help="Kill the client after N calls, after every K-th, or at drawn points.",
)
@click.option(
    "--borrow",
    type=click.IntRange(0, 63),
    multiple=True,
    metavar="CPU",
    help="A kernel thread on this CPU borrows the client's mm at its end; may be repeated.",
)
@click.option(
    "--interleave",
    type=click.IntRange(0),
    metavar="SEED",
    help="Play all clients on one machine, their calls interleaved as the seed draws.",
)
@click.option(
    "--share",
    type=click.Choice(["groups", "mm"]),
    help="With --interleave: the clients name the same groups, or share an address space.",
)
@click.option(
    "--from-strace",
    "traces",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="Play a log of strace -X raw, as far as such a log goes; may be repeated.",
)
@click.option("--log", "log_file", metavar="FILE", type=OutputFile(), help="Write a log of the one play.")
@click.option("--list", "only_list", is_flag=True, help="Name the built-in streams, and play none.")
@json_option
def command(
    files: tuple[str, ...],
    traces: tuple[str, ...],
    as_json: bool,
    log_file: str | None,
    only_list: bool,
    **how: Any,
) -> int:
    """Play recorded clients, and say what they leave behind.

    Without a name: every built-in stream. A reply that differs from the recorded one is given its
    reason: a defect, a section of the reference, or the recorder.
    """  # fmt: skip
    if only_list:
        return list_streams(as_json)
    kernel = find_kernel(how.pop("kernel") or "fixed", how.pop("with_"), how.pop("without"))
    ending = Ending()
    results: list[PlayResult | Killed] = []
    names = files or (() if traces else tuple(builtin_streams()))
    with ending.kept():
        if how["share"] and how["interleave"] is None:
            raise BadInput("--share goes with --interleave SEED, which plays several clients on one machine")
        if how["share"] and log_file is not None:
            raise BadInput("--log: a log does not tell what clients share; leave --share out")
        if log_file is not None:
            with_log(names, traces, kernel, how, log_file, results)
        elif how["interleave"] is not None:
            together(names, traces, kernel, how, results)
        else:
            for read, name in [(find_stream, name) for name in names] + [(strace, name) for name in traces]:
                with ending.one():
                    one(read(name), kernel, how, results)
    ending.found(not all(is_well(result) for result in results))
    if as_json:
        print_json({"files": [result.as_json() for result in results]})
    else:
        show(results)
    return ending.finish()


STREAMS = (Column("stream"), Column("calls", right=True), Column("what it is", wraps=True))


def list_streams(as_json: bool) -> int:
    """Print the built-in streams."""
    streams = [(name, load_stream(path)) for name, path in builtin_streams().items()]
    if as_json:
        print_json(
            {"streams": [{"name": n, "calls": s.calls, "about": s.program.about} for n, s in streams]}
        )
    else:
        print_table(STREAMS, [(name, stream.calls, stream.program.about) for name, stream in streams])
    return ExitCode.OK


def find_stream(name: str) -> Stream:
    """The built-in stream of that name, or the file.

    Raises:
        ProgramError: the file is malformed.
        BadInput: neither exists.
    """
    streams = builtin_streams()
    if name in streams:
        return load_stream(streams[name])
    if not Path(name).exists() and "/" not in name and ".json" not in name:
        hint = nearest(name, streams) or f"; there are {', '.join(streams)}"
        raise BadInput(f"no file and no built-in recording {name!r}{hint}")
    return load_stream(name)


def strace(name: str) -> Stream:
    """A log of strace as a stream; what the log lacks is said on standard error."""
    stream = from_strace(name)
    click.echo(f"{name}: {stream.program.about}", err=True)
    return stream


def one(stream: Stream, kernel: Kernel, how: dict[str, Any], results: list[PlayResult | Killed]) -> None:
    """Play one stream, to its end or killed at the points that were asked for."""
    kill_at: KillAt | None = how["kill_at"]
    borrow = how["borrow"]
    name = stream.program.name
    if kill_at is None or kill_at.kind == "at":
        point = None if kill_at is None else kill_at.number
        within(point, stream)
        with progress(stream.calls if point is None else point) as advance:
            watch, again = counted(advance, name), counted(advance, f"{name}: which defects?", stream.calls)
            told = play(stream, kernel, kill_at=point, borrow=borrow, on_progress=watch, on_again=again)
            results.append(told)
        return
    points = kill_at.points(stream.calls)
    killed = Killed(stream.file, kernel.name, [])
    results.append(killed)
    with progress(len(points)) as advance:
        for point, end in play_killed(stream, kernel, points=points, borrow=borrow):
            killed.endings.append((point, end))
            advance(1, f"{name} killed after {plural(point, 'call')}")


def within(point: int | None, stream: Stream) -> None:
    """Refuse a kill behind the end.

    Raises:
        BadInput: it is.
    """
    if point is not None and point > stream.calls:
        raise BadInput(f"{stream.file}: --kill-at: found {point}, expected at most its {stream.calls} calls")


def with_log(
    names: Sequence[str],
    traces: Sequence[str],
    kernel: Kernel,
    how: dict[str, Any],
    log_file: str,
    results: list[PlayResult | Killed],
) -> None:
    """Play once, and write a log of it.

    Raises:
        BadInput: that would be several plays.
    """
    from actors.explore.clientlog import logged_play  # noqa: PLC0415 - only for --log
    from actors.trace.header import clients_of  # noqa: PLC0415

    kill_at: KillAt | None = how["kill_at"]
    seed = how["interleave"]
    if traces:
        raise BadInput("--log: a log names its recordings, and --from-strace has none; leave one out")
    if (len(names) > 1 and seed is None) or (kill_at is not None and kill_at.kind != "at"):
        raise BadInput("--log: one log is of one play; name one stream and at most one --kill-at N")
    if seed is not None and (kill_at is not None or how["borrow"]):
        raise BadInput("--interleave plays clients to their end; it goes with neither --kill-at nor --borrow")
    streams = [find_stream(name) for name in names]
    point = None if kill_at is None else kill_at.number
    within(point, streams[0])
    clients = clients_of(streams, names, kill_at=point, borrow=how["borrow"], together=seed is not None)
    with progress(streams[0].calls if point is None else point) as advance:
        results.extend(logged_play(streams, kernel, clients, seed, log_file, counted(advance, names[0])))


def counted(advance: Advance, name: str, done: int = 0) -> Callable[[int], None]:
    """Turn the number of calls made so far into steps of a bar that shows ``done`` already."""

    def on_progress(calls: int) -> None:
        nonlocal done
        advance(calls - done, name)
        done = calls

    return on_progress


def together(
    names: Sequence[str], traces: Sequence[str], kernel: Kernel, how: dict[str, Any], results: list[Any]
) -> None:
    """Play all streams on one machine.

    Raises:
        BadInput: they do not fit on one, or are to be killed.
    """
    if how["kill_at"] is not None or how["borrow"]:
        raise BadInput("--interleave plays clients to their end; it goes with neither --kill-at nor --borrow")
    streams = [find_stream(name) for name in names] + [strace(name) for name in traces]
    if how["share"] and len(streams) < 2:
        raise BadInput("--share: one client shares with nobody; name two or more")
    total = sum(stream.calls for stream in streams)
    try:
        with progress(total) as advance:
            results.extend(
                play_together(
                    streams,
                    kernel,
                    how["interleave"],
                    share=how["share"] or "",
                    on_progress=counted(advance, f"{len(streams)} clients"),
                    on_again=counted(advance, "which defects?", total),
                )
            )
    except ValueError as error:
        raise BadInput(f"--interleave: {error}") from None
