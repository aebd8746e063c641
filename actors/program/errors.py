"""The one error of this package: a file that says something it may not say.

`Refusal` is how a reader says no while it is still inside a value; every container it
passes on its way out adds its own key, so the path is built only when it is needed.
`ProgramError` is what a caller sees: one line with file, place and what was expected.
"""

from __future__ import annotations

from typing import Self

_SHOWN_CHARS = 60


class ProgramError(ValueError):
    """A file is malformed: the writer of the file has to change it.

    It never means that a kernel or the emulator misbehaved.

    Attributes:
        file: The file as the caller named it.
        place: Path of the offending field (`threads[1].steps[0].op`), or `line 12 in.vaddr`, `byte 77`.
        message: What was found and what was expected.
    """

    def __init__(self, file: str, place: str, message: str) -> None:
        self.file, self.place, self.message = file, place, message
        super().__init__(one_line(f"{file}: {place}: {message}"))

    def __reduce__(self) -> tuple[type[ProgramError], tuple[str, str, str]]:
        """Workers hand errors to each other: pickle by the three parts."""
        return type(self), (self.file, self.place, self.message)


def not_read(file: object, problem: Exception) -> ProgramError:
    """The error for a file that cannot be read."""
    return ProgramError(str(file), "cannot be read", getattr(problem, "strerror", None) or str(problem))


def not_written(file: object, problem: OSError) -> ProgramError:
    """The error for a file that cannot be written, which is as much the user's to mend."""
    return ProgramError(str(file), "cannot be written", problem.strerror or str(problem))


class Refusal(ValueError):
    """A value is not what its field takes; collects the path on the way out."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return one_line(": ".join(part for part in (spell_path(self.path), self.message) if part))

    def within(self, *outer: str | int) -> Self:
        """Put the refusal inside an outer key or index; returns itself, to be raised."""
        self.path = (*outer, *self.path)
        return self

    def at(self, file: str, before: str = "") -> ProgramError:
        """The error for the user; `before` precedes the path (`line 12`)."""
        place = " ".join(part for part in (before, spell_path(self.path)) if part)
        return ProgramError(file, place or "top level", self.message)


def refuse(found: object, expected: str) -> Refusal:
    """A refusal in the usual words."""
    return Refusal(f"found {show(found)}, expected {expected}")


def show(value: object) -> str:
    """A value as short text on one line."""
    if isinstance(value, dict | list):
        return f"an {'object' if isinstance(value, dict) else 'array'} of {len(value)}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"


def spell_path(path: tuple[str | int, ...]) -> str:
    """`("threads", 1, "op")` becomes `threads[1].op`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part[:_SHOWN_CHARS]}"
    return text.removeprefix(".")


def one_line(text: str) -> str:
    """The text with every control character and line break spelled out."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
