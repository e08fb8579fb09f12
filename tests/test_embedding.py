"""A host fits into programs of any shape."""

from __future__ import annotations

import anyio

from plughost import Host


def test_a_host_can_be_made_before_there_is_an_event_loop(tmp_path) -> None:
    host = Host(config={"host": {"data_dir": str(tmp_path)}}, environ={"PLUGHOST_LOAD_PLUGINS": ""})

    async def enter() -> bool:
        async with host:
            return host.ready

    assert anyio.run(enter)
