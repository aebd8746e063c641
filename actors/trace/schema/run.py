"""The run itself: the first line of a log, and the last."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

import msgspec

FORMAT: Final = "tcemu-log"
VERSION: Final = 1

Runtime = Literal["free", "controlled", "bare"]


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="event",
):
    """Anything that is a line of a log."""

    level: ClassVar[str] = "info"
    """How loud the event is for loggers: ``debug``, ``info``, ``warning`` or ``error``."""


class Clients(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How recorded clients were played.

    Attributes:
        streams: the clients, as they were named: built-in ones, or files.
        digests: SHA-256 of each stream's rows, so that another recording of that name is noticed.
        kill_at: calls made before SIGKILL; absent for a client that was played to its end.
        borrow: CPUs on which kernel threads borrowed the client's mm when it ended.
        together: whether all were played on one machine, their calls interleaved as the seed draws.
    """

    streams: tuple[str, ...]
    digests: tuple[str, ...] = ()
    kill_at: int | None = None
    borrow: tuple[int, ...] = ()
    together: bool = False


class Header(Record, frozen=True, kw_only=True, tag="header"):
    """What was run, complete enough to run it again.

    Attributes:
        format: always ``tcemu-log``.
        version: of this schema.
        emulator: the version that wrote the log.
        name: of the program, scenario or client.
        program: the program in its file format; absent for what is no program.
        clients: the recorded clients that were played, and how.
        kernel: the kernel that was booted.
        switches: all defects and differences by which it differs from ``fixed``.
        machine: what the machine is made of, where it differs from the defaults.
        runtime: how threads were ordered: ``free`` (by trio), ``controlled`` (chosen, under trio) or
            ``bare`` (chosen, without trio).
        strategy: who chose.
        seed: of the strategy, or of what a client drew.
        order: what else it takes to make this order again, as a failure file has it: the function or the
            client, failure points, budget.
        choices: every decision as options, taken, label; absent when the log was written while the
            run was still going on, and then the ``choice`` events say the same.
    """

    format: Literal["tcemu-log"]
    version: int
    kernel: str
    emulator: str = ""
    name: str = ""
    program: dict[str, Any] | None = None
    clients: Clients | None = None
    switches: tuple[str, ...] = ()
    machine: dict[str, Any] = {}
    runtime: Runtime = "bare"
    strategy: str = ""
    seed: int | None = None
    order: dict[str, Any] | None = None
    choices: tuple[tuple[int, int, str], ...] | None = None


class End(Record, frozen=True, kw_only=True, tag="end"):
    """The run is over; the last line of a complete log.

    Attributes:
        step: number of events in the log.
        verdict: ``ok``, ``violation``, ``deadlock``, ``livelock``, ``oops``, ``race``, ``warning`` or
            ``expectation``.
        invariant: the invariant that was broken, if one.
        message: one line for people.
        known_as: the known defect behind it.
        steps: scheduling steps made.
        digest: SHA-256 over them, each as ``thread kind object mode``, of a run whose order was chosen.
    """

    step: int
    verdict: str = "ok"
    invariant: str = ""
    message: str = ""
    known_as: str | None = None
    steps: int = 0
    digest: str = ""
