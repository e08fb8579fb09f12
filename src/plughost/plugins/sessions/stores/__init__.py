"""Where sessions are kept; each file is one store."""
