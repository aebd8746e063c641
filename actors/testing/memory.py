"""The tests that failed last time, with their failure files: kept in pytest's cache, else below .tcemu."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

KEY = "tcemu/failed"
FILE = Path(".tcemu") / "pytest-failed.json"


class FailedBefore:
    """Tests by node id, each with the file of its failing order or ""; forgotten when they pass."""

    def __init__(self, config: pytest.Config) -> None:
        self.cache = (
            getattr(config, "cache", None) if config.pluginmanager.hasplugin("cacheprovider") else None
        )
        self.file = config.rootpath / FILE
        self.failed = self._load()
        self.before = dict(self.failed)

    def _load(self) -> dict[str, str]:
        try:
            kept = json.loads(self.file.read_bytes()) if self.cache is None else self.cache.get(KEY, {})
        except (OSError, ValueError):
            kept = {}
        if not isinstance(kept, dict):
            return {}
        return {str(test): str(file) for test, file in kept.items()}

    def note(self, test: str, passed: bool, file: str) -> None:
        """Remember a test that failed, forget one that passed."""
        self.failed.pop(test, None)
        if not passed:
            self.failed[test] = file

    def save(self) -> None:
        """Write down what has changed."""
        if self.failed == self.before:
            return
        if self.cache is not None:
            self.cache.set(KEY, self.failed)
            return
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.failed, indent=1) + "\n")

    def first(self, items: list[pytest.Item]) -> None:
        """Put the tests that failed last time before the others, in place."""
        items.sort(key=lambda item: item.nodeid not in self.failed)
