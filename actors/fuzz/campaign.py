"""Campaigns: batch after batch of programs, what is worth keeping, what has failed and why.

What a batch consists of is settled when it begins, from the seed of the campaign, the number of the
batch and what the batches before it came to. So the same seeds find the same whatever the number of
workers, and a campaign that was interrupted goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from random import Random
from sqlite3 import Connection
from time import monotonic
from typing import Any, NamedTuple

import msgspec

from actors.explore.failure import Switches, replay
from actors.explore.strategies import ReplayDivergence
from actors.fuzz.corpus import CampaignRow, Corpus, KeptProgram
from actors.fuzz.report import FuzzReport, report_of
from actors.fuzz.triage import Finding
from actors.fuzz.trial import Hit, Trial, shape
from actors.fuzz.work import Child, Crew, LookUnit, Lost, TryUnit, Unit
from actors.kernel.composition import Conflict, UnknownPiece
from actors.program import Program, ProgramError, parse_exact, write_program

PROGRAMS_PER_UNIT, UNITS = 6, 8
"""Programs of one unit of work, and units of one batch."""
FRESH_BATCHES = 2
"""Batches at the beginning in which all programs are fresh."""
FRESH_PART = 0.5
"""Part of fresh programs afterwards; the others are mutated ones."""
RECENT = 200
"""Half of the parents are taken from the last so many kept programs."""
MOST_ENERGY = 16
"""New features from which on a program is not picked more often."""
LOOKS_PER_BATCH = 6
"""Failures that are looked into while a batch runs."""
LOOKS_PER_KEY = 4
"""Failures with one key that are looked into, until a defect is switched off."""
OFTEN = 3
"""Programs that have shown a known defect before it is switched off."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign is to do.

    Attributes:
        kernel: what it runs on.
        seed: the same seed, the same campaign.
        seconds: wall time after which no batch is begun; None for no limit.
        programs: programs after which none is begun, those of earlier sittings included; None for no limit.
        seeds: programs to begin with, besides the generated ones.
        plain: uniformly random programs and orders, for comparison.
    """

    kernel: Switches
    seed: int = 0
    seconds: float | None = None
    programs: int | None = None
    seeds: tuple[Program, ...] = ()
    plain: bool = False

    @property
    def mode(self) -> str:
        """What tells campaigns with one kernel and seed apart."""
        return ("plain" if self.plain else "") + (f"seeds:{len(self.seeds)}" if self.seeds else "")

    @property
    def kernel_name(self) -> str:
        """The kernel with its switches."""
        with_, without = self.kernel.with_, self.kernel.without
        return self.kernel.name + "".join(f"+{s}" for s in with_) + "".join(f"-{s}" for s in without)


class Pending(msgspec.Struct, frozen=True):
    """A failure that has not been looked into yet: on what, which program, how."""

    kernel: Switches
    off: tuple[str, ...]
    program: dict[str, Any]
    hit: Hit


class State(msgspec.Struct):
    """What a campaign goes on with, besides what it has kept.

    Attributes:
        off: defects that are switched off, in the order in which they were.
        kept_on: defects that stay on, since the kernel fails in ways of its own without them.
        found: signature -> programs and seconds when it was found.
        hits: signature -> programs that have shown it.
        cause: key of a failure -> signature of the finding that explains it.
        looks: key -> how often one of its failures was looked into.
        pending: failures to look into next.
    """

    off: list[str] = []
    kept_on: list[str] = []
    found: dict[str, tuple[int, float]] = {}
    known: dict[str, list[str]] = {}
    hits: dict[str, int] = {}
    cause: dict[str, str] = {}
    looks: dict[str, int] = {}
    pending: list[Pending] = []


class Status(NamedTuple):
    """How a campaign stands, for whoever shows it.

    Attributes:
        programs, orders: in all sittings.
        new_programs, new_orders, seconds: in this one.
        left: seconds left; None without a limit.
        features: covered so far.
        findings: signature -> programs that have shown it.
        off: defects switched off.
    """

    programs: int
    orders: int
    new_programs: int
    new_orders: int
    seconds: float
    left: float | None
    features: int
    findings: dict[str, int]
    off: tuple[str, ...]


Tell = Callable[[Status], None]


class FuzzCampaign:
    """One campaign, in one sitting.

    Args:
        corpus: where everything is kept.
        plan: what to do.
        crew: who does the work.
        tell: told how things stand after every unit of work.

    Attributes:
        row: how far it has come, as it is on disk.
        stood: failures of earlier sittings that failed again now.
        gone: those that did not.
        lost: units without an outcome, with the reasons.
    """

    def __init__(self, corpus: Corpus, plan: Plan, crew: Crew, tell: Tell = lambda status: None) -> None:
        self.corpus = corpus
        self.plan = plan
        self.crew = crew
        self.tell = tell
        self.row = corpus.campaign(plan.kernel_name, plan.seed, plan.mode)
        self.state = msgspec.json.decode(self.row.state, type=State)
        self.covered = set(corpus.features(self.row.id))
        self.parents = corpus.kept(self.row.id, self.row.first)
        self.energy = list(accumulate(min(each.features, MOST_ENERGY) + 1 for each in self.parents))
        self.stood: list[str] = []
        self.gone: list[str] = []
        self.lost: list[str] = []
        self.start = monotonic()
        self.began = self.row
        self.earlier = self.row.seconds
        self.running = (0, 0)

    def run(self) -> FuzzReport:
        """Run until time or programs are used up; interrupted, it comes to what it has come to so far."""
        interrupted = False
        try:
            self.run_failures()
            self.plant()
            self.look()
            while not self.enough():
                self.batch()
        except KeyboardInterrupt:
            interrupted = True
            self.crew.stop()
        finally:
            self.crew.close()
        return report_of(self, interrupted)

    def enough(self) -> bool:
        """Whether no other batch is to be begun."""
        if self.plan.programs is not None and self.row.programs >= self.plan.programs:
            return True
        return self.plan.seconds is not None and self.elapsed() >= self.plan.seconds

    def elapsed(self) -> float:
        """Seconds of this sitting."""
        return monotonic() - self.start

    def run_failures(self) -> None:
        """Run what has failed before, first of all."""
        for failure in self.corpus.failures(self.plan.kernel_name):
            if failure.finding.failure is None:
                continue
            try:
                stands = not replay(failure.finding.failure).ok
            except (ReplayDivergence, ProgramError, UnknownPiece, Conflict):
                stands = False
            (self.stood if stands else self.gone).append(failure.signature)
            if stands is not failure.stands:
                self.corpus.stand(failure, stands)

    def plant(self) -> None:
        """Keep the programs to begin with."""
        if self.row.batch or not self.plan.seeds:
            return
        with self.corpus.transaction() as db:
            for program in self.plan.seeds:
                self.adopt(self.corpus.keep(db, self.row.id, program, ()))

    def adopt(self, kept: KeptProgram | None) -> None:
        """A program was kept: it may become a parent."""
        if kept is not None:
            self.parents.append(kept)
            last = self.energy[-1] if self.energy else 0
            self.energy.append(last + min(kept.features, MOST_ENERGY) + 1)

    # -- a batch -------------------------------------------------------------------------------

    @property
    def kernel(self) -> Switches:
        """The kernel without what is switched off."""
        kernel = self.plan.kernel
        with_ = tuple(slug for slug in kernel.with_ if slug not in self.state.off)
        usual = [slug for slug in self.state.off if slug not in kernel.with_]
        return Switches(kernel.name, with_, (*kernel.without, *usual))

    def fresh_and_mutated(self) -> list[Unit]:
        """The programs of the next batch."""
        random = Random(f"{self.plan.seed} {self.row.batch}")
        number = self.row.batch * PROGRAMS_PER_UNIT * UNITS
        units: list[Unit] = []
        for _ in range(UNITS):
            seeds, children = [], []
            for _ in range(PROGRAMS_PER_UNIT):
                seed = (self.plan.seed << 32) + number
                number += 1
                if self.is_fresh(random):
                    seeds.append(seed)
                else:
                    children.append(Child(self.pick_parents(random), seed))
            units.append(TryUnit(self.kernel, tuple(seeds), tuple(children), self.plan.plain))
        return units

    def is_fresh(self, random: Random) -> bool:
        """Whether the next program is made from nothing."""
        if self.plan.plain or not self.parents:
            return True
        if self.row.batch < FRESH_BATCHES and not self.plan.seeds:
            return True
        return random.random() < FRESH_PART

    def pick_parents(self, random: Random) -> tuple[Program, ...]:
        """Two kept programs: those that covered much that was new, and the latest, more often."""
        picked = []
        for _ in range(2):
            if random.random() < 0.5:
                kept = random.choice(self.parents[-RECENT:])
            else:
                kept = random.choices(self.parents, cum_weights=self.energy)[0]
            picked.append(self.corpus.program(kept.number))
        return tuple(picked)

    def looks(self) -> list[Unit]:
        """The failures to look into."""
        explained = tuple(dict.fromkeys(slug for known in self.state.known.values() for slug in known))
        return [
            LookUnit(parse_exact(each.program), each.kernel, each.hit, explained, each.off)
            for each in self.state.pending
        ]

    def batch(self) -> None:
        """Run the programs of the next batch, write down what they came to, and look into what failed."""
        trials: list[Trial] = []
        for outcome in self.crew.do(self.fresh_and_mutated()):
            if isinstance(outcome, Lost):
                self.lost.append(outcome.reason)
            elif isinstance(outcome, tuple):
                trials += outcome
            self.running = len(trials), sum(trial.orders for trial in trials)
            self.tell(self.status())
        self.running = 0, 0
        self.row = self.row._replace(
            batch=self.row.batch + 1,
            programs=self.row.programs + len(trials),
            orders=self.row.orders + sum(trial.orders for trial in trials),
            seconds=self.time(),
        )
        self.conclude(trials)
        self.look()

    def look(self) -> None:
        """Look into the failures that wait for it, and write down what they are."""
        findings = []
        for outcome in self.crew.do(self.looks()):
            if isinstance(outcome, Lost):
                self.lost.append(outcome.reason)
            elif isinstance(outcome, Finding):
                findings.append(outcome)
            self.tell(self.status())
        if self.state.pending:
            self.settle(findings)

    def conclude(self, trials: list[Trial]) -> None:
        """Learn from programs that were run."""
        kept = []
        with self.corpus.transaction() as db:
            for trial in trials:
                new = [feature for feature in trial.features if feature not in self.covered]
                if new:
                    self.covered.update(new)
                    kept.append(self.corpus.keep(db, self.row.id, trial.program, new))
                for signature in self.failed(trial):
                    self.corpus.count_failure(db, self.row.kernel, signature, 1)
                if trial.mistake:
                    self.corpus.add_failure(db, self.row, self.mistaken(trial), 1)
            self.write(db)
        for each in kept:
            self.adopt(each)

    def settle(self, findings: list[Finding]) -> None:
        """Learn from failures that were looked into."""
        self.state.pending = []
        with self.corpus.transaction() as db:
            self.row = self.row._replace(seconds=self.time())
            for finding in findings:
                if finding.only_without:
                    self.switch_on(finding)
                else:
                    self.found(finding)
                    self.corpus.add_failure(db, self.row, finding, 1)
            self.write(db)

    def write(self, db: Connection) -> None:
        """Write down how far the campaign has come; in a transaction."""
        self.switch_off()
        self.row = self.row._replace(seconds=self.time(), state=msgspec.json.encode(self.state).decode())
        self.corpus.advance(db, self.row, len(self.covered))

    def time(self) -> float:
        """Seconds of all sittings."""
        return round(self.earlier + self.elapsed(), 3)

    # -- failures ------------------------------------------------------------------------------

    def failed(self, trial: Trial) -> Iterable[str]:
        """Note how a program has failed; signatures of the findings that explain it already."""
        state = self.state
        for hit in trial.hits:
            signature = state.cause.get(hit.key)
            if signature is not None:
                state.hits[signature] += 1
                yield signature
            looked = state.looks.get(hit.key, 0)
            waiting = any(each.hit.key == hit.key for each in state.pending)
            wanted = looked < (1 if signature is not None and signature.startswith("NEW") else LOOKS_PER_KEY)
            if wanted and not waiting and len(state.pending) < LOOKS_PER_BATCH:
                state.looks[hit.key] = looked + 1
                state.pending.append(
                    Pending(self.kernel, tuple(state.off), write_program(trial.program), hit)
                )

    def found(self, finding: Finding) -> None:
        """Note a finding."""
        state = self.state
        state.found.setdefault(finding.signature, (self.row.programs, self.row.seconds))
        state.known[finding.signature] = list(finding.known)
        state.hits[finding.signature] = state.hits.get(finding.signature, 0) + 1
        state.cause[finding.key] = finding.signature

    def mistaken(self, trial: Trial) -> Finding:
        """A mistake of the emulator as a finding."""
        finding = Finding(
            signature=f"mistake of the emulator: {shape(trial.mistake)}", known=(), key=shape(trial.mistake),
            verdict="mistake", invariant="", message=trial.mistake, program=trial.program,
        )  # fmt: skip
        self.found(finding)
        return finding

    def switch_off(self) -> None:
        """Switch defects off that were found often, so that they hide nothing; their keys are open again."""
        state = self.state
        for signature, known in state.known.items():
            settled = {*state.off, *state.kept_on}
            if len(known) == 1 and known[0] not in settled and state.hits[signature] >= OFTEN:
                state.off.append(known[0])
                for key in [key for key, cause in state.cause.items() if cause == signature]:
                    del state.cause[key]
                    state.looks.pop(key, None)

    def switch_on(self, finding: Finding) -> None:
        """Switch defects on again for good: without them the kernel is one that never was."""
        state = self.state
        state.kept_on += [slug for slug in finding.only_without if slug not in state.kept_on]
        state.off = [slug for slug in state.off if slug not in state.kept_on]
        state.looks.pop(finding.key, None)

    def status(self) -> Status:
        """How things stand."""
        programs, orders = self.running
        seconds = self.elapsed()
        return Status(
            self.row.programs + programs,
            self.row.orders + orders,
            self.row.programs + programs - self.began.programs,
            self.row.orders + orders - self.began.orders,
            seconds,
            None if self.plan.seconds is None else max(0.0, self.plan.seconds - seconds),
            len(self.covered),
            dict(self.state.hits),
            tuple(self.state.off),
        )


def fuzz(corpus: Corpus, plan: Plan, workers: int = 1, tell: Tell = lambda status: None) -> FuzzReport:
    """Run a campaign, or go on with it.

    Raises:
        CorpusError: the corpus cannot be written any more; what was told of is safe.
    """
    return FuzzCampaign(corpus, plan, Crew(workers), tell).run()


__all__ = ["CampaignRow", "FuzzCampaign", "Plan", "Status", "fuzz"]
