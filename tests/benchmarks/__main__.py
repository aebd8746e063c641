"""``python -m tests.benchmarks``: measure each figure beside its baseline.

Options: ``--only WORD`` (figures whose name has the word), ``--json FILE``, ``--readme README.md``
(write the table between its markers), ``--from FILE`` (measure nothing, take what was saved), ``--long``
(memory over a million orders).
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from tests.benchmarks import harness
from tests.benchmarks.harness import FIGURES, Result, result
from tests.benchmarks.report import load, save, show, write_readme

SETS = ("runtime", "machines", "search", "peers", "clients", "commands", "logging", "draw", "fuzz")
"""Modules of figures, in the order of the table."""


def main() -> None:
    """Measure, tell, save."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="WORD", default="")
    parser.add_argument("--json", metavar="FILE", type=Path, default=Path(".tcemu/benchmarks.json"))
    parser.add_argument("--readme", metavar="FILE", type=Path)
    parser.add_argument("--from", metavar="FILE", type=Path, dest="saved")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    harness.LONG = options.long
    results = load(options.saved) if options.saved else measured(options.only)
    if not options.saved:
        save(results, options.json)
    show(results)
    if options.readme:
        write_readme(results, options.readme)


def measured(word: str) -> list[Result]:
    """Measure all figures whose name has ``word`` in it."""
    for name in SETS:
        import_module(f"tests.benchmarks.{name}")
    results = []
    for each in FIGURES:
        if word in each.name:
            print(f"  {each.name} ...", file=sys.stderr, flush=True)
            results.append(result(each))
    return results


if __name__ == "__main__":
    main()
