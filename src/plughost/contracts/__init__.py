"""Protocols and frozen payloads that hosts and plugins agree on; no behaviour."""
