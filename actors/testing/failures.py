"""Failing orders of tests as files: enough to run the same order of the same test again."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from actors.explore.failure import Switches
from actors.explore.result import Choice, Result
from actors.trace.header import emulator_version

FORMAT = "tcemu-test-failure"
VERSION = 1


class FailingOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One order in which a test fails.

    Attributes:
        format, version: what kind of file this is.
        emulator: the version that wrote it.
        test: pytest's name for the test.
        subject: what was explored: the test itself, or a program or scenario that it explores.
        kernel: the name of what it ran on.
        switches: the same as a generation with defects added and taken away.
        choices: every decision: ``(options, taken, label)``.
        verdict, invariant, message, steps: what came out.
        digest: SHA-256 over the steps, each as ``thread kind object mode``.
    """

    format: str = FORMAT
    version: int = VERSION
    emulator: str = msgspec.field(default_factory=emulator_version)
    test: str
    subject: str
    kernel: str
    switches: Switches
    choices: tuple[Choice, ...]
    verdict: str
    invariant: str
    message: str
    steps: int
    digest: str

    def differs(self, result: Result, digest: str) -> str:
        """How what a replay came to differs from what was recorded, in words; "" when it does not."""
        pairs = (
            ("verdict", self.verdict, result.verdict),
            ("invariant", self.invariant, result.invariant),
            ("steps", self.steps, result.steps),
            ("digest", self.digest, digest),
        )
        return ", ".join(
            f"{what} {now or 'none'} instead of {was or 'none'}" for what, was, now in pairs if was != now
        )


def save_order(order: FailingOrder, folder: Path) -> Path:
    """Write an order into ``folder`` under a name of its own, and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    test = order.test.rpartition("/")[2]
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in test).strip("-")
    path = folder / f"{name}-{order.invariant or order.verdict}-{order.digest[:8]}.json"
    values = msgspec.to_builtins(order)
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return path


def load_order(path: Path) -> FailingOrder:
    """Read the file of a failing order.

    Raises:
        pytest.UsageError: it is none.
    """
    try:
        order = msgspec.json.decode(path.read_bytes(), type=FailingOrder)
    except OSError as problem:
        raise pytest.UsageError(f"{path}: {problem.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise pytest.UsageError(f"{path}: no failing order of a test: {problem}") from None
    for key, found, wanted in (("format", order.format, FORMAT), ("version", order.version, VERSION)):
        if found != wanted:
            raise pytest.UsageError(f"{path}: {key}: found {found!r}, expected {wanted!r}")
    return order


__all__ = ["FailingOrder", "load_order", "save_order"]
