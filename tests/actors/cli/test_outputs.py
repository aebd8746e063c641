"""Files to write are tried before the work, and left as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.cli.outputs import try_to_write


def test_folders_are_made_and_nothing_else(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("kept")
    try_to_write(there)
    try_to_write(tmp_path / "new" / "er" / "file")
    assert there.read_text() == "kept"
    assert (tmp_path / "new" / "er").is_dir()
    assert not any((tmp_path / "new" / "er").iterdir())


@pytest.mark.parametrize("name", [".", "there/file", "/dev/full"])
def test_what_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "there").touch()
    with pytest.raises(OSError):
        try_to_write(tmp_path / name)
