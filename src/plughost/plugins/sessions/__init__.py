"""Sessions that stay what they were told to be: the first-party sessions plugin.

The walk of a request: ``middleware`` → ``session`` (the mapping a handler sees) → ``desk`` → ``records`` → a store in
``stores``; whoever asks for sessions by id comes by ``manager`` in place of the first three. A value becomes bytes in
``codec`` and ``crypto``; an id becomes a digest in ``tokens``; ``plughost.contracts.session_changes`` says what a
change does to a stored session, for all stores alike.
"""

from plughost.plugins.sessions.plugin import SessionsPlugin

__all__ = ["SessionsPlugin"]
