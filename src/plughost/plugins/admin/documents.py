"""What an endpoint returns and a page shows."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]
"""Data that JSON can hold; ``for_json`` makes it."""
