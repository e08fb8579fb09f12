"""Users with passwords and roles in SQLite."""

from plughost_accounts.plugin import AccountsConfig, AccountsPlugin

__all__ = ["AccountsConfig", "AccountsPlugin"]
