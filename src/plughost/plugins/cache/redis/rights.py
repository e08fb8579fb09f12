"""What a user of the server has to be allowed, asked for before anything leans on it.

A server with access lists refuses single commands, and a promise that leans on one must not be dropped in silence.
Without what is needed the server counts as away; without what is wanted the cache does less, never something wrong.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from redis.exceptions import NoPermissionError

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.redis import names
from plughost.plugins.cache.redis.scripts import script

# ARGV: commands, their words separated by newlines. Answers the numbers of those that are refused.
_ASK: Final = script(
    """
local refused = {}
for i = 1, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[i], '[^\\n]+') do words[#words + 1] = word end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if known and not allowed then refused[#refused + 1] = i end
end
return refused
""",
    prelude=False,
    when_full=True,
)

_NEEDED: Final = (
    "TIME", "HMGET KEY a", "HSET KEY a 1", "HGET KEY a", "HINCRBY KEY a 1", "HDEL KEY a", "HLEN KEY", "HGETALL KEY",
    "DEL KEY", "UNLINK KEY", "MGET KEY", "GET KEY", "SET KEY a", "PEXPIRE KEY 1",
    "LINDEX KEY 0", "LPOP KEY", "LLEN KEY", "RPUSH KEY a",
)  # fmt: skip

_WANTED: Final = {
    "INFO server": "without it nobody can tell a restored server from the old one, so all values are dropped"
    " at each new connection",
    "SUBSCRIBE BUS": "without it changes by others are not heard of, so memory does not answer",
    "PUBLISH BUS x": "without it others are not told of changes, so memory answers less",
    "CLIENT TRACKING ON": "without it changes by others are not heard of, so memory does not answer"
    " (or set coherence = 'pubsub' everywhere)",
    "SCAN 0": "without it patterns cannot be looked for, so invalidating by pattern clears the whole cache",
}


class Rights(msgspec.Struct, frozen=True):
    """What the user may do of what is wanted.

    Attributes:
        missing: The rights it lacks, and what that means, in words.
        subscribe: Whether it may listen on the bus.
        publish: Whether it may tell on the bus.
        tracking: Whether it may ask the server to tell of changes.
        scan: Whether it may list keys.
    """

    missing: tuple[str, ...] = ()
    subscribe: bool = True
    publish: bool = True
    tracking: bool = True
    scan: bool = True


async def rights_of(lane: Any, namespace: str, *, tracked: bool) -> Rights:
    """Ask a server what the user of a connection may do.

    Args:
        lane: The connection.
        namespace: First part of every key.
        tracked: Whether the server is to be asked to tell of changes.

    Raises:
        StoreUnavailableError: It may not do what is needed; the message names the commands.
    """
    key, bus = f"{namespace}:e:{{x:0}}:x", names.bus(namespace).decode()
    wanted = [command for command in _WANTED if tracked or not command.startswith("CLIENT")]
    asked = [command.replace("KEY", key).replace("BUS", bus) for command in (*_NEEDED, *wanted)]
    try:
        numbers = await lane.ask(b"0", *("\n".join(a.split()).encode() for a in asked), script=_ASK)
    except NoPermissionError as error:
        raise StoreUnavailableError(
            f"the Redis user may not run scripts ({error}): allow +eval and +evalsha"
        ) from None
    refused = [(*_NEEDED, *wanted)[number - 1] for number in numbers]
    needed = [command for command in refused if command in _NEEDED]
    if needed:
        commands = ", ".join(command.partition(" ")[0] for command in needed)
        raise StoreUnavailableError(f"the Redis user may not use {commands} on keys ~{namespace}:*: allow it")
    return Rights(
        missing=tuple(f"{_said(command, bus)}: {_WANTED[command]}" for command in refused),
        subscribe="SUBSCRIBE BUS" not in refused,
        publish="PUBLISH BUS x" not in refused,
        tracking="CLIENT TRACKING ON" not in refused,
        scan="SCAN 0" not in refused,
    )


def _said(command: str, bus: str) -> str:
    words = command.split()
    if words[1] == "BUS":
        return f"{words[0]} on the channel &{bus}"
    return "CLIENT TRACKING" if words[0] == "CLIENT" else words[0]
