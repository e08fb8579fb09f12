"""Where a fleet meets: one file for each engine, and the rules that hold in all."""
