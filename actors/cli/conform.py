"""``tcemu conform``: recorded vectors of real kernels, replayed and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from actors.cli.exits import Ending
from actors.cli.options import json_option, kernel_option, switches
from actors.cli.tables import Cell, Column, plural, print_json, print_line, print_table, progress
from actors.execute.conform import Failure, VectorResult, conform
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel, UnknownPiece
from actors.program import ProgramError, VectorFile, load_vectors

EPILOG = """\b
Examples:
  tcemu conform vectors/*.json                     each on the kernel it was recorded from
  tcemu conform vectors/linux-6.12-*.json --json   for a machine to read
  tcemu conform FILE --kernel fixed                what the mended kernel does differently
"""

COLUMNS = (
    Column("file", wraps=True),
    Column("kernel"),
    Column("vectors passed", right=True),
    Column("steps passed", right=True),
    Column("danger", right=True),
)


class FileReport:
    """What a file came to.

    Attributes:
        file: its name as the user gave it.
        kernel: the kernel's name.
        vectors: how many there are in it, ``danger`` ones included.
        results: of its vectors as far as they were run, ``danger`` ones apart.
    """

    def __init__(self, file: str, kernel: str, vectors: int) -> None:
        self.file = file
        self.kernel = kernel
        self.vectors = vectors
        self.results: list[VectorResult] = []
        self.danger = 0

    def add(self, result: VectorResult) -> None:
        """Take the result of one more vector."""
        if result.tag == "danger":
            self.danger += 1
        else:
            self.results.append(result)

    @property
    def failures(self) -> list[Failure]:
        """Every difference."""
        return [failure for result in self.results for failure in result.failures]

    def as_json(self) -> dict[str, Any]:
        """The report in the words of the machine-readable output."""
        return {
            "file": self.file,
            "kernel": self.kernel,
            "vectors": len(self.results),
            "vectors_passed": sum(not result.failures for result in self.results),
            "steps": sum(result.steps for result in self.results),
            "steps_passed": sum(result.passed for result in self.results),
            "danger": self.danger,
            "failures": [failure._asdict() for failure in self.failures],
        }

    def row(self) -> tuple[Any, ...]:
        """The report as a row of the table."""
        whole = self.as_json()
        style = "red" if self.failures else "green"
        left = self.vectors - len(self.results) - self.danger
        not_run = {"vectors": f", {left:,} not run" if left else "", "steps": ""}
        passed = [
            Cell(f"{whole[f'{of}_passed']:,} of {whole[of]:,}{rest}", style) for of, rest in not_run.items()
        ]
        return (Path(self.file).name, self.kernel, *passed, self.danger)


def kernel_of(file: VectorFile, name: str | None, with_: tuple[str, ...], without: tuple[str, ...]) -> Kernel:
    """The kernel to replay a file on: the one asked for, else the one it was recorded from.

    Raises:
        ProgramError: the file names a kernel that there is not.
        UnknownPiece: the user did.
    """
    if name is not None:
        return find_kernel(name, with_, without)
    try:
        return find_kernel(file.generation, with_, without)
    except UnknownPiece as unknown:
        raise ProgramError(file.file, "generation", str(unknown)) from None


def print_failures(report: FileReport, most: int) -> None:
    """List the first differences of a file, each with its place."""
    failures = report.failures
    if failures:
        print_line()
        print_line(f"{report.file} on {report.kernel}: {plural(len(failures), 'difference')}", bold=True)
    for failure in failures[:most]:
        place = f"step {failure.step} {failure.op}" if failure.step >= 0 else "end"
        seen = f"the kernel said {failure.expected}, the emulator {failure.actual}"
        print_line(f"{failure.vector}: {place}: {failure.field}: {seen}", 2)
    if len(failures) > most:
        print_line(f"and {len(failures) - most:,} more; --failures shows more, --json all", 2)


@click.command("conform", epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@kernel_option("Replay on this kernel, not on the one recorded from.")
@switches
@click.option("--failures", "most", type=click.IntRange(0), default=20, show_default=True, metavar="N",
              help="Differences to list for a file.")  # fmt: skip
@json_option
def command(
    files: tuple[str, ...],
    kernel: str | None,
    with_: tuple[str, ...],
    without: tuple[str, ...],
    most: int,
    as_json: bool,
) -> int:
    """Replay vectors recorded from real kernels, and compare every step.

    Compared are return codes, output fields, locked memory and pinned pages after every step, and
    what is still pinned in the end. Vectors tagged "danger" are run and counted apart, not scored.
    """
    ending = Ending()
    reports: list[FileReport] = []
    if kernel is not None:
        find_kernel(kernel, with_, without)
    with ending.kept():
        for name in files:
            with ending.one():
                replay_file(name, (kernel, with_, without), reports)
    ending.found(any(report.failures for report in reports))
    if as_json:
        print_json({"files": [report.as_json() for report in reports]})
    elif reports:
        print_table(COLUMNS, [report.row() for report in reports])
        for report in reports:
            print_failures(report, most)
    return ending.finish()


def replay_file(
    name: str, wanted: tuple[str | None, tuple[str, ...], tuple[str, ...]], reports: list[FileReport]
) -> None:
    """Replay one file; its report is in the list from the start, for an interrupt to find."""
    file = load_vectors(name)
    kernel = kernel_of(file, *wanted)
    report = FileReport(name, kernel.name, len(file.programs))
    reports.append(report)
    with progress(len(file.programs)) as advance:
        for result in conform(file, kernel):
            report.add(result)
            advance(1, f"{name}: {result.vector}")
