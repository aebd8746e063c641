"""What was measured, as JSON, on the terminal, and in the README."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

from tests.benchmarks.harness import Result

START, END = "<!-- bench:start -->", "<!-- bench:end -->"
HEADS = ("figure", "value", "baseline", "ratio", "target", "")


def number(value: float | None, unit: str = "") -> str:
    """A number with three digits that count."""
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def row(result: Result) -> tuple[str, ...]:
    """One line of a table."""
    baseline = f"{number(result.baseline, result.unit)} ({result.beside})" if result.baseline else ""
    ratio = number(result.ratio)
    return result.name, number(result.value, result.unit), baseline, ratio, result.target, result.verdict


def show(results: list[Result]) -> None:
    """Print the table, a line a figure whatever the width of the terminal."""
    rows = [HEADS, *map(row, results)]
    widths = [max(len(each[column]) for each in rows) for column in range(len(HEADS))]
    for each in rows:
        print("  ".join(text.ljust(width) for text, width in zip(each, widths, strict=True)).rstrip())


def save(results: list[Result], path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = [result._asdict() for result in results]
    where = {"python": platform.python_version(), "machine": platform.machine()}
    path.write_text(json.dumps({"where": where, "figures": figures}, indent=2, ensure_ascii=False) + "\n")


def load(path: Path) -> list[Result]:
    """Read the figures back."""
    return [Result(**each) for each in json.loads(path.read_text())["figures"]]


def markdown(results: list[Result]) -> str:
    """The table of the README."""
    lines = ["| " + " | ".join(HEADS) + " |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(row(result)) + " |" for result in results]
    return "\n".join(lines)


def write_readme(results: list[Result], path: Path) -> None:
    """Replace what stands between the markers.

    Raises:
        SystemExit: the file has no markers.
    """
    text = path.read_text()
    if START not in text or END not in text.split(START, 1)[1]:
        sys.exit(f"{path}: expected a line {START} and after it a line {END}")
    head, rest = text.split(START, 1)
    tail = rest.split(END, 1)[1]
    path.write_text(f"{head}{START}\n{markdown(results)}\n{END}{tail}")
