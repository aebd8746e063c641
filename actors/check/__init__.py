"""Oracles: what must hold of the modelled kernel, and who sees when it does not.

Attach :class:`Oracles` to a machine at rest; ask :meth:`~Oracles.step` after each scheduling step and
:meth:`~Oracles.quiescent` at the end. :func:`blame` says what an exception that ended a run means.
"""

from actors.check.invariants import FINDINGS, INVARIANTS, VERDICTS, Invariant
from actors.check.oracles import Oracles
from actors.check.violation import Violation, blame

__all__ = ["FINDINGS", "INVARIANTS", "VERDICTS", "Invariant", "Oracles", "Violation", "blame"]
