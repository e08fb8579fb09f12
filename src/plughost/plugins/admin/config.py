"""What the admin plugin can be told: the table ``[plugins.admin.config]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class AdminConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the admin plugin.

    Attributes:
        refresh: Seconds between two looks at the figures while somebody watches.
        history: Seconds between two points of the charts.
        panel_timeout: Seconds a plugin's own panel or action may take.
        title: What the page is called; the host's name when empty.
    """

    refresh: Annotated[float, Meta(ge=0.1, le=3600)] = 2.0
    history: Annotated[float, Meta(ge=1.0, le=86_400)] = 10.0
    panel_timeout: Annotated[float, Meta(gt=0, le=3600)] = 5.0
    title: str = ""
