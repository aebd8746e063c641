"""Programs out of nothing but a seed: a grammar, a light model of what it has made, mutations."""

from actors.fuzz.generate.generator import Generator
from actors.fuzz.generate.mutate import mutate, repaired

__all__ = ["Generator", "mutate", "repaired"]
