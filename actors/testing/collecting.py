"""What the explored tests came to, collected where the results of all workers arrive."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from actors.testing.options import JSON, SEED, Options

if TYPE_CHECKING:
    import pytest

    from actors.testing.memory import FailedBefore

PROPERTY = "tcemu_"
"""What the names of all properties begin with that a test is given, in JUnit XML and elsewhere."""


class Collecting:
    """Collects what the explored tests came to, wherever they ran."""

    def __init__(self, config: pytest.Config, options: Options, memory: FailedBefore) -> None:
        self.config = config
        self.options = options
        self.memory = memory
        self.tests: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test has run."""
        if report.when != "call" or report.skipped:
            return
        values = {k.removeprefix(PROPERTY): v for k, v in report.user_properties if k.startswith(PROPERTY)}
        if values:
            self.memory.note(report.nodeid, report.passed, str(values.get("failure_file") or ""))
            self.tests.append({"test": report.nodeid, "outcome": report.outcome, **values})

    def pytest_sessionfinish(self) -> None:
        """Write down what came out."""
        self.memory.save()
        if self.options[JSON] is not None:
            tests = sorted(self.tests, key=lambda test: test["test"])
            path = self.config.invocation_params.dir / self.options[JSON]
            path.write_text(json.dumps({"seed": self.options[SEED], "tests": tests}, indent=1) + "\n")
