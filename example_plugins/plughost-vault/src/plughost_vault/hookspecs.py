"""The hook of this plugin; implement it with ``@hookimpl(optionalhook=True)``."""

from __future__ import annotations

from plughost import hookspec
from plughost_vault.protocols import Reseal


@hookspec(mode="collect", timeout=300.0)
async def reseal_secrets(reseal: Reseal) -> int | None:
    """Put every sealed text you keep under the newest key.

    Called by ``plughost vault rotate``, in a host of its own beside running ones.

    Args:
        reseal: Takes a sealed text with its owner and purpose and returns the one to keep instead.

    Returns:
        How many are sealed anew; None when you keep none. Raise when some could not be: the old keys then stay.
    """
