"""Two instances in processes of their own, with one Redis between them: to a service they are one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from served_suite import instance

from plughost.testing import redis_server
from plughost_media.demo import DemoFakes, settings
from plughost_media.fakes import Served, serving
from plughost_media.plugin import PARTS

RATE = 2


def configured(folder: Path, served: Served, fakes: DemoFakes, redis_url: str) -> dict[str, Any]:
    config: dict[str, Any] = settings(served, fakes, folder / "data")
    config["host"]["allow"] = list(PARTS)
    config["plugins"]["cache"] = {"config": {"redis_url": redis_url, "op_timeout": 5.0}}
    config["plugins"]["tmdb"]["config"]["shared_rate"] = RATE
    return config


def test_they_share_one_rate_to_tmdb_and_what_one_has_asked_the_other_knows(tmp_path: Path) -> None:
    fakes = DemoFakes()
    with ExitStack() as stack:
        url = stack.enter_context(redis_server())
        served = stack.enter_context(serving(*fakes.all))
        fakes.furnish(served)
        started = [
            stack.enter_context(instance(folder, configured(folder, served, fakes, url), fakes))
            for folder in (tmp_path / "one", tmp_path / "two")
        ]
        one, two = (browser.sign_in() for browser in started)
        assert one.get("/api/tmdb/movie/101").status_code == 200
        assert two.get("/api/tmdb/movie/101").status_code == 200
        assert fakes.tmdb.count("/3/movie/101") == 1
        fakes.tmdb.forget()
        with ThreadPoolExecutor(10) as people:
            first = people.map(lambda number: one.get(f"/api/tmdb/movie/{number}"), range(102, 107))
            second = people.map(lambda number: two.get(f"/api/tmdb/movie/{number}"), range(107, 112))
            statuses = [[answer.status_code for answer in answers] for answers in (first, second)]
        asked = sorted(call.at for call in fakes.tmdb.calls if call.path.startswith("/3/"))
        seconds = asked[-1] - asked[0]
        # so many fit into windows of a second each; two that do not know of each other would ask twice as often
        assert len(asked) <= RATE * (seconds + 2), (asked, statuses)
        assert all(200 in of_one for of_one in statuses), statuses
