"""The options of the pytest plugin: each is a flag, a line of the ini file and an environment variable.

``--tcemu-seed 7``, ``tcemu_seed = 7`` and ``TCEMU_SEED=7`` mean the same. The flag wins over the
environment; both win over what a test says itself; that wins over the ini file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.kernel.composition import Kernel


class Option(NamedTuple):
    """One option.

    Attributes:
        name: after ``tcemu``.
        metavar: what stands behind the flag in the help.
        help: one line.
        read: makes the value from the text; a ValueError says what was expected.
        default: the value where nobody says anything.
        repeats: whether the flag may be repeated.
    """

    name: str
    metavar: str
    help: str
    read: Callable[[str], Any]
    default: Any
    repeats: bool = False

    @property
    def flag(self) -> str:
        """On the command line."""
        return f"--tcemu-{self.name}"

    @property
    def ini(self) -> str:
        """In the ini file."""
        return f"tcemu_{self.name}"

    @property
    def variable(self) -> str:
        """In the environment."""
        return f"TCEMU_{self.name.upper()}"


def number_from(least: int) -> Callable[[str], int]:
    """Read a number."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise ValueError(f"a number from {least} on")
        return int(text)

    return read


def word(text: str) -> str:
    """Read a name or a path."""
    if not text:
        raise ValueError("a name")
    return text


def words(text: str) -> tuple[str, ...]:
    """Read names with commas between them."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ValueError("names with commas between them")
    return names


SEED, SCHEDULES, STRATEGY, KERNEL, FAILURES, LOGS, REPLAY, JSON = OPTIONS = (
    Option("seed", "N", "the same seed, the same orders (0)", number_from(0), 0),
    Option("schedules", "N", "orders to run for each explored test (200)", number_from(1), 200),
    Option("strategy", "NAME", "who chooses the orders (portfolio)", word, "portfolio"),
    Option("kernel", "NAME,...", "kernels to run on; may be repeated (fixed)", words, ("fixed",), True),
    Option("failures", "DIR", "where failing orders are kept (.tcemu/failures)", word, ".tcemu/failures"),
    Option("logs", "DIR", "keep the log of each failing order, for tcemu draw and tcemu log", word, None),
    Option("replay", "FILE", "run the failing order in FILE again, and no other test", word, None),
    Option("json", "FILE", "write what each explored test came to as JSON", word, None),
)


class Said(NamedTuple):
    """What was said of one option, and whether it wins over what a test says itself."""

    value: Any
    wins: bool


class Options:
    """All options of one pytest run.

    Raises:
        pytest.UsageError: a value is not what is expected; names the option as it was given.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.said = {option: said_of(option, config) for option in OPTIONS}

    def __getitem__(self, option: Option) -> Any:
        """The value of an option."""
        return self.said[option].value

    def over(self, option: Option, own: Any) -> Any:
        """The value for a test that says ``own`` itself; None when it says nothing."""
        said = self.said[option]
        return said.value if said.wins or own is None else own

    def asked(self, option: Option) -> bool:
        """Whether anybody said anything."""
        return self.said[option].value is not option.default

    def kernels(self, own: Kernel | str | Iterable[Kernel | str] | None) -> tuple[Kernel | str, ...]:
        """The kernels for a test that names ``own``: one, several, or none."""
        chosen = self.over(KERNEL, own)
        return tuple(chosen) if isinstance(chosen, (tuple, list, set, frozenset)) else (chosen,)


def said_of(option: Option, config: pytest.Config) -> Said:
    """Find what was said of an option: on the command line, in the environment, in the ini file."""
    flag = config.getoption(option.ini, None)
    if flag:
        return Said(read(option, option.flag, ",".join(flag) if option.repeats else flag), True)
    if os.environ.get(option.variable):
        return Said(read(option, option.variable, os.environ[option.variable]), True)
    ini = str(config.getini(option.ini) or "").strip()
    return Said(read(option, option.ini, ini), False) if ini else Said(option.default, False)


def read(option: Option, place: str, text: str) -> Any:
    """Make the value from the text."""
    try:
        return option.read(text)
    except ValueError as expected:
        raise pytest.UsageError(f"{place}: found {text!r}, expected {expected}") from None


def add_options(parser: pytest.Parser) -> None:
    """Tell pytest of the options."""
    group = parser.getgroup("tcemu", "tests under many orders (tcemu)")
    for option in OPTIONS:
        text = f"{option.help} [{option.ini} in the ini file, {option.variable} in the environment]"
        action = "append" if option.repeats else "store"
        group.addoption(option.flag, dest=option.ini, action=action, metavar=option.metavar, help=text)
        parser.addini(option.ini, option.help, default="")
