"""Writing down the set of plugins of an environment, and bringing it back."""
