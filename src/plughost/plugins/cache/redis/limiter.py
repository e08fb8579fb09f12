"""The rate limiter's algorithm on the server: all limits of a check in one step, on the server's clock."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ResponseError

from plughost.contracts import Limit, LimitResult
from plughost.exceptions import StoreUnavailableError
from plughost.http.rates import EXACT, PARTS, Asked
from plughost.plugins.cache.redis.batch import unavailable
from plughost.plugins.cache.redis.lane import Command
from plughost.plugins.cache.redis.line import Line
from plughost.plugins.cache.redis.scripts import script

# KEYS one per limit. ARGV 1 cost, 2 whether to count, then per key: limit, window in microseconds.
# Answers per key: allowed, remaining, reset after, retry after (microseconds).
CHECK = script(
    f"""
local EXACT, PARTS = {EXACT}, {PARTS}
local t = redis.call('TIME')
local now, cost, out, all = t[1] * 1000000 + t[2], tonumber(ARGV[1]), {{}}, true
local function look(key, limit, window, cost)
  if limit <= EXACT then
    while true do
      local first = redis.call('LINDEX', key, 0)
      if not first or tonumber(first) > now - window then break end
      redis.call('LPOP', key)
    end
    local used, retry, reset = redis.call('LLEN', key), 0, 0
    if used + cost > limit then
      retry = tonumber(redis.call('LINDEX', key, used + cost - limit - 1)) + window - now
    end
    if used > 0 then reset = tonumber(redis.call('LINDEX', key, -1)) + window - now end
    return used, retry, reset
  end
  local width = window / PARTS
  local current, parts, used, newest = math.floor(now / width), {{}}, 0, nil
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local part = tonumber(all[i])
    if part < current - PARTS then
      redis.call('HDEL', key, all[i])
    else
      parts[#parts + 1] = {{part, tonumber(all[i + 1])}}
      used = used + tonumber(all[i + 1])
      if not newest or part > newest then newest = part end
    end
  end
  local retry, reset = 0, newest and (newest + PARTS + 1) * width - now or 0
  local excess = used + cost - limit
  if excess > 0 then
    table.sort(parts, function(a, b) return a[1] < b[1] end)
    retry = window
    for _, part in ipairs(parts) do
      excess = excess - part[2]
      if excess <= 0 then
        retry = (part[1] + PARTS + 1) * width - now
        break
      end
    end
  end
  return used, retry, reset
end
local function count(key, limit, window)
  if limit <= EXACT then
    local moment = string.format('%.0f', now)
    for _ = 1, cost do redis.call('RPUSH', key, moment) end
  else
    redis.call('HINCRBY', key, string.format('%.0f', math.floor(now / (window / PARTS))), cost)
  end
  if cost > 0 then redis.call('PEXPIRE', key, math.ceil(window * (PARTS + 1) / PARTS / 1000) + 1) end
end
for i = 1, #KEYS do
  local limit, window = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local used, retry, reset = look(KEYS[i], limit, window, cost)
  local fine = used + cost <= limit
  all = all and fine
  out[i] = {{fine and 1 or 0, math.max(0, limit - used), math.ceil(reset), math.ceil(retry)}}
end
if all and ARGV[2] == '1' then
  for i = 1, #KEYS do
    local limit, window = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
    count(KEYS[i], limit, window)
    local used, _, reset = look(KEYS[i], limit, window, 0)
    out[i] = {{1, math.max(0, limit - used), math.ceil(reset), 0}}
  end
end
return out
""",
    prelude=False,
)


class RedisLimits:
    """Implements ``limiter.LimitStore``. All keys share one hash slot, so that several are counted in one step.

    Args:
        line: The connection.
        namespace: First part of every key.
    """

    def __init__(self, line: Line, namespace: str) -> None:
        self._line = line
        self._prefix = f"{namespace}:r:{{limits}}:".encode()

    def _name(self, key: str, limit: Limit) -> bytes:
        kind = b"l" if limit.limit <= EXACT else b"p"
        return b"%b%b:%d:%b" % (self._prefix, kind, limit.window * 1_000_000, key.encode())

    async def _ask(self, command: Command) -> Any:
        if not self._line.available:
            raise StoreUnavailableError("Redis is away")
        self._line.put(command)
        try:
            return await command.reply
        except ResponseError as error:
            raise unavailable(error) from error

    async def check(self, asked: Asked, cost: int, peek: bool) -> list[LimitResult]:
        """Count against all or none."""
        keys = [self._name(key, limit) for key, limit in asked]
        values: list[bytes] = [b"%d" % cost, b"0" if peek else b"1"]
        for _, limit in asked:
            values += (b"%d" % limit.limit, b"%d" % (limit.window * 1_000_000))
        reply = await self._ask(Command(CHECK, (b"%d" % len(keys), *keys, *values)))
        return [
            LimitResult(
                allowed=bool(fine),
                limit=limit.limit,
                remaining=left,
                reset_after=reset / 1_000_000,
                retry_after=retry / 1_000_000,
                name=limit.name,
            )
            for (_, limit), (fine, left, reset, retry) in zip(asked, reply, strict=True)
        ]

    async def reset(self, key: str, limit: Limit) -> None:
        """Forget what was counted."""
        await self._ask(Command(None, (b"UNLINK", self._name(key, limit))))
