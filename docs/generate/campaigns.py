"""How soon fuzzing finds what old kernels carry: campaigns from nothing but a seed, measured.

``python -m docs.generate.campaigns [KERNEL...]`` runs what ``docs/campaigns.json`` does not have yet, for
up to some hours: campaigns of the fuzzer, and of uniformly random programs and orders, five seeds each.
What is measured is written down at once, so it may be interrupted. The page and the README's table are
made from that file; ``--readme`` only writes the latter.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import msgspec

from actors.explore.failure import Switches
from actors.fuzz import Corpus, Crew, FuzzCampaign, Plan
from docs.generate.matrix import README, written
from docs.generate.tables import code, table

FILE = Path(__file__).parents[1] / "campaigns.json"
START, END = "<!-- fuzz:start -->", "<!-- fuzz:end -->"

WANTED = {
    "v6.12": (
        "partial-pin-positive", "unregister-busy-swallowed", "param-check-returns-one", "map-past-window-end",
        "create-table-charge-leak", "default-window-double-create", "lookup-uaf", "ioctl-vs-release",
        "overlap-race-einval", "v1-disable-live-tces",
    ),
    "v4.10-seed": (
        "release-loop-infinite", "tce-create-mutex-leak", "second-group-no-windows",
        "prereg-element-alloc-unchecked",
    ),
    "v4.9": ("mm-owned-prereg-lazy-mm", "unbalanced-put", "tce-outlives-pins", "foreign-process-ioctl"),
}  # fmt: skip
"""What campaigns have to find; one that has found all of it ends."""
SEEDS = range(5)
WORKERS = 2
SECONDS = 600.0
UNIFORM_SECONDS = {"v6.12": 150.0, "v4.10-seed": 100.0, "v4.9": 40.0}
"""What a campaign has at most, and what uniform chance has."""


class Found(msgspec.Struct, frozen=True):
    """One defect that a campaign has found: how it showed, after how many programs and seconds."""

    what: str
    programs: int
    seconds: float


class Sitting(msgspec.Struct, frozen=True):
    """One campaign.

    Attributes:
        kernel, seed: which.
        uniform: whether programs and orders were uniformly random.
        limit: seconds that it had.
        programs, seconds: that it took.
        found: defect -> how and when.
    """

    kernel: str
    seed: int
    uniform: bool
    limit: float
    programs: int
    seconds: float
    found: dict[str, Found]


# -- measuring ---------------------------------------------------------------------------------


class Race(FuzzCampaign):
    """A campaign that ends when it has found all that it is to find."""

    def enough(self) -> bool:
        """Whether time is up or everything was found."""
        wanted = WANTED[self.plan.kernel.name]
        return super().enough() or set(wanted) <= set(self.state.explained)


def raced(kernel: str, seed: int, uniform: bool, limit: float) -> Sitting:
    """Run one campaign in a corpus of its own."""
    with TemporaryDirectory() as folder, Corpus(Path(folder) / "c.db") as corpus:
        plan = Plan(kernel=Switches(kernel), seed=seed, seconds=limit, uniform=uniform)
        report = Race(corpus, plan, Crew(WORKERS)).run()
    found: dict[str, Found] = {}
    for finding in report.findings:
        for slug in finding.known:
            found.setdefault(
                slug, Found(finding.invariant or finding.verdict, finding.programs, finding.seconds)
            )
    return Sitting(kernel, seed, uniform, limit, report.programs, report.sitting[2], found)


def race(kernels: Iterable[str]) -> None:
    """Run the campaigns that are not written down yet: those of the fuzzer first, a seed after the other."""
    sittings = list(loaded())
    known = {(each.kernel, each.seed, each.uniform) for each in sittings}
    for uniform in (False, True):
        for kernel in kernels:
            for seed in SEEDS:
                if (kernel, seed, uniform) not in known:
                    sittings.append(
                        raced(kernel, seed, uniform, UNIFORM_SECONDS[kernel] if uniform else SECONDS)
                    )
                    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(sittings), indent=1) + b"\n")
                    print(told(sittings[-1]), flush=True)


def told(sitting: Sitting) -> str:
    """One line about a campaign."""
    wanted = WANTED[sitting.kernel]
    hit = sum(slug in sitting.found for slug in wanted)
    kind = "uniform" if sitting.uniform else "fuzz"
    name = f"{sitting.kernel} {kind} seed {sitting.seed}"
    return f"{name}: {hit} of {len(wanted)} in {sitting.seconds:.0f} s, {sitting.programs:,} programs"


# -- writing it down ---------------------------------------------------------------------------


def loaded() -> tuple[Sitting, ...]:
    """The campaigns that were measured."""
    return msgspec.json.decode(FILE.read_bytes(), type=tuple[Sitting, ...]) if FILE.exists() else ()


class Times:
    """When the campaigns of one kind found one defect.

    Args:
        sittings: those of one kernel and kind.
        slug: the defect.
    """

    def __init__(self, sittings: Iterable[Sitting], slug: str) -> None:
        self.sittings = list(sittings)
        self.found = [each.found[slug] for each in self.sittings if slug in each.found]

    @property
    def share(self) -> str:
        """How many of the campaigns found it."""
        return f"{len(self.found)} of {len(self.sittings)}"

    @property
    def late(self) -> bool:
        """Whether most campaigns ended without it."""
        return 2 * len(self.found) <= len(self.sittings)

    @property
    def seconds(self) -> float:
        """The median; a campaign that did not find it counts with the time that it took."""
        missed = [each.seconds for each in self.sittings][: len(self.sittings) - len(self.found)]
        return median(sorted([*(each.seconds for each in self.found), *missed])) if self.sittings else 0.0

    @property
    def programs(self) -> int:
        """The median of those that found it."""
        return int(median(each.programs for each in self.found)) if self.found else 0


def rows() -> Iterator[tuple[str, str, Times, Times]]:
    """Kernel, defect, and the times of both kinds of campaigns."""
    sittings = loaded()
    for kernel, slugs in WANTED.items():
        ours = [each for each in sittings if each.kernel == kernel and not each.uniform]
        uniform = [each for each in sittings if each.kernel == kernel and each.uniform]
        for slug in slugs:
            yield kernel, slug, Times(ours, slug), Times(uniform, slug)


def ratio(ours: Times, uniform: Times) -> str:
    """How many times faster; at least so many when uniform chance mostly did not find it."""
    if not ours.found or not uniform.sittings:
        return ""
    return f"{'> ' if uniform.late else ''}{uniform.seconds / ours.seconds:.1f}"


def campaign_findings(argument: str) -> str:
    """The table of the page."""
    head = [
        "kernel", "defect", "caught by", ">found", ">programs", ">seconds", ">uniformly random: found",
        ">seconds", ">times faster",
    ]  # fmt: skip
    columns = len(head) if beside() else len(head) - 3
    made = []
    for kernel, slug, ours, uniform in rows():
        seen = sorted({each.what for each in ours.found})
        made.append(
            (
                code(kernel), code(slug), ", ".join(seen), ours.share, f"{ours.programs:,}",
                f"{ours.seconds:.0f}", uniform.share, seconds(uniform), ratio(ours, uniform),
            )[:columns]
        )  # fmt: skip
    return table(head[:columns], made)


def beside() -> bool:
    """Whether uniform chance was measured too."""
    return any(each.uniform for each in loaded())


def seconds(times: Times) -> str:
    """The median; only a bound when most campaigns ended without it."""
    return f"{'> ' if times.late else ''}{times.seconds:.0f}" if times.sittings else ""


def short() -> str:
    """The table in the README."""
    head = ("kernel", "defect", ">found", ">programs", ">seconds", ">uniformly random")
    columns = len(head) if beside() else len(head) - 1
    made = [
        (code(kernel), code(slug), ours.share, f"{ours.programs:,}", seconds(ours), seconds(uniform))
        for kernel, slug, ours, uniform in rows()
    ]
    return table(head[:columns], [row[:columns] for row in made])


def main(arguments: list[str]) -> int:
    """Measure, and write the README's table."""
    kernels = [each for each in arguments if each != "--readme"]
    if unknown := [each for each in kernels if each not in WANTED]:
        print(f"{unknown[0]}: expected one of {', '.join(WANTED)}", file=sys.stderr)
        return 2
    if "--readme" not in arguments:
        race(kernels or WANTED)
    README.write_text(written(README.read_text(), short(), (START, END)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
