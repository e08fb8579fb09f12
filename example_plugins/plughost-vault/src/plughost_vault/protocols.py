"""What other plugins use: ``from plughost_vault.protocols import Vault`` and ``context.use(Vault)``."""

from __future__ import annotations

from typing import Protocol

from plughost.contracts import Secret


class VaultError(Exception):
    """A sealed text cannot be opened: it is not a sealed text, was changed or moved, or its key is not here."""


class Vault(Protocol):
    """Turns a secret into a text that may be stored anywhere, and back.

    A sealed text opens for the owner and the purpose it was sealed for and for no others: copied to another
    user's row it is worth nothing.
    """

    def seal(self, secret: Secret, *, owner: str, purpose: str) -> str:
        """Return the secret sealed: letters, digits, dot, dash and underscore.

        Args:
            secret: What nobody may read.
            owner: Whose it is, such as a user's id.
            purpose: What it is, such as ``tmdb key``.
        """

    def open(self, sealed: str, *, owner: str, purpose: str) -> Secret:
        """Return the secret that was sealed.

        Raises:
            VaultError: It was not sealed here for this owner and this purpose.
        """

    def is_current(self, sealed: str) -> bool:
        """Whether it is sealed with the key that seals now."""


class Reseal(Protocol):
    """What ``reseal_secrets`` hands to the plugins: it puts a sealed text under the key that seals now."""

    def __call__(self, sealed: str, *, owner: str, purpose: str) -> str:
        """Return it sealed anew; the same text when it was under that key already.

        Raises:
            VaultError: It cannot be opened; keep it as it is, its key may come back.
        """
