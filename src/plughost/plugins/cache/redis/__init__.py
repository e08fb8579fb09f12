"""The Redis tier: everything that needs a server, imported only when one is configured."""
