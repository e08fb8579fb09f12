"""What suites of stores begin with: a clock under the test's hand, and a store that its author hands over."""

from __future__ import annotations

import time
from typing import Any

import pytest

from plughost.testing.clock import FakeClock


class StoreSuite:
    """A suite that is subclassed, and given a ``store`` fixture that opens and closes yours."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Time under the test's hand; it begins now, so that stores with a clock of their own agree."""
        return FakeClock(start=time.time())

    @pytest.fixture
    def store(self, clock: FakeClock) -> Any:
        """Return your store, opened, reading its time from ``clock.time``."""
        raise NotImplementedError("give the suite a store fixture")
