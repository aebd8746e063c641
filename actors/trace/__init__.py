"""Logs: what happened in a run, as values, as lines of JSON, as text and as pictures.

A run is recorded by a tracer of the runtime (:mod:`recorder`), in memory, and becomes events
(:mod:`schema`) when somebody asks. Everything else here is a function of events. There is no clock:
the number of an event is its time, so equal runs have equal logs, byte for byte.
"""

from __future__ import annotations
