"""The shapes of a subscription: what is called, and how to stop it being called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

EventCallback = Callable[[Any], Awaitable[object] | object]
"""Called with the event, or with the data of a named one; sync or async. What it returns is dropped."""

Unsubscribe = Callable[[], None]
"""Ends a subscription, at once and even while the event is being published. Calling it again does nothing."""
