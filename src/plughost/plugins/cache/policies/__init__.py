"""Eviction policies: the law they keep, ours, and the way to plug in a cachetools class."""

from __future__ import annotations

from plughost.plugins.cache.policies.base import EvictionPolicy, Policy
from plughost.plugins.cache.policies.lru import LRUCache
from plughost.plugins.cache.policies.names import POLICIES, policy_named
from plughost.plugins.cache.policies.s3fifo import S3FIFOCache

__all__ = ["POLICIES", "EvictionPolicy", "LRUCache", "Policy", "S3FIFOCache", "policy_named"]
