"""A failure as one small file: what to run, in which order, on which kernel, and what must come out.

The file holds everything that a run depends on, so it can be replayed in another process and on
another machine; what no longer fits is named. Of an async function and of a recorded client it holds
the name, and a digest that tells when there is another one of that name.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from actors.check import Oracles
from actors.explore.arena import STEP_BUDGET
from actors.explore.client import KilledClient
from actors.explore.explore import Campaign, prepare
from actors.explore.faults import FailByChoice, FailNth, FaultMaker
from actors.explore.result import Choice, Result
from actors.explore.run import Model
from actors.explore.scenario import Function, NoScenario
from actors.explore.strategies import Replay, ReplayDivergence
from actors.explore.strategies.random import RandomWalk
from actors.explore.verdicts import OracleMaker
from actors.kernel.catalogue import find_kernel
from actors.kernel.composition import Kernel
from actors.kernel.failpoints import FAILPOINTS
from actors.kernel.generations import GENERATIONS
from actors.linear import Linear
from actors.linear.oracle import INVARIANT as LINEARIZABILITY
from actors.machine import Scenario
from actors.program import Program, ProgramError, not_read, parse_exact, write_program
from actors.program.errors import show
from actors.trace.header import emulator_version

Subject = Program | Scenario | KilledClient
"""What can fail, and be kept."""

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


class Faults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is made to fail; nothing when both are left out.

    Attributes:
        nth: the failure point to fail in every order, from 0.
        names: the failure points of which one may fail in each order, where the order decides; or ``any``.
    """

    nth: int | None = None
    names: tuple[str, ...] = ()

    def maker(self) -> FaultMaker | None:
        """What a campaign takes."""
        if self.nth is not None:
            return FailNth(self.nth)
        if self.names:
            return FailByChoice(names=None if "any" in self.names else frozenset(self.names))
        return None


NO_FAULTS = Faults()


class Head(msgspec.Struct):
    """What says whether a file is a failure at all."""

    format: str = ""


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One failing order.

    Attributes:
        format, version: what kind of file this is.
        emulator: the version that wrote it.
        program: the program, as `write_program` spells it; or
        function: the async function of a machine; or
        client: the recorded client, and when it is killed.
        kernel: what it ran on.
        choices: every decision: ``(options, taken, label)``.
        fail_nth: which failure point failed; None for none.
        fail: failure points of which one could fail, as a decision.
        budget: steps after which an order counts as endless.
        fatal: what ended the run although it is usually only noted, as `Oracles` takes it; "" for nothing.
        verdict, invariant, message, steps: what came out.
        digest: SHA-256 over the steps, each as ``thread kind object mode``.
        known_as: the known defect behind it, if one is.
    """

    format: str = FORMAT
    version: int = VERSION
    emulator: str
    program: dict[str, Any] | None = None
    function: Function | None = None
    client: KilledClient | None = None
    kernel: Switches
    choices: tuple[tuple[int, int, str], ...]
    fail_nth: int | None = None
    fail: tuple[str, ...] = ()
    budget: int = STEP_BUDGET
    fatal: str = ""
    verdict: str
    invariant: str
    message: str
    steps: int
    digest: str
    known_as: str | None = None

    @property
    def name(self) -> str:
        """Of what failed."""
        if self.function is not None:
            return self.function.name
        return self.client.name if self.client is not None else str((self.program or {})["name"])

    @property
    def faults(self) -> Faults:
        """What is made to fail."""
        return Faults(self.fail_nth, self.fail)

    @property
    def changed(self) -> str:
        """What is not as it was when the failure was recorded, in words; "" when nothing is known to be."""
        if self.function is not None and self.function.changed:
            return f"{self.function.name} has changed since"
        if self.client is not None and self.client.changed:
            return f"the recording of {self.client.client} has changed since"
        return ""

    def subject(self) -> Subject:
        """What failed.

        Raises:
            NoScenario, ProgramError: it is not to be found here.
        """
        if self.function is not None:
            return self.function.load()
        return self.client if self.client is not None else parse_exact(self.program)

    def prepared(self, oracles: OracleMaker = Oracles) -> Model:
        """What failed, on its kernel, ready to be run.

        Raises:
            NoScenario, ProgramError: it is not to be found here.
            UnknownPiece, Conflict: nor is its kernel.
        """
        options = {"name": self.function.name} if self.function is not None else {}
        if self.invariant == LINEARIZABILITY and oracles is Oracles:
            oracles = Linear()
        judges = partial(oracles, fatal=self.fatal) if self.fatal else oracles  # type: ignore[call-arg]
        return prepare(self.subject(), self.kernel.compose(), judges, **options)

    def campaign(self, model: Model) -> Campaign:
        """The campaign in which the failing order can be run again."""
        return Campaign(model, RandomWalk(), self.faults.maker(), self.budget)

    @property
    def recording(self) -> tuple[Choice, ...]:
        """The choices as values."""
        return tuple(Choice(*choice) for choice in self.choices)


def capture(
    subject: Subject,
    kernel: Kernel,
    result: Result,
    oracles: OracleMaker = Oracles,
    fail_nth: int | None = None,
    fail: tuple[str, ...] = (),
    fatal: str = "",
    budget: int = STEP_BUDGET,
) -> Failure:
    """Run a failing order once more, by its choices, and describe it as a file does.

    Args:
        subject: what failed.
        kernel: on which kernel.
        result: the failing order, with its choices.
        oracles: who looks.
        fail_nth: which failure point was made to fail; None for none.
        fail: failure points of which one could fail.
        fatal: what ended the run although it is usually only noted.
        budget: steps after which it counted as endless.

    Raises:
        ReplayDivergence: it does not come out as ``result`` says.
        NoScenario: it is a function that no other process could find.
    """
    if isinstance(subject, Program):
        subject = msgspec.structs.replace(
            subject, with_=(), without=(), expect=type(subject.expect)(), kernels=()
        )
    failure = Failure(
        emulator=emulator_version(),
        program=write_program(subject) if isinstance(subject, Program) else None,
        client=subject.exact() if isinstance(subject, KilledClient) else None,
        function=None if isinstance(subject, Program | KilledClient) else Function.of(subject),
        kernel=Switches.of(kernel),
        choices=tuple((options, taken, label) for options, taken, label in result.choices),
        fail_nth=fail_nth,
        fail=fail,
        fatal=fatal,
        budget=budget,
        verdict=result.verdict,
        invariant=result.invariant,
        message=result.message,
        steps=result.steps,
        digest="",
    )
    again, digest = failure.campaign(failure.prepared(oracles)).recorded(Replay(failure.recording))
    _compare("verdict", result.verdict, again.verdict, len(result.choices))
    return msgspec.structs.replace(
        failure, invariant=again.invariant, message=again.message, steps=again.steps, digest=digest
    )


def save_failure(failure: Failure, folder: str | Path) -> Path:
    """Write a failure into ``folder`` under a name of its own, and return the path."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    path = target / file_name(failure)
    kept = ("program", "function", "client", "fail_nth", "fail", "known_as", "fatal")
    values = {
        k: v for k, v in msgspec.to_builtins(failure).items() if k not in kept or v not in (None, (), "")
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return path


def file_name(failure: Failure) -> str:
    """The name of the file that a failure is kept in."""
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in failure.name)
    what = failure.invariant or failure.verdict
    return f"{name}-{failure.kernel.name}-{what}-{failure.digest[:8]}.json"


def load_failure(path: str | Path) -> Failure:
    """Read a failure file.

    Raises:
        ProgramError: it is none, names an unknown field, or holds no program.
    """
    file = str(path)
    try:
        return parse_failure(Path(path).read_bytes(), file)
    except OSError as problem:
        raise not_read(file, problem) from None


def parse_failure(data: bytes, file: str) -> Failure:
    """Read the contents of a failure file.

    Raises:
        ProgramError: they are none, name an unknown field, or hold nothing to run.
    """
    if not data.strip():
        raise ProgramError(file, "top level", f"found nothing, expected {FORMAT}")
    try:
        head = msgspec.json.decode(data, type=Head)
        if head.format != FORMAT:
            found = f"found {show(head.format)}" if head.format else "missing"
            raise ProgramError(file, "format", f"{found}, expected {FORMAT}")
        failure = msgspec.json.decode(data, type=Failure)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        message, _, place = str(problem).partition(" - at `")
        raise ProgramError(file, place.rstrip("`").removeprefix("$.") or "top level", message) from None
    if failure.version != VERSION:
        raise ProgramError(file, "version", f"found {failure.version}, expected {VERSION}")
    for number, (options, taken, _) in enumerate(failure.choices):
        if options < 1:
            raise ProgramError(file, f"choices[{number}]", f"found {options} options, expected 1 or more")
        if not 0 <= taken < options:
            raise ProgramError(
                file, f"choices[{number}]", f"found {taken} of {options}, expected 0 to {options - 1}"
            )
    _check_faults(failure, file)
    _check_subject(failure, file)
    return failure


def _check_faults(failure: Failure, file: str) -> None:
    if failure.fail_nth is not None and failure.fail_nth < 0:
        raise ProgramError(file, "fail_nth", f"found {failure.fail_nth}, expected a number from 0 on")
    for number, name in enumerate(failure.fail):
        if name != "any" and name not in FAILPOINTS:
            raise ProgramError(file, f"fail[{number}]", f"found {name!r}, expected a failure point or 'any'")


def _check_subject(failure: Failure, file: str) -> None:
    given = [key for key in ("program", "function", "client") if getattr(failure, key) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ProgramError(file, "top level", f"found {found}, expected one of program, function, client")
    try:
        if failure.program is not None:
            parse_exact(failure.program, f"{file}: program")
        elif failure.client is not None:
            failure.client.program()
        else:
            failure.subject()
    except NoScenario as problem:
        raise ProgramError(file, "function", str(problem)) from None
    except ValueError as problem:
        if isinstance(problem, ProgramError) and failure.program is not None:
            raise
        raise ProgramError(file, "client", str(problem)) from None


def replay(failure: Failure | str | Path, oracles: OracleMaker = Oracles) -> Result:
    """Run a failure again, exactly; the same result.

    Raises:
        ProgramError: the file is malformed, or what failed is not to be found here.
        UnknownPiece, Conflict: nor is its kernel.
        ReplayDivergence: the recording no longer fits, or comes to something else.
    """
    if not isinstance(failure, Failure):
        failure = load_failure(failure)
    chooser = Replay(failure.recording)
    try:
        result, digest = failure.campaign(failure.prepared(oracles)).recorded(chooser)
        end = chooser.at
        for what, expected, actual in (
            ("verdict", failure.verdict, result.verdict),
            ("invariant", failure.invariant, result.invariant),
            ("steps", str(failure.steps), str(result.steps)),
            ("digest", failure.digest, digest),
        ):
            _compare(what, expected, actual, end)
        chooser.finished()
    except ReplayDivergence as problem:
        if failure.changed:
            problem.args = (f"{problem}; {failure.changed}",)
        raise
    return result


def _compare(what: str, expected: str, actual: str, at: int) -> None:
    if expected != actual:
        raise ReplayDivergence(at, f"{what} {expected or 'none'}", f"{what} {actual or 'none'}")


__all__ = [
    "NO_FAULTS",
    "Failure",
    "Faults",
    "Subject",
    "Switches",
    "capture",
    "file_name",
    "load_failure",
    "parse_failure",
    "replay",
    "save_failure",
]
