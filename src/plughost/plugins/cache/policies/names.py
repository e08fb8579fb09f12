"""Eviction policies by the name people ask for them: ours, those of cachetools, anybody's."""

from __future__ import annotations

import inspect
from typing import Any

from plughost.contracts import named_object
from plughost.exceptions import ConfigError
from plughost.plugins.cache.policies.base import EvictionPolicy, Policy
from plughost.plugins.cache.policies.foreign import ForeignPolicy
from plughost.plugins.cache.policies.lru import LRUCache
from plughost.plugins.cache.policies.s3fifo import S3FIFOCache

POLICIES: dict[str, type[Policy]] = {"lru": LRUCache, "s3fifo": S3FIFOCache, "lfu": S3FIFOCache}
"""Our policies by the names a configuration may use."""


def policy_named(policy: str | type[Any], maxsize: int) -> EvictionPolicy:
    """Return a policy for ``lru``, ``s3fifo``, ``lfu``, a cachetools class, or ``module:Class`` naming one.

    Raises:
        ConfigError: There is no such policy.
    """
    chosen = policy
    if isinstance(policy, str):
        chosen = POLICIES.get(policy) or named_object(policy, "policy", path="policy", known=POLICIES)
    if not inspect.isclass(chosen):
        raise ConfigError(f"policy {policy!r} is neither a class nor the name of one", path="policy")
    if issubclass(chosen, Policy):
        return chosen(maxsize)
    return ForeignPolicy(chosen, maxsize)
