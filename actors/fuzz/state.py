"""What a campaign knows of its failures: which were looked into, what explains them, what is off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from actors.explore.failure import Switches
from actors.fuzz.triage import Finding
from actors.fuzz.trial import Hit, Trial
from actors.program import write_program

LOOKS_PER_BATCH = 6
"""Failures that are looked into while a batch runs."""
LOOKS_PER_KEY = 4
"""Failures with one key that are looked into, until a defect is switched off."""
OFTEN = 3
"""Programs that have shown a known defect before it is switched off."""


class Pending(msgspec.Struct, frozen=True):
    """A failure that has not been looked into yet.

    Attributes:
        kernel: on what.
        off: which defects had been switched off there.
        program: what failed.
        hit: how.
        programs: that had run when it was seen.
    """

    kernel: Switches
    off: tuple[str, ...]
    program: dict[str, Any]
    hit: Hit
    programs: int = 0


class State(msgspec.Struct):
    """What a campaign goes on with, besides what it has kept.

    Attributes:
        off: defects that are switched off, in the order in which they were.
        kept_on: defects that stay on, since the kernel fails in ways of its own without them.
        found: signature -> programs and seconds when it was found.
        known: signature -> the defects behind it.
        hits: signature -> programs that have shown it.
        cause: key of a failure -> signature of the finding that explains it.
        looks: key -> how often one of its failures was looked into.
        pending: failures to look into next.
    """

    off: list[str] = []
    kept_on: list[str] = []
    found_at: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict, name="found")
    known: dict[str, list[str]] = {}
    hits: dict[str, int] = {}
    cause: dict[str, str] = {}
    looks: dict[str, int] = {}
    pending: list[Pending] = []

    @property
    def explained(self) -> tuple[str, ...]:
        """The defects that have been found so far."""
        return tuple(dict.fromkeys(slug for known in self.known.values() for slug in known))

    def without(self, kernel: Switches) -> Switches:
        """A kernel without what is switched off."""
        with_ = tuple(slug for slug in kernel.with_ if slug not in self.off)
        usual = [slug for slug in self.off if slug not in kernel.with_]
        return Switches(kernel.name, with_, (*kernel.without, *usual))

    def failed(self, trial: Trial, kernel: Switches, off: tuple[str, ...], programs: int) -> Iterator[str]:
        """Note how a program has failed; signatures of the findings that explain it already.

        Args:
            trial: what it came to.
            kernel: what it ran on.
            off: the defects that were switched off there.
            programs: that have run.
        """
        for hit in trial.hits:
            signature = self.cause.get(hit.key)
            if signature is not None:
                self.hits[signature] += 1
                yield signature
            if self.wants(hit, signature):
                self.looks[hit.key] = self.looks.get(hit.key, 0) + 1
                self.pending.append(Pending(kernel, off, write_program(trial.program), hit, programs))

    def wants(self, hit: Hit, signature: str | None) -> bool:
        """Whether a failure is to be looked into."""
        if len(self.pending) >= LOOKS_PER_BATCH or any(each.hit.key == hit.key for each in self.pending):
            return False
        most = 1 if signature is not None and signature.startswith("NEW") else LOOKS_PER_KEY
        return self.looks.get(hit.key, 0) < most

    def found(self, finding: Finding, programs: int, seconds: float) -> None:
        """Note a finding, made after so many programs and seconds."""
        self.found_at.setdefault(finding.signature, (programs, seconds))
        self.known[finding.signature] = list(finding.known)
        self.hits[finding.signature] = self.hits.get(finding.signature, 0) + 1
        if finding.known or finding.failure is not None or finding.verdict == "mistake":
            # What did not show again explains no other failure: the next one is looked into as well.
            self.cause[finding.key] = finding.signature

    def switch_off(self) -> None:
        """Switch defects off that were found often, so that they hide nothing; their keys are open again."""
        for signature, known in self.known.items():
            settled = {*self.off, *self.kept_on}
            if len(known) == 1 and known[0] not in settled and self.hits[signature] >= OFTEN:
                self.off.append(known[0])
                for key in [key for key, cause in self.cause.items() if cause == signature]:
                    del self.cause[key]
                    self.looks.pop(key, None)

    def switch_on(self, finding: Finding) -> None:
        """Switch defects on again for good: without them the kernel is one that never was."""
        self.kept_on += [slug for slug in finding.only_without if slug not in self.kept_on]
        self.off = [slug for slug in self.off if slug not in self.kept_on]
        self.looks.pop(finding.key, None)


__all__ = ["Pending", "State"]
