"""Tidying corpora up: fewer programs with the same coverage, two corpora in one."""

from __future__ import annotations

from collections.abc import Mapping

from actors.fuzz.corpus import CampaignRow, Corpus, KeptProgram
from actors.fuzz.trial import try_program
from actors.kernel.catalogue import find_kernel, piece_names
from actors.kernel.generations import GENERATIONS


def minimise(corpus: Corpus) -> int:
    """Drop programs that cover nothing that the others of their campaign do not; how many went.

    Each program is run again on its campaign's kernel; then those that cover most of what is missing are
    taken first (the greedy set cover).
    """
    gone = 0
    for campaign in corpus.campaigns():
        kernel = find_kernel(*switches(campaign.kernel))
        covers: dict[KeptProgram, set[str]] = {}
        for kept in corpus.kept(campaign.id):
            if kept.campaign == campaign.id:
                trial = try_program(corpus.program(kept.number), kernel, kept.number)
                covers[kept] = {*trial.features, *(hit.key for hit in trial.hits)}
        enough = set_cover(covers)
        dropped = [kept for kept in covers if kept not in enough]
        with corpus.transaction() as db:
            db.executemany("DELETE FROM programs WHERE number = ?", [(kept.number,) for kept in dropped])
        gone += len(dropped)
    return gone


def set_cover(covers: Mapping[KeptProgram, set[str]]) -> set[KeptProgram]:
    """Few programs that cover everything that all do, found greedily."""
    missing = set().union(*covers.values())
    taken: set[KeptProgram] = set()
    while missing:
        best = max(covers, key=lambda kept: (len(covers[kept] & missing), -kept.number))
        taken.add(best)
        missing -= covers[best]
    return taken


def switches(kernel: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """A kernel's name with its switches, taken apart again: the generation, with, without."""
    name = max((each for each in GENERATIONS if kernel.startswith(each)), key=len, default=kernel)
    with_: list[str] = []
    without: list[str] = []
    rest = kernel[len(name) :]
    slugs = sorted(piece_names(), key=len, reverse=True)
    while rest:
        slug = next((each for each in slugs if rest[1:].startswith(each)), rest[1:])
        (with_ if rest[0] == "+" else without).append(slug)
        rest = rest[1 + len(slug) :]
    return name, tuple(with_), tuple(without)


def merge(corpus: Corpus, other: Corpus) -> tuple[int, int]:
    """Take over what another corpus has; how many programs and distinct failures were new.

    A campaign that both have stays as far as it is here.
    """
    programs = failures = 0
    known = {(kept.kernel, kept.signature) for kept in corpus.failures()}
    for theirs in other.campaigns():
        programs += merge_campaign(corpus, other, theirs)
    for kept in other.failures():
        with corpus.transaction() as db:
            corpus.add_failure(db, kept.kernel, kept.finding, kept.hits, kept.programs, kept.seconds)
        failures += (kept.kernel, kept.signature) not in known
    return programs, failures


def merge_campaign(corpus: Corpus, other: Corpus, theirs: CampaignRow) -> int:
    """Take over the programs and the coverage of one campaign; how many programs were new."""
    ours = corpus.campaign(theirs.kernel, theirs.seed, theirs.mode)
    covered, first = set(corpus.features(ours.id)), other.covered_by(theirs.id)
    new = 0
    with corpus.transaction() as db:
        if not ours.batch and not ours.programs:
            corpus.advance(db, theirs._replace(id=ours.id), len(covered | set(other.features(theirs.id))))
        for kept in other.kept(theirs.id):
            if kept.campaign == theirs.id:
                features = sorted(first.get(kept.id, set()) - covered)
                new += corpus.keep(db, ours.id, other.program(kept.number), features) is not None
    return new


__all__ = ["merge", "minimise"]
