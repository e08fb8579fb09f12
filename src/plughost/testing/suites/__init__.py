"""Contract suites: a part of yours is right when it passes the class here."""
