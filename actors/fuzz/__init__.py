"""Fuzzing: generated programs in generated orders, coverage that means something, a corpus that lasts."""

from actors.fuzz.campaign import FuzzCampaign, Plan, Status, fuzz
from actors.fuzz.corpus import Corpus, CorpusError
from actors.fuzz.generate import Generator, mutate
from actors.fuzz.report import FindingReport, FuzzReport, regression_test
from actors.fuzz.triage import Finding, triage
from actors.fuzz.trial import Trial, try_program
from actors.fuzz.work import Crew

__all__ = [
    "Corpus",
    "CorpusError",
    "Crew",
    "Finding",
    "FindingReport",
    "FuzzCampaign",
    "FuzzReport",
    "Generator",
    "Plan",
    "Status",
    "Trial",
    "fuzz",
    "mutate",
    "regression_test",
    "triage",
    "try_program",
]
