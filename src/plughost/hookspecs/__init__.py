"""Hook catalogue."""
