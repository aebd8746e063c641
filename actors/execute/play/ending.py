"""How a play ends: by exit or kill, with kernel threads borrowing, or by the kernel breaking down."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from actors.execute.play.remains import Remains
from actors.execute.play.session import Session
from actors.runtime.errors import Deadlock, KernelOops, Livelock
from actors.runtime.explain import explained_on_signal
from hw import HardwareError

BREAKDOWNS: tuple[tuple[type[Exception], str], ...] = (
    (KernelOops, "oops"),
    (HardwareError, "oops"),
    (Deadlock, "deadlock"),
    (Livelock, "livelock"),
)
"""How the modelled kernel may end a play before its time, and the verdict."""

BREAKS = tuple(kind for kind, _ in BREAKDOWNS)


class Ending(NamedTuple):
    """How a play ended.

    Attributes:
        borrowed: what was left while kernel threads still borrowed the client's mm; None when none did.
        final: what is left at the very end.
        verdict: ``ok``, ``oops``, ``deadlock`` or ``livelock``.
        message: what happened, for any but ``ok``.
    """

    borrowed: Remains | None
    final: Remains
    verdict: str = "ok"
    message: str = ""

    @property
    def clean(self) -> bool:
        """Whether the kernel came through and nothing is left that should not be.

        An address space that is still borrowed may live.
        """
        borrowed = self.borrowed is not None and self.borrowed._replace(mms=0).anything
        return self.verdict == "ok" and not borrowed and not self.final.anything


def ended(session: Session, body: Callable[[], Ending]) -> Ending:
    """Run ``body``; when the modelled kernel breaks down in it, that is the ending."""
    try:
        with explained_on_signal(session.core):
            return body()
    except BREAKS as problem:
        return broken(session, problem)


def broken(session: Session, problem: Exception) -> Ending:
    """The ending that a breakdown of the modelled kernel is."""
    verdict = next(name for kind, name in BREAKDOWNS if isinstance(problem, kind))
    return Ending(None, session.remains(), verdict, " ".join(str(problem).split()))


def finish(session: Session, actors: Iterable[int], borrow: Sequence[int], killed: bool) -> Ending:
    """Borrow, exit or kill, let grace periods end, look, switch away, look again."""
    for actor in actors:
        session.borrow(borrow, actor)
        if killed:
            session.kill(actor)
        else:
            session.exit(actor)
    session.settle()
    borrowed = session.remains() if borrow else None
    session.switch_away(borrow)
    session.settle()
    return Ending(borrowed, session.remains())
