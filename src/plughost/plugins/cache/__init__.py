"""The first-party cache plugin: named caches, locks and rate limits, in memory and in Redis."""
