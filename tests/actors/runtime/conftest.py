from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.actors.runtime.lab import OPEN


@pytest.fixture(autouse=True)
def nothing_is_left_standing() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()
