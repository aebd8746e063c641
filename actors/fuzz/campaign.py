"""Campaigns: batch after batch of programs, what is worth keeping, what has failed and why.

What a batch consists of is settled when it begins, from the seed of the campaign, the number of the
batch and what the batches before it came to. So the same seeds find the same whatever the number of
workers, and a campaign that was interrupted goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from random import Random
from sqlite3 import Connection
from time import monotonic
from typing import NamedTuple

import msgspec

from actors.explore.failure import Switches, replay
from actors.explore.strategies import ReplayDivergence
from actors.fuzz.corpus import CampaignRow, Corpus, KeptProgram
from actors.fuzz.report import FuzzReport, report_of
from actors.fuzz.state import State
from actors.fuzz.triage import Finding
from actors.fuzz.trial import Trial, shape
from actors.fuzz.work import Child, Crew, LookUnit, Lost, Outcome, TryUnit, Unit
from actors.kernel.composition import Conflict, UnknownPiece
from actors.program import Program, ProgramError, parse_exact

PROGRAMS_PER_UNIT, UNITS = 4, 12
"""Programs of one unit of work, and units of one batch."""
FRESH_BATCHES = 2
"""Batches at the beginning in which all programs are fresh."""
FRESH_PART = 0.5
"""Part of fresh programs afterwards; the others are mutated ones."""
RECENT = 200
"""Half of the parents are taken from the last so many kept programs."""
MOST_ENERGY = 16
"""New features from which on a program is not picked more often."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a campaign is to do.

    Attributes:
        kernel: what it runs on.
        seed: the same seed, the same campaign.
        seconds: wall time after which no batch is begun; None for no limit.
        programs: programs after which none is begun, those of earlier sittings included; None for no limit.
        seeds: programs to begin with, besides the generated ones.
        uniform: uniformly random programs and orders, for comparison.
    """

    kernel: Switches
    seed: int = 0
    seconds: float | None = None
    programs: int | None = None
    seeds: tuple[Program, ...] = ()
    uniform: bool = False

    @property
    def mode(self) -> str:
        """What tells campaigns with one kernel and seed apart."""
        return ("uniform" if self.uniform else "") + (f"seeds:{len(self.seeds)}" if self.seeds else "")

    @property
    def kernel_name(self) -> str:
        """The kernel with its switches."""
        with_, without = self.kernel.with_, self.kernel.without
        return self.kernel.name + "".join(f"+{s}" for s in with_) + "".join(f"-{s}" for s in without)


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
        with corpus.sound(f"the state of campaign {self.row.id}"):
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
            while not self.enough():
                self.batch()
            self.look()
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
        return self.state.without(self.plan.kernel)

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
            units.append(TryUnit(self.kernel, tuple(seeds), tuple(children), self.plan.uniform))
        return units

    def is_fresh(self, random: Random) -> bool:
        """Whether the next program is made from nothing."""
        if self.plan.uniform or not self.parents:
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
        explained = self.state.explained
        return [
            LookUnit(parse_exact(each.program), each.kernel, each.hit, explained, each.off)
            for each in self.state.pending
        ]

    def batch(self) -> None:
        """Look into what failed in the last batch and run the programs of the next one, both at once."""
        on = self.kernel, tuple(self.state.off)
        looks = self.looks()
        outcomes = self.done([*looks, *self.fresh_and_mutated()])
        trials = [trial for outcome in outcomes if isinstance(outcome, tuple) for trial in outcome]
        self.conclude(outcomes[: len(looks)], trials, on)

    def look(self) -> None:
        """Look into what failed last: the sitting ends, and no batch will."""
        if self.state.pending:
            outcomes = self.done(self.looks())
            with self.corpus.transaction() as db:
                self.settle(db, outcomes)
                self.write(db)

    def done(self, units: list[Unit]) -> list[Outcome | Lost]:
        """Let the crew do some units, and tell of it on the way."""
        outcomes: list[Outcome | Lost] = []
        for outcome in self.crew.do(units):
            outcomes.append(outcome)
            if isinstance(outcome, Lost):
                self.lost.append(outcome.reason)
            elif isinstance(outcome, tuple):
                programs, orders = self.running
                self.running = programs + len(outcome), orders + sum(trial.orders for trial in outcome)
            self.tell(self.status())
        self.running = 0, 0
        return outcomes

    def conclude(
        self, looks: list[Outcome | Lost], trials: list[Trial], on: tuple[Switches, tuple[str, ...]]
    ) -> None:
        """Learn from a batch and write all of it down at once.

        Args:
            looks: what looking into the failures of the batch before came to.
            trials: what its programs came to.
            on: the kernel that they ran on, and what was switched off there.
        """
        kept = []
        with self.corpus.transaction() as db:
            self.settle(db, looks)
            self.row = self.row._replace(
                batch=self.row.batch + 1,
                programs=self.row.programs + len(trials),
                orders=self.row.orders + sum(trial.orders for trial in trials),
            )
            for trial in trials:
                kept.append(self.learn(db, trial))
                for signature in self.state.failed(trial, *on, self.row.programs):
                    self.corpus.count_failure(db, self.row.kernel, signature, 1)
            self.state.switch_off()
            self.write(db)
        for each in kept:
            self.adopt(each)

    def learn(self, db: Connection, trial: Trial) -> KeptProgram | None:
        """Keep a program that covered something new, and what the emulator stumbled over."""
        if trial.mistake:
            self.found(db, mistaken(trial), self.row.programs)
        new = [feature for feature in trial.features if feature not in self.covered]
        if not new:
            return None
        self.covered.update(new)
        return self.corpus.keep(db, self.row.id, trial.program, new)

    def settle(self, db: Connection, looks: list[Outcome | Lost]) -> None:
        """Learn from failures that were looked into."""
        pending, self.state.pending = self.state.pending, []
        for seen, finding in zip(pending, looks, strict=True):
            if not isinstance(finding, Finding):
                continue
            if finding.only_without:
                self.state.switch_on(finding)
            else:
                self.found(db, finding, seen.programs)

    def found(self, db: Connection, finding: Finding, programs: int) -> None:
        """Note a failure that was seen when so many programs had run."""
        self.state.found(finding, programs, self.time())
        self.corpus.add_failure(db, self.row.kernel, finding, 1, programs, self.time(), self.row.id)

    def write(self, db: Connection) -> None:
        """Write down how far the campaign has come; in a transaction."""
        self.row = self.row._replace(seconds=self.time(), state=msgspec.json.encode(self.state).decode())
        self.corpus.advance(db, self.row, len(self.covered))

    def time(self) -> float:
        """Seconds of all sittings."""
        return round(self.earlier + self.elapsed(), 3)

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


def mistaken(trial: Trial) -> Finding:
    """A mistake of the emulator as a finding."""
    return Finding(
        signature=f"mistake of the emulator: {shape(trial.mistake)}", known=(), key=shape(trial.mistake),
        verdict="mistake", invariant="", message=trial.mistake, program=trial.program,
    )  # fmt: skip


def fuzz(corpus: Corpus, plan: Plan, workers: int = 1, tell: Tell = lambda status: None) -> FuzzReport:
    """Run a campaign, or go on with it.

    Raises:
        CorpusError: the corpus cannot be written any more; what was told of is safe.
    """
    return FuzzCampaign(corpus, plan, Crew(workers), tell).run()


__all__ = ["CampaignRow", "FuzzCampaign", "Plan", "Status", "fuzz"]
