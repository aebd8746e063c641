"""The wheel, installed without the sources, in a fresh environment of every Python that is found here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.wheel

ROOT = Path(__file__).parents[2]
OLDEST = (3, 11)

TEST = """
import pytest
from actors import Machine

@pytest.mark.explore(kernel=["v4.9", "fixed"], schedules=20)
async def test_explored(machine: Machine) -> None:
    qemu = await machine.spawn("qemu")
    await qemu.exit()

async def test_free(machine: Machine) -> None:
    assert machine.memory.pinned_pages == 0
"""


def pythons() -> dict[str, str]:
    """Every interpreter that is new enough, by ``3.x``: those on the path, and those of pyenv."""
    names = [f"python3.{minor}" for minor in range(OLDEST[1], OLDEST[1] + 10)]
    found = [path for name in names if (path := shutil.which(name))]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += [str(path) for path in sorted(pyenv.glob("versions/*/bin/python3"))]
    return {version: path for path in [*found, sys.executable] if (version := version_of(path))}


def version_of(python: str) -> str:
    """``3.x`` of an interpreter that works and is new enough, else ""."""
    ask = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False)
    version = done.stdout.strip()
    return (
        version if re.fullmatch(r"3\.\d+", version) and tuple(map(int, version.split("."))) >= OLDEST else ""
    )


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in an empty folder, where nothing of the sources can be imported."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL", "PYTEST"))
    }
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, cwd=folder, env=kept, check=False)


def done(*command: object, folder: Path) -> str:
    """The output of a command that succeeds."""
    finished = run(*command, folder=folder)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is packed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("actors", "hw"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    done(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        folder,
        source,
        folder=folder,
    )
    (built,) = folder.glob("*.whl")
    return built


def data_files() -> Iterator[str]:
    """What has to be in the wheel besides modules."""
    for package in ("actors", "hw"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                yield str(path.relative_to(ROOT))


def test_the_wheel_holds_everything(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"actors/py.typed", "hw/py.typed"} <= names
    missing = set(data_files()) - names
    assert missing == set()
    assert not {name.split("/")[0] for name in names} & {"tests", "docs", "examples"}


@pytest.mark.parametrize("version", sorted(pythons(), key=lambda v: int(v[2:])))
def test_in_a_fresh_environment(version: str, wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "env"
    done(pythons()[version], "-m", "venv", home, folder=tmp_path)
    python, tcemu = home / "bin" / "python", home / "bin" / "tcemu"
    done(python, "-m", "pip", "install", "--quiet", f"{wheel}[pytest]", folder=tmp_path)
    assert re.fullmatch(r"tcemu \d+\.\d+\.\d+\n", done(tcemu, "--version", folder=tmp_path))

    words = ("stress", "exit-with-lazy-borrower", "--kernel", "v4.9", "--schedules", "50")
    stress = run(tcemu, *words, folder=tmp_path)
    assert stress.returncode == 1, stress.stderr
    assert "J-Q1" in stress.stdout
    (replay,) = [line for line in stress.stdout.splitlines() if line.strip().startswith("tcemu replay")]
    assert run(tcemu, *replay.split()[1:], folder=tmp_path).returncode == 1

    (tmp_path / "test_mine.py").write_text(TEST)
    told = done(python, "-m", "pytest", "test_mine.py", folder=tmp_path)
    assert "3 passed" in told
    assert "tcemu: seed 0" in told
    where = "import actors, hw; print(actors.__file__, hw.__file__)"
    assert str(ROOT) not in done(python, "-c", where, folder=tmp_path)
