"""The corpus: one SQLite file with everything that campaigns have found out.

Several campaigns may share the file: each writes rows of its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from actors.explore.failure import Failure
from actors.fuzz.database import CorpusError, Database
from actors.fuzz.triage import Finding
from actors.program import Program, parse_exact, write_program

CAMPAIGN = "id, kernel, seed, mode, batch, programs, orders, seconds, state, first"
"""The columns of a campaign, as :class:`CampaignRow` has them."""


class CampaignRow(NamedTuple):
    """How far a campaign has come.

    Attributes:
        id: its number in the corpus.
        kernel, seed, mode: what it was started with.
        batch: the next batch.
        programs, orders, seconds: run so far.
        state: what else it goes on with, as JSON.
        first: programs of the corpus up to this number were there before it.
    """

    id: int
    kernel: str
    seed: int
    mode: str
    batch: int
    programs: int
    orders: int
    seconds: float
    state: str
    first: int


class KeptFailure(NamedTuple):
    """A distinct failure of the corpus.

    Attributes:
        id: a short name for the command line.
        kernel: what it was found on.
        signature: what tells it from others.
        hits: programs that have shown it.
        programs, seconds: run by the campaign when it was found.
        stands: whether it failed when it was last run.
        finding: the failure itself.
    """

    id: str
    kernel: str
    signature: str
    hits: int
    programs: int
    seconds: float
    stands: bool
    finding: Finding


class KeptProgram(NamedTuple):
    """A program that has covered something new: its number, short name, campaign, and how much was new."""

    number: int
    id: str
    campaign: int
    features: int


class Corpus(Database):
    """An open corpus: campaigns, the programs that they have kept, what they have covered, what failed."""

    # -- campaigns -----------------------------------------------------------------------------

    def campaign(self, kernel: str, seed: int, mode: str) -> CampaignRow:
        """The campaign of that kernel, seed and mode, as far as it has come; a new one if there is none."""
        with self.transaction() as db:
            first = db.execute("SELECT coalesce(max(number), 0) FROM programs").fetchone()[0]
            db.execute(
                "INSERT OR IGNORE INTO campaigns (kernel, seed, mode, first) VALUES (?, ?, ?, ?)",
                (kernel, seed, mode, first),
            )
            row = db.execute(
                f"SELECT {CAMPAIGN} FROM campaigns WHERE (kernel, seed, mode) = (?, ?, ?)",
                (kernel, seed, mode),
            ).fetchone()
        return self.campaign_row(row)

    def campaigns(self) -> list[CampaignRow]:
        """All campaigns, oldest first."""
        with self.told():
            rows = self.db.execute(f"SELECT {CAMPAIGN} FROM campaigns ORDER BY id").fetchall()
        return [self.campaign_row(row) for row in rows]

    def campaign_row(self, row: Sequence[object]) -> CampaignRow:
        """A campaign from its row."""
        with self.sound(f"campaign {row[0]}"):
            return msgspec.convert(list(row), CampaignRow)

    def advance(self, db: sqlite3.Connection, row: CampaignRow, features: int) -> None:
        """Note how far a campaign has come; inside a transaction."""
        db.execute(
            "UPDATE campaigns SET batch = ?, programs = ?, orders = ?, seconds = ?, state = ? WHERE id = ?",
            (row.batch, row.programs, row.orders, row.seconds, row.state, row.id),
        )
        db.execute(
            "INSERT OR REPLACE INTO curve VALUES (?, ?, ?, ?, ?)",
            (row.id, row.programs, row.orders, row.seconds, features),
        )

    def curve(self, campaign: int) -> list[tuple[int, int, float, int]]:
        """Programs, orders, seconds and features of a campaign, batch by batch."""
        with self.told():
            return self.db.execute(
                "SELECT programs, orders, seconds, features FROM curve WHERE campaign = ? ORDER BY programs",
                (campaign,),
            ).fetchall()

    # -- programs and coverage -----------------------------------------------------------------

    def keep(
        self, db: sqlite3.Connection, campaign: int, program: Program, new: Sequence[str]
    ) -> KeptProgram | None:
        """Keep a program and what it has covered first; None when the campaign has it. In a transaction."""
        text = spelled(program)
        name = short_name(text)
        cursor = db.execute(
            "INSERT OR IGNORE INTO programs (id, campaign, text, features) VALUES (?, ?, ?, ?)",
            (name, campaign, text, len(new)),
        )
        db.executemany(
            "INSERT OR IGNORE INTO coverage VALUES (?, ?, ?)", [(campaign, feature, name) for feature in new]
        )
        if not cursor.rowcount or cursor.lastrowid is None:
            return None
        return KeptProgram(cursor.lastrowid, name, campaign, len(new))

    def kept(self, campaign: int | None = None, first: int = 0) -> list[KeptProgram]:
        """The programs of a campaign and those numbered up to ``first``; all programs without a campaign."""
        with self.told():
            rows = self.db.execute(
                "SELECT number, id, campaign, features FROM programs"
                " WHERE ?1 IS NULL OR campaign = ?1 OR number <= ?2 ORDER BY number",
                (campaign, first),
            ).fetchall()
        with self.sound("the list of programs"):
            return [msgspec.convert(list(row), KeptProgram) for row in rows]

    def program(self, number: int) -> Program:
        """The program of that number."""
        with self.told():
            row = self.db.execute("SELECT text FROM programs WHERE number = ?", (number,)).fetchone()
        with self.sound(f"program {number}"):
            return parse_exact(json.loads(row[0]))

    def named(self, name: str) -> list[tuple[str, Program]]:
        """Programs whose short names begin so."""
        with self.told():
            rows = self.db.execute(
                "SELECT DISTINCT id, text FROM programs WHERE substr(id, 1, ?) = ?", (len(name), name)
            ).fetchall()
        with self.sound(f"program {name}"):
            return [(found, parse_exact(json.loads(text))) for found, text in rows]

    def features(self, campaign: int | None = None) -> list[str]:
        """What a campaign has covered, or all of them, sorted."""
        with self.told():
            rows = self.db.execute(
                "SELECT DISTINCT feature FROM coverage WHERE ?1 IS NULL OR campaign = ?1 ORDER BY feature",
                (campaign,),
            ).fetchall()
        return [feature for (feature,) in rows]

    def covered_by(self, campaign: int) -> dict[str, set[str]]:
        """Which program of a campaign was the first to cover which features."""
        with self.told():
            rows = self.db.execute(
                "SELECT program, feature FROM coverage WHERE campaign = ?", (campaign,)
            ).fetchall()
        first: dict[str, set[str]] = {}
        for program, feature in rows:
            first.setdefault(program, set()).add(feature)
        return first

    # -- failures ------------------------------------------------------------------------------

    def add_failure(
        self, db: sqlite3.Connection, kernel: str, finding: Finding, hits: int,
        programs: int, seconds: float, campaign: int = 0,
    ) -> None:  # fmt: skip
        """Keep a distinct failure, or count it once more; in a transaction.

        Args:
            db: the transaction.
            kernel: with its switches.
            finding: the failure.
            hits: programs that have shown it.
            programs: that had run when it was found.
            seconds: of all sittings until then.
            campaign: that found it; 0 for one of another corpus.
        """
        text = msgspec.json.encode(written(finding)).decode()
        name = short_name(f"{kernel} {finding.signature}")
        db.execute(
            "INSERT INTO failures VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)"
            " ON CONFLICT (kernel, signature) DO UPDATE SET hits = hits + excluded.hits, stands = 1",
            (name, kernel, finding.signature, hits, programs, seconds, campaign, text),
        )

    def count_failure(self, db: sqlite3.Connection, kernel: str, signature: str, hits: int) -> None:
        """Count more programs that have shown a failure; in a transaction."""
        db.execute(
            "UPDATE failures SET hits = hits + ? WHERE kernel = ? AND signature = ?",
            (hits, kernel, signature),
        )

    def stand(self, failure: KeptFailure, stands: bool) -> None:
        """Note whether a failure failed when it was run again."""
        with self.transaction() as db:
            db.execute("UPDATE failures SET stands = ? WHERE id = ?", (stands, failure.id))

    def failures(self, kernel: str | None = None) -> list[KeptFailure]:
        """The distinct failures on a kernel, or all, oldest first."""
        with self.told():
            rows = self.db.execute(
                "SELECT id, kernel, signature, hits, programs, seconds, stands, finding FROM failures"
                " WHERE ?1 IS NULL OR kernel = ?1 ORDER BY rowid", (kernel,)
            ).fetchall()  # fmt: skip
        return [self.kept_failure(row) for row in rows]

    def kept_failure(self, row: Sequence[Any]) -> KeptFailure:
        """A failure from its row."""
        with self.sound(f"failure {row[0]}"):
            plain = msgspec.convert(list(row[:6]), tuple[str, str, str, int, int, float])
            return KeptFailure(*plain, bool(row[6]), read_finding(row[7]))


def spelled(program: Program) -> str:
    """A program as text; its name says nothing about it and is left out."""
    return json.dumps(write_program(msgspec.structs.replace(program, name="fuzz")), separators=(",", ":"))


def short_name(text: str) -> str:
    """A name that a text always gets."""
    return sha256(text.encode()).hexdigest()[:12]


def written(finding: Finding) -> dict[str, object]:
    """A finding as JSON values."""
    return {
        **{name: getattr(finding, name) for name in finding.__struct_fields__},
        "program": write_program(finding.program),
    }


def read_finding(text: str) -> Finding:
    """A finding from its text."""
    values = json.loads(text)
    failure = values["failure"]
    return Finding(
        **{key: values[key] for key in ("signature", "key", "verdict", "invariant", "message")},
        known=tuple(values["known"]),
        program=parse_exact(values["program"]),
        failure=None if failure is None else msgspec.convert(failure, Failure),
    )


__all__ = ["CampaignRow", "Corpus", "CorpusError", "KeptFailure", "KeptProgram"]
