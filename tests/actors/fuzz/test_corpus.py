"""The corpus: what it keeps, who may share it, and what it says when it cannot."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from threading import Thread

import pytest

from actors.explore.failure import Switches
from actors.fuzz import Corpus, CorpusError, Finding, Generator
from actors.fuzz import database as module
from actors.fuzz.tidy import merge, minimise, switches

PROGRAMS = [Generator(seed).program() for seed in range(6)]


def finding(signature: str = "some-defect") -> Finding:
    return Finding(
        signature=signature, known=(signature,), key="k", verdict="violation", invariant="J-R2",
        message="used is 1", program=PROGRAMS[0],
    )  # fmt: skip


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    with Corpus(tmp_path / "deep" / "c.db") as corpus:
        row = corpus.campaign("v6.12", 7, "")
        with corpus.transaction() as db:
            kept = corpus.keep(db, row.id, PROGRAMS[0], ["call A ok", "pair b"])
            assert corpus.keep(db, row.id, PROGRAMS[0], []) is None
            corpus.add_failure(db, row.kernel, finding(), 1, 0, 0.0, row.id)
            corpus.add_failure(db, row.kernel, finding(), 2, 0, 0.0, row.id)
            corpus.advance(
                db, row._replace(batch=1, programs=48, orders=900, seconds=2.5, state='{"off":["x"]}'), 2
            )
    assert kept is not None
    with Corpus(tmp_path / "deep" / "c.db", create=False) as corpus:
        again = corpus.campaign("v6.12", 7, "")
        assert (again.id, again.batch, again.programs, again.state) == (row.id, 1, 48, '{"off":["x"]}')
        assert [each.id for each in corpus.kept(again.id)] == [kept.id]
        assert corpus.program(kept.number).threads == PROGRAMS[0].threads
        assert corpus.features(again.id) == ["call A ok", "pair b"]
        (failure,) = corpus.failures("v6.12")
        assert (failure.hits, failure.finding.label) == (3, "known: some-defect")
        assert corpus.curve(again.id) == [(48, 900, 2.5, 2)]
        assert corpus.failures("v4.9") == []


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        row = corpus.campaign("fixed", 0, "")
        with pytest.raises(ZeroDivisionError), corpus.transaction() as db:
            corpus.keep(db, row.id, PROGRAMS[0], ["f"])
            raise ZeroDivisionError
        assert corpus.kept() == [] and corpus.features() == []


def test_two_campaigns_share_a_corpus(tmp_path: Path) -> None:
    def write(seed: int) -> None:
        with Corpus(tmp_path / "c.db") as corpus:
            row = corpus.campaign("fixed", seed, "")
            for program in PROGRAMS * 3:
                with corpus.transaction() as db:
                    corpus.keep(db, row.id, program, [f"{seed} {program.name}"])
                    corpus.add_failure(db, row.kernel, finding(), 1, 0, 0.0, row.id)

    threads = [Thread(target=write, args=(seed,)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Corpus(tmp_path / "c.db") as corpus:
        assert len(corpus.kept()) == 2 * len(PROGRAMS)
        assert [failure.hits for failure in corpus.failures()] == [2 * 3 * len(PROGRAMS)]


# -- what cannot be used -----------------------------------------------------------------------


def refused(path: Path, create: bool = True) -> str:
    with pytest.raises(CorpusError) as caught:
        Corpus(path, create)
    line = str(caught.value)
    assert line.startswith(str(path)) and "\n" not in line
    return line


def test_a_missing_corpus(tmp_path: Path) -> None:
    assert "no such corpus" in refused(tmp_path / "c.db", create=False)


def test_files_that_are_no_corpus(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"something else entirely, and long enough to be looked at" * 20)
    assert "no corpus, or a damaged one" in refused(garbage)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    assert "no corpus of tcemu fuzz" in refused(other)
    assert "is a folder" in refused(tmp_path)


def test_a_newer_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VERSION", 2)
    Corpus(tmp_path / "c.db").close()
    monkeypatch.undo()
    assert "newer tcemu" in refused(tmp_path / "c.db")


def test_a_damaged_corpus(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    with Corpus(path) as corpus:
        row = corpus.campaign("fixed", 0, "")
        with corpus.transaction() as db:
            for program in PROGRAMS:
                corpus.keep(db, row.id, program, [])
    data = bytearray(path.read_bytes())
    data[200:] = bytes(len(data) - 200)
    path.write_bytes(bytes(data))
    with pytest.raises(CorpusError, match=r"damaged|no corpus"), Corpus(path) as corpus:
        corpus.failures()


def test_a_locked_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    with Corpus(tmp_path / "c.db") as corpus, Corpus(tmp_path / "c.db") as other, corpus.transaction():  # noqa: SIM117
        with pytest.raises(CorpusError, match="locked by somebody else"):
            other.campaign("fixed", 0, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_corpus(tmp_path: Path) -> None:
    Corpus(tmp_path / "c.db").close()
    (tmp_path / "c.db").chmod(0o444)
    assert "cannot be written" in refused(tmp_path / "c.db")


def test_a_full_disk_loses_nothing_that_was_told(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        row = corpus.campaign("fixed", 0, "")
        with corpus.transaction() as db:
            corpus.keep(db, row.id, PROGRAMS[0], ["kept"])
        pages = corpus.db.execute("PRAGMA page_count").fetchone()[0]
        corpus.db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(CorpusError, match="no room left"), corpus.transaction() as db:
            corpus.keep(db, row.id, PROGRAMS[1], [f"feature {n}" for n in range(5000)])
        assert corpus.features() == ["kept"]


# -- tidying up --------------------------------------------------------------------------------


def test_merging(tmp_path: Path) -> None:
    with Corpus(tmp_path / "a.db") as ours, Corpus(tmp_path / "b.db") as theirs:
        mine, other = ours.campaign("fixed", 0, ""), theirs.campaign("v6.12", 3, "")
        with ours.transaction() as db:
            ours.keep(db, mine.id, PROGRAMS[0], ["a"])
        with theirs.transaction() as db:
            theirs.keep(db, other.id, PROGRAMS[1], ["b"])
            theirs.add_failure(db, other.kernel, finding(), 1, 0, 0.0, other.id)
            theirs.advance(db, other._replace(batch=2, programs=96), 1)
        assert merge(ours, theirs) == (1, 1)
        assert merge(ours, theirs) == (0, 0)
        assert ours.features() == ["a", "b"]
        assert [row.programs for row in ours.campaigns()] == [0, 96]


def test_minimising_keeps_the_coverage(tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        row = corpus.campaign("fixed", 0, "")
        with corpus.transaction() as db:
            for program in (PROGRAMS[0], PROGRAMS[1], *PROGRAMS[:1]):
                corpus.keep(db, row.id, program, [])
            doubled = PROGRAMS[0]
            corpus.keep(
                db, row.id, type(doubled)("other name", machine=doubled.machine, setup=doubled.setup), []
            )
        before = len(corpus.kept())
        gone = minimise(corpus)
        assert gone > 0 and len(corpus.kept()) == before - gone


def test_kernels_by_their_spelling() -> None:
    assert switches("v6.12") == ("v6.12", (), ())
    assert switches("v4.10-seed+lookup-uaf-tce-create-mutex-leak") == (
        "v4.10-seed", ("lookup-uaf",), ("tce-create-mutex-leak",)
    )  # fmt: skip
    assert Switches("v4.10-seed").compose().name == "v4.10-seed"


DAMAGE = {
    "no-text": "UPDATE failures SET finding = CAST(x'ff80' AS TEXT)",
    "no-json": "UPDATE failures SET finding = '{nope'",
    "no-finding": "UPDATE failures SET finding = '{}'",
    "no-number": "UPDATE failures SET hits = 'many'",
    "no-program": "UPDATE programs SET text = '[1]'",
    "no-campaign": "UPDATE campaigns SET orders = 'x'",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_garbage_in_a_row_is_one_line_without_the_garbage(what: str, tmp_path: Path) -> None:
    with Corpus(tmp_path / "c.db") as corpus:
        row = corpus.campaign("v6.12", 0, "")
        with corpus.transaction() as db:
            corpus.keep(db, row.id, PROGRAMS[0], ["a"])
            corpus.add_failure(db, row.kernel, finding(), 1, 0, 0.0, row.id)
            db.execute(DAMAGE[what])
        with pytest.raises(CorpusError, match=r"c\.db: damaged, [a-z0-9 ]+; name another file$"):
            corpus.campaigns(), corpus.failures(), corpus.program(1)


def test_a_folder_is_no_corpus(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="is a folder, expected the file of a corpus"):
        Corpus(tmp_path)
    with pytest.raises(CorpusError, match="file is a file, expected a folder"):
        Corpus(tmp_path / "file" / "c.db")
