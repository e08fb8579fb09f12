"""`plughost run --dev`: plugins that are being written, loaded from their folders and again on each save."""
