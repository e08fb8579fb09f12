"""Sessions that stay what they were told to be: the first-party sessions plugin.

The walk of a request: ``middleware`` → ``session`` (the mapping a handler sees) → ``manager`` → a store in
``stores``. A value becomes bytes in ``codec`` and ``crypto``; an id becomes a digest in ``tokens``; ``merge``
says what a change does to a stored session, for all stores alike.
"""

from plughost.plugins.sessions.plugin import SessionsPlugin

__all__ = ["SessionsPlugin"]
