"""A failure as one small file: what to run, in which order, on which kernel, and what must come out.

The file holds everything that a run depends on, so it can be replayed in another process and on
another machine; what no longer fits is named.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from actors.check import Oracles
from actors.explore.arena import STEP_BUDGET
from actors.explore.explore import Campaign, prepare
from actors.explore.faults import FailNth
from actors.explore.result import Choice, Result
from actors.explore.strategies import Replay, ReplayDivergence
from actors.explore.strategies.random import RandomWalk
from actors.explore.verdicts import OracleMaker
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.kernel.generations import GENERATIONS
from actors.program import Program, ProgramError, parse_exact, write_program

FORMAT = "tcemu-failure"
VERSION = 1


class Switches(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kernel by name: a generation with defects added and taken away."""

    name: str
    with_: tuple[str, ...] = msgspec.field(default=(), name="with")
    without: tuple[str, ...] = ()

    @classmethod
    def of(cls, kernel: Kernel) -> Switches:
        """The names of a composed kernel."""
        name = max((g for g in GENERATIONS if kernel.name.startswith(g)), key=len, default="fixed")
        usual = set(GENERATIONS[name].slugs)
        return cls(name, tuple(sorted(kernel.slugs - usual)), tuple(sorted(usual - kernel.slugs)))

    def compose(self) -> Kernel:
        """The kernel itself.

        Raises:
            UnknownPiece, Conflict: it does not exist here.
        """
        return find_kernel(self.name, self.with_, self.without)


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One failing order.

    Attributes:
        format, version: what kind of file this is.
        emulator: the version that wrote it.
        program: the program, as `write_program` spells it.
        kernel: what it ran on.
        choices: every decision: ``(options, taken, label)``.
        fail_nth: which failure point failed; None for none.
        budget: steps after which an order counts as endless.
        verdict, invariant, message, steps: what came out.
        digest: SHA-256 over the steps, each as ``thread kind object mode``.
    """

    format: str = FORMAT
    version: int = VERSION
    emulator: str
    program: dict[str, Any]
    kernel: Switches
    choices: tuple[tuple[int, int, str], ...]
    fail_nth: int | None = None
    budget: int = STEP_BUDGET
    verdict: str
    invariant: str
    message: str
    steps: int
    digest: str


def emulator_version() -> str:
    """The version of this emulator."""
    try:
        return version("tcemu")
    except PackageNotFoundError:
        return "unreleased"


def capture(
    program: Program,
    kernel: Kernel,
    result: Result,
    oracles: OracleMaker = Oracles,
    fail_nth: int | None = None,
) -> Failure:
    """Run a failing order once more, by its choices, and describe it as a file does.

    Raises:
        ReplayDivergence: it does not come out as ``result`` says.
    """
    plain = msgspec.structs.replace(program, with_=(), without=(), expect=type(program.expect)(), kernels=())
    campaign = _campaign(plain, kernel, oracles, fail_nth, STEP_BUDGET)
    again, digest = campaign.recorded(Replay(result.choices))
    _compare("verdict", result.verdict, again.verdict, len(result.choices))
    return Failure(
        emulator=emulator_version(),
        program=write_program(plain),
        kernel=Switches.of(kernel),
        choices=tuple((options, taken, label) for options, taken, label in result.choices),
        fail_nth=fail_nth,
        verdict=again.verdict,
        invariant=again.invariant,
        message=again.message,
        steps=again.steps,
        digest=digest,
    )


def save_failure(failure: Failure, folder: str | Path) -> Path:
    """Write a failure into ``folder`` under a name of its own, and return the path."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in str(failure.program["name"]))
    path = (
        target
        / f"{name}-{failure.kernel.name}-{failure.invariant or failure.verdict}-{failure.digest[:8]}.json"
    )
    values = msgspec.to_builtins(failure)
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return path


def load_failure(path: str | Path) -> Failure:
    """Read a failure file.

    Raises:
        ProgramError: it is none, names an unknown field, or holds no program.
    """
    file = str(path)
    try:
        data = Path(path).read_bytes()
        failure = msgspec.json.decode(data, type=Failure)
    except OSError as problem:
        raise ProgramError(file, "open", problem.strerror or str(problem)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        message, _, place = str(problem).partition(" - at `")
        raise ProgramError(file, place.rstrip("`").removeprefix("$.") or "top level", message) from None
    for key, found, wanted in (("format", failure.format, FORMAT), ("version", failure.version, VERSION)):
        if found != wanted:
            raise ProgramError(file, key, f"found {found!r}, expected {wanted!r}")
    for number, (options, taken, _) in enumerate(failure.choices):
        if not 0 <= taken < options:
            raise ProgramError(
                file, f"choices[{number}]", f"found {taken} of {options}, expected 0 to {options - 1}"
            )
    if failure.fail_nth is not None and failure.fail_nth < 0:
        raise ProgramError(file, "fail_nth", f"found {failure.fail_nth}, expected a number from 0 on")
    parse_exact(failure.program, f"{file}: program")
    return failure


def replay(failure: Failure | str | Path, oracles: OracleMaker = Oracles) -> Result:
    """Run a failure again, exactly; the same result.

    Raises:
        ProgramError: the file is malformed.
        UnknownPiece, Conflict: its kernel does not exist here.
        ReplayDivergence: the recording no longer fits, or comes to something else.
    """
    if not isinstance(failure, Failure):
        failure = load_failure(failure)
    program = parse_exact(failure.program)
    campaign = _campaign(program, failure.kernel.compose(), oracles, failure.fail_nth, failure.budget)
    chooser = Replay(tuple(Choice(*choice) for choice in failure.choices))
    result, digest = campaign.recorded(chooser)
    end = chooser.at
    for what, expected, actual in (
        ("verdict", failure.verdict, result.verdict),
        ("invariant", failure.invariant, result.invariant),
        ("steps", str(failure.steps), str(result.steps)),
        ("digest", failure.digest, digest),
    ):
        _compare(what, expected, actual, end)
    chooser.finished()
    return result


def _campaign(
    program: Program, kernel: Kernel, oracles: OracleMaker, fail_nth: int | None, budget: int
) -> Campaign:
    faults = FailNth(fail_nth) if fail_nth is not None else None
    return Campaign(prepare(program, kernel, oracles), RandomWalk(), faults, budget)


def _compare(what: str, expected: str, actual: str, at: int) -> None:
    if expected != actual:
        raise ReplayDivergence(at, f"{what} {expected or 'none'}", f"{what} {actual or 'none'}")


__all__ = ["Failure", "Switches", "capture", "load_failure", "replay", "save_failure"]
