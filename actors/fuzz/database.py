"""The file under a corpus: SQLite, its schema, transactions, and its complaints in words for people.

Every change is one transaction, so a campaign that is killed at any moment loses at most what it had not
yet told of. Who has to wait for somebody else's transaction does so for up to half a minute.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import Self

import msgspec

APPLICATION = 0x74636566
"""What tells a corpus from other SQLite files: ``tcef``."""
VERSION = 1
WRITE_AHEAD_ATTEMPTS = 100
PAUSE_SECONDS = 0.02
PATIENCE_SECONDS = 30.0

SCHEMA = """
CREATE TABLE campaigns (
    id INTEGER PRIMARY KEY, kernel TEXT NOT NULL, seed INTEGER NOT NULL, mode TEXT NOT NULL,
    batch INTEGER NOT NULL DEFAULT 0, programs INTEGER NOT NULL DEFAULT 0, orders INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT '{}', first INTEGER NOT NULL,
    UNIQUE (kernel, seed, mode));
CREATE TABLE programs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, campaign INTEGER NOT NULL, text TEXT NOT NULL,
    features INTEGER NOT NULL, UNIQUE (campaign, id));
CREATE TABLE coverage (
    campaign INTEGER NOT NULL, feature TEXT NOT NULL, program TEXT NOT NULL,
    PRIMARY KEY (campaign, feature)) WITHOUT ROWID;
CREATE TABLE failures (
    id TEXT PRIMARY KEY, kernel TEXT NOT NULL, signature TEXT NOT NULL, hits INTEGER NOT NULL,
    programs INTEGER NOT NULL, seconds REAL NOT NULL, campaign INTEGER NOT NULL, stands INTEGER NOT NULL,
    finding TEXT NOT NULL, UNIQUE (kernel, signature));
CREATE TABLE curve (
    campaign INTEGER NOT NULL, programs INTEGER NOT NULL, orders INTEGER NOT NULL, seconds REAL NOT NULL,
    features INTEGER NOT NULL, PRIMARY KEY (campaign, programs)) WITHOUT ROWID;
"""


UNSOUND = (ValueError, KeyError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError)
"""What reading the text of a row may fail with when something else stands there."""


class CorpusError(Exception):
    """A corpus cannot be used; one line says why and what to do."""


class Database:
    """An open file.

    Args:
        path: the file; made when it is not there.
        create: whether it may be made.

    Raises:
        CorpusError: it is no corpus, damaged, locked, not to be written, or of a newer version.
    """

    def __init__(self, path: str | Path, create: bool = True) -> None:
        self.path = Path(path)
        if not create and not self.path.exists():
            raise CorpusError(f"{self.path}: no such corpus; tcemu fuzz makes one")
        if self.path.is_dir():
            raise CorpusError(f"{self.path}: is a folder, expected the file of a corpus")
        if self.path.parent.is_file():
            raise CorpusError(f"{self.path}: {self.path.parent} is a file, expected a folder")
        with self.told():
            if create:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(self.path, timeout=PATIENCE_SECONDS, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self.db.close()
                raise

    def _prepare(self) -> None:
        # One read transaction: somebody else may be making the file at this moment.
        self.db.execute("BEGIN")
        application = self.db.execute("PRAGMA application_id").fetchone()[0]
        version = self.db.execute("PRAGMA user_version").fetchone()[0]
        empty = not self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        self.db.execute("COMMIT")
        if application != APPLICATION and not empty:
            raise CorpusError(f"{self.path}: a SQLite file, but no corpus of tcemu fuzz; name another file")
        if application == APPLICATION and version > VERSION:
            raise CorpusError(
                f"{self.path}: made by a newer tcemu (corpus version {version}, this one knows {VERSION})"
            )
        self._write_ahead()
        self.db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            if not self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in SCHEMA.split(";"):
                    self.db.execute(statement)
                self.db.execute(f"PRAGMA application_id = {APPLICATION}")
                self.db.execute(f"PRAGMA user_version = {VERSION}")

    def _write_ahead(self) -> None:
        """Turn the write-ahead log on; SQLite does not wait by itself for somebody who does the same."""
        for left in reversed(range(WRITE_AHEAD_ATTEMPTS)):
            try:
                self.db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem) or not left:
                    raise
                sleep(PAUSE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn what SQLite and the system say into words for people."""
        try:
            yield
        except sqlite3.Error as problem:
            raise CorpusError(f"{self.path}: {words(problem)}") from problem
        except OSError as problem:
            raise CorpusError(f"{self.path}: {problem.strerror or problem}") from problem

    @contextmanager
    def sound(self, what: str) -> Iterator[None]:
        """Read what stands in a row; other people's programs write into files too.

        Raises:
            CorpusError: something else stands there.
        """
        try:
            yield
        except UNSOUND as problem:
            raise CorpusError(f"{self.path}: damaged, {what} cannot be read; name another file") from problem

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, on disk when the block ends."""
        with self.told():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield self.db
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")


def words(problem: sqlite3.Error) -> str:
    """What SQLite complains of, in words that say what to do."""
    text = str(problem)
    if "locked" in text:
        return f"locked by somebody else for {PATIENCE_SECONDS:.0f} s; end that program or name another file"
    if "readonly" in text or "unable to open" in text:
        return "cannot be opened and written; change its permissions or name another file"
    if "full" in text:
        return "no room left on the disk; what was told of is safe, the rest is lost"
    if "decode" in text:
        return "damaged, a text in it is none; name another file"
    if "not a database" in text or "malformed" in text or "no such" in text:
        return f"no corpus, or a damaged one ({text}); name another file"
    return text


__all__ = ["CorpusError", "Database"]
