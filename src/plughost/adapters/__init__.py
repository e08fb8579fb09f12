"""Hosts inside the frameworks of others: one line each, in the module that is named after the framework."""
