"""The verdict matrix: what the search says of every scenario, generation and defect.

``python -m docs.generate.matrix`` searches, for some minutes, and writes ``docs/matrix.json``; the page
and the README's table are made from that file, so that looking whether they are up to date is quick.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import monotonic

import msgspec

from actors.cli.fleet import available_cpus, run_all
from actors.cli.shelf import run_shelf
from actors.cli.subjects import demonstrations
from actors.cli.units import Search, Unit
from actors.explore import STRATEGIES, Report
from actors.explore.known import without
from actors.explore.scenarios import builtins
from actors.kernel.catalogue import find_kernel, piece_names
from actors.kernel.composition import Kernel
from actors.kernel.generations import GENERATIONS
from actors.program import Program, load_program
from docs.generate.tables import code, table

FILE = Path(__file__).parents[1] / "matrix.json"
README = Path(__file__).parents[2] / "README.md"
START, END = "<!-- matrix:start -->", "<!-- matrix:end -->"

CELL_ORDERS = 800
"""Orders of a scenario on a generation."""
MOST = 200
"""Orders in which a strategy has to find a defect."""
SEEDS = (0, 1, 2)
UNSEEDED = ("bounded", "dpor", "stateful")
"""Strategies that draw nothing: one seed is enough."""
DEEPEST = 4
"""Defects behind which another one is looked for."""


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the search says of one scenario on one generation.

    Attributes:
        program, kernel: which.
        found: the invariant that broke, else the verdict.
        orders: orders run.
        complete: whether all were covered.
        known_as: the defect behind a failure.
        noted: what was noted while orders went on.
    """

    program: str
    kernel: str
    found: str
    orders: int
    complete: bool = False
    known_as: str = ""
    noted: tuple[str, ...] = ()


class Hunt(msgspec.Struct, frozen=True, omit_defaults=True):
    """How soon one strategy finds one defect that is the only one of its kernel.

    Attributes:
        defect, strategy: which.
        orders: orders to the first failure, the median of the seeds; None when it was not found.
    """

    defect: str
    strategy: str
    orders: int | None = None


class Sight(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether a generation shows a defect that it carries, in the defect's own program.

    Attributes:
        kernel, defect: which.
        found: what broke there.
        shown: whether that is what the defect is known by.
        hidden_by: other defects of the generation that had to be taken out before it showed.
        kept_by: the difference of the generation without which it would show, when it does not.
    """

    kernel: str
    defect: str
    found: str
    shown: bool
    hidden_by: tuple[str, ...] = ()
    kept_by: str = ""


class Matrix(msgspec.Struct, frozen=True):
    """All that was searched."""

    cells: tuple[Cell, ...]
    hunts: tuple[Hunt, ...]
    sights: tuple[Sight, ...]


# -- searching ---------------------------------------------------------------------------------


def searched() -> Matrix:
    """Search everything."""
    return Matrix(tuple(cells()), tuple(hunts()), tuple(sights()))


def reports_of(units: Sequence[Unit]) -> dict[int, Report]:
    """Search all units, on all CPUs; failures are kept nowhere."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            work = partial(run_shelf, seconds=None)
            said = run_all(work, units, available_cpus())
            return {index: report for index, report in said if isinstance(report, Report)}
        finally:
            os.chdir(here)


def cells() -> Iterator[Cell]:
    """Every built-in scenario on every generation."""
    pairs = [(program, name) for program in builtins() for name in GENERATIONS]
    units = [Unit(program, find_kernel(name), name, schedules=CELL_ORDERS) for program, name in pairs]
    for index, report in sorted(reports_of(units).items()):
        yield Cell(
            units[index].name, units[index].generation, named(report), report.schedules, report.complete,
            report.known_as or "", tuple(sorted(finding.invariant for finding in report.findings)),
        )  # fmt: skip


def hunts() -> Iterator[Hunt]:
    """Every defect alone in ``fixed``, by every strategy."""
    asked = [
        (slug, strategy, seed)
        for slug in demonstrations()
        for strategy in STRATEGIES
        for seed in (SEEDS[:1] if strategy in UNSEEDED else SEEDS)
    ]
    units = [
        demonstration(slug, find_kernel("fixed", program_of(slug).with_), strategy, seed)
        for slug, strategy, seed in asked
    ]
    took = {index: said for index, said in run_all(hunted, units, available_cpus()) if isinstance(said, int)}
    for slug in demonstrations():
        for strategy in STRATEGIES:
            chosen = [i for i, (s, by, _) in enumerate(asked) if (s, by) == (slug, strategy)]
            found = int(median(took[i] for i in chosen))
            yield Hunt(slug, strategy, found if found <= MOST else None)


def hunted(units: Sequence[tuple[int, Unit]]) -> Iterator[tuple[int, int]]:
    """Of each unit, the orders until its defect was seen; more than allowed when it was not."""
    for index, unit in units:
        yield index, orders_until_seen(Search(unit))


def orders_until_seen(search: Search) -> int:
    """Run orders, of each part in turn, until one shows what the program expects of the kernel."""
    assert isinstance(search.unit.subject, Program)
    wanted, parts = search.unit.subject.expect.get("fixed", ""), list(search.parts)
    while parts and search.orders < MOST:
        for part in list(parts):
            before = 0 if part.campaign is None else part.campaign.orders
            more = part.go_on(before + 1, None)
            assert part.campaign is not None
            if part.failed or wanted in part.campaign.findings:
                return search.orders
            if part.campaign.exhausted or not (more or part.campaign.orders > before):
                parts.remove(part)
    return MOST + 1


def program_of(slug: str) -> Program:
    """The program that shows a defect."""
    return load_program(demonstrations()[slug])


def demonstration(slug: str, kernel: Kernel, strategy: str = "portfolio", seed: int = 0) -> Unit:
    """The program that shows a defect, on a kernel; with failure points that fail where it takes that."""
    fail = "all" if piece_names()[slug].failpoints else None
    return Unit(program_of(slug), kernel, "fixed", strategy, MOST, seed, fail_nth=fail)


def slug_seen(slug: str, report: Report) -> bool:
    """Whether a search has seen what a defect is known by."""
    wanted = program_of(slug).expect.get("fixed", "")
    return wanted in {report.verdict, report.invariant, *(finding.invariant for finding in report.findings)}


def sights() -> Iterator[Sight]:
    """Every defect on the generations that carry it; what breaks first is taken out until it shows."""
    carried = [
        (name, slug)
        for name, generation in GENERATIONS.items()
        for slug in generation.slugs
        if piece_names()[slug].defect
    ]
    taken: dict[tuple[str, str], tuple[str, ...]] = dict.fromkeys(carried, ())
    missing = []
    for _ in range(DEEPEST):
        again = []
        reports = reports_of(
            [demonstration(slug, carrier(name, slug, taken[name, slug])) for name, slug in carried]
        )
        for index, report in sorted(reports.items()):
            name, slug = carried[index]
            hides = report.known_as
            if slug_seen(slug, report):
                yield Sight(name, slug, named(report), True, taken[name, slug])
            elif hides and hides != slug and hides not in taken[name, slug]:
                taken[name, slug] += (hides,)
                again.append((name, slug))
            else:
                missing.append(Sight(name, slug, named(report), False, taken[name, slug]))
        carried = again
    for sight in missing:
        yield msgspec.structs.replace(sight, kept_by=keeper(sight))


def carrier(name: str, slug: str, taken: Iterable[str]) -> Kernel:
    """A generation with what the program of a defect needs besides, and without what hides it."""
    needs = [each for each in program_of(slug).with_ if each not in GENERATIONS[name].slugs]
    return without(find_kernel(name, needs), tuple(taken))


def keeper(sight: Sight) -> str:
    """The difference of a generation without which a defect alone shows there; "" when it is no one."""
    whole, needs = carrier(sight.kernel, sight.defect, ()), program_of(sight.defect).with_
    others = [piece.slug for piece in whole.pieces if not piece.defect]
    alone = without(whole, [p.slug for p in whole.pieces if p.slug not in (*others, *needs)])
    reports = reports_of([demonstration(sight.defect, without(alone, [other])) for other in others])
    return next((others[i] for i, report in sorted(reports.items()) if slug_seen(sight.defect, report)), "")


def named(report: Report) -> str:
    """What broke: the invariant, else the verdict."""
    return report.invariant or report.verdict


# -- telling -----------------------------------------------------------------------------------


def loaded() -> Matrix:
    """What was searched last."""
    return msgspec.json.decode(FILE.read_bytes(), type=Matrix)


def scenario_matrix(_: str) -> str:
    """Scenario by generation."""
    matrix = loaded()
    by = {(cell.program, cell.kernel): cell for cell in matrix.cells}
    programs = dict.fromkeys(cell.program for cell in matrix.cells)
    rows = (
        (code(program), *(cell_text(by.get((program, name))) for name in GENERATIONS)) for program in programs
    )
    return table(("scenario", *("^" + name for name in GENERATIONS)), rows)


def cell_text(cell: Cell | None) -> str:
    """A verdict with the orders that it took."""
    if cell is None:
        return ""
    mark = "all " if cell.complete else ""
    return f"{cell.found}{'*' if cell.noted and cell.found == 'ok' else ''} ({mark}{cell.orders:,})"


def hunt_matrix(_: str) -> str:
    """Defect by strategy."""
    matrix = loaded()
    by = {(hunt.defect, hunt.strategy): hunt.orders for hunt in matrix.hunts}
    rows = [
        (code(slug), piece_names()[slug].number, *(orders_text(by.get((slug, each))) for each in STRATEGIES))
        for slug in dict.fromkeys(hunt.defect for hunt in matrix.hunts)
    ]
    found = [sum(by.get((row[0].strip("`"), each)) is not None for row in rows) for each in STRATEGIES]
    return table(
        ("defect", ">G", *(">" + name for name in STRATEGIES)),
        [*rows, ("found", "", *(f"{count} of {len(rows)}" for count in found))],
    )


def orders_text(orders: int | None) -> str:
    """Orders to the first failure."""
    return f"> {MOST}" if orders is None else f"{orders:,}"


def sight_matrix(_: str) -> str:
    """Generation by what it shows of what it carries."""
    matrix = loaded()
    rows = []
    for name in GENERATIONS:
        mine = [sight for sight in matrix.sights if sight.kernel == name]
        shown = [sight for sight in mine if sight.shown]
        plain = sum(not sight.hidden_by for sight in shown)
        rows.append((code(name), len(mine), plain, len(shown) - plain, len(mine) - len(shown)))
    return table(("kernel", ">carries", ">shows", ">shows behind others", ">does not show"), rows)


def deviations(_: str) -> str:
    """Every defect that shows only behind others, or not at all, and why."""
    matrix = loaded()
    lines: dict[str, list[str]] = {}
    for sight in matrix.sights:
        if not sight.shown or sight.hidden_by:
            lines.setdefault(deviation(sight), []).append(code(sight.kernel))
    return "\n".join(f"- {what}: {', '.join(names)}." for what, names in sorted(lines.items())) + "\n"


def deviation(sight: Sight) -> str:
    """Why a defect does not show at once."""
    others = " and ".join(map(code, sight.hidden_by))
    if sight.shown:
        return f"{code(sight.defect)} shows when {others} is mended, which breaks first in its program"
    if sight.kept_by:
        title = piece_names()[sight.kept_by].title
        return f"{code(sight.defect)} cannot show: {title} there ({code(sight.kept_by)})"
    what = "nothing breaks" if sight.found == "ok" else f"{sight.found} breaks"
    behind = f", with {others} taken out" if others else ""
    return f"{code(sight.defect)} does not show: {what} in its program{behind}"


def short(matrix: Matrix) -> str:
    """The matrix in a few lines, for the README."""
    rows = []
    for name in GENERATIONS:
        mine = [cell for cell in matrix.cells if cell.kernel == name]
        sights = [sight for sight in matrix.sights if sight.kernel == name]
        rows.append(
            (
                code(name),
                f"{sum(cell.found != 'ok' for cell in mine)} of {len(mine)}",
                f"{sum(cell.complete for cell in mine)}",
                f"{sum(sight.shown for sight in sights)} of {len(sights)}",
            )
        )
    scenarios = table(("kernel", ">scenarios broken", ">covered completely", ">of its defects shown"), rows)
    return scenarios + "\n" + strategies(matrix)


def strategies(matrix: Matrix) -> str:
    """How many defects each strategy finds, and in how many orders."""
    rows = []
    for strategy in STRATEGIES:
        mine = [hunt.orders for hunt in matrix.hunts if hunt.strategy == strategy]
        found = sorted(orders for orders in mine if orders is not None)
        rows.append(
            (
                code(strategy),
                f"{len(found)} of {len(mine)}",
                int(median(found)) if found else "",
                max(found, default=""),
            )
        )
    return table(("strategy", f">defects found within {MOST} orders", ">orders, median", ">most"), rows)


def written(text: str, content: str, markers: tuple[str, str] = (START, END)) -> str:
    """The README with a table between its markers; as it was when it has none."""
    start, end = markers
    if start not in text or end not in text.split(start, 1)[1]:
        return text
    head, rest = text.split(start, 1)
    return f"{head}{start}\n{content.rstrip()}\n{end}{rest.split(end, 1)[1]}"


def main(arguments: Iterable[str]) -> None:
    """Search, write the file, and tell how long it took; ``--readme`` only writes the README's table."""
    begin = monotonic()
    if "--readme" not in arguments:
        FILE.write_bytes(msgspec.json.format(msgspec.json.encode(searched()), indent=1) + b"\n")
        print(f"written: {FILE.name}, in {monotonic() - begin:.0f} s; make docs writes the page")
    text = README.read_text()
    fresh = written(text, short(loaded()))
    if fresh != text:
        README.write_text(fresh)


if __name__ == "__main__":
    main(sys.argv[1:])
