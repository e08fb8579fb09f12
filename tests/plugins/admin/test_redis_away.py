"""What the administration says while a real server is there, goes away, and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import servers
from plughost.contracts import CacheManager
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.cache.plugin import CachePlugin


def until(ask: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """Ask until the answer is as wanted; fails when it never is."""
    end = time.monotonic() + 20
    while not wanted(answer := ask()):
        assert time.monotonic() < end, answer
        time.sleep(0.05)
    return answer


@pytest.fixture
def server():
    with servers.server() as started:
        yield started


def test_redis_away_is_said_in_words_and_nothing_fails(live_server, server):
    host = live_server((CachePlugin, {"redis_url": server.url}), (AdminPlugin, {"refresh": 0.2}))
    cache = host.host.use(CacheManager).get("films")
    with host.client(host.token("*")) as client:

        def figures() -> Any:
            answer = client.get("/admin/api/cache/stats")
            assert answer.status_code == 200
            return answer.json()

        until(figures, lambda told: told["status"]["available"])
        assert client.get("/health/redis").json()["configured"] is True
        host.portal.call(cache.set, "a", 1)
        server.kill()
        told = until(figures, lambda told: not told["status"]["available"] and bool(told["advice"]))
        assert "Redis is away" in told["advice"][0]["text"]
        assert "reconnects by itself" in told["advice"][0]["text"]
        page = client.get("/admin/system/cache", headers={"Accept": "text/html"})
        assert page.status_code == 200
        assert "Redis away" in page.text
        health = client.get("/health/redis")
        assert (health.status_code, health.json()["status"]) == (200, "warn")
        assert client.get("/readyz").status_code == 200
        assert client.post("/admin/api/cache/clear", json={"cache": "films"}).status_code == 200
        server.start()
        until(figures, lambda told: told["status"]["available"])
        assert client.get("/health/redis").json()["status"] == "pass"
