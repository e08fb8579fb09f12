"""Eviction policies by the name people ask for them: ours, those of cachetools, anybody's."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from plughost.contracts import error_line
from plughost.exceptions import ConfigError, did_you_mean
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
    chosen = _class_of(policy) if isinstance(policy, str) else policy
    if not inspect.isclass(chosen):
        raise ConfigError(f"policy {policy!r} is neither a class nor the name of one", path="policy")
    if issubclass(chosen, Policy):
        return chosen(maxsize)
    return ForeignPolicy(chosen, maxsize)


def _class_of(name: str) -> Any:
    if name in POLICIES:
        return POLICIES[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        hint = did_you_mean(name, POLICIES)
        raise ConfigError(
            f"there is no policy {name!r}: use lru, s3fifo, lfu, or module:Class from cachetools.{hint}",
            path="policy",
        )
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"policy {name!r} cannot be imported: {error_line(error)}", path="policy"
        ) from error
