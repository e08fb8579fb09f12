"""The shared tier over a store of somebody else: three methods over bytes."""
