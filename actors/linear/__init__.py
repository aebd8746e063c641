"""Linearizability: can the answers of concurrent threads come from some sequential order?

``Linear`` makes oracles for campaigns: ``explore(program, kernel, oracles=Linear())``, or shorter
``explore(program, kernel, linear=True)``. ``check`` judges a recorded history by itself; a ``Recorder``
records one from any machine.
"""

from actors.linear.checker import Verdict, check
from actors.linear.history import Call, History, Recorder
from actors.linear.model import Answer, Model, Operation, Rules, State, Unmodelled
from actors.linear.oracle import Linear
from actors.linear.rules import judgeable, rules_of

__all__ = [
    "Answer",
    "Call",
    "History",
    "Linear",
    "Model",
    "Operation",
    "Recorder",
    "Rules",
    "State",
    "Unmodelled",
    "Verdict",
    "check",
    "judgeable",
    "rules_of",
]
