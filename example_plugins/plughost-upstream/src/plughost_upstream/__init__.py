"""A plugin through which other plugins call services elsewhere."""

from __future__ import annotations

from plughost_upstream.protocols import Call, Origin, Pace, Reply, Upstream, UpstreamError, Upstreams

__all__ = ["Call", "Origin", "Pace", "Reply", "Upstream", "UpstreamError", "Upstreams"]
