"""plughost."""
