"""Each flow fires one family of the catalogue, in its order: apps, sign-in, users, backups, health."""
