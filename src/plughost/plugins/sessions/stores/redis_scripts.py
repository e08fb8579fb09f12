"""What each call of the Redis store does, as one script: one step, one round trip, the server's own clock.

All keys of a deployment carry one hash tag, so that a script may touch a session, its subject and the figures
together, on a cluster too:

    {P}:s:DIGEST    a session: h handle, u subject, e epoch, v version, c t i d x the clocks, a about, f:NAME
                    fields, o their names in order; or, when it was replaced: to DIGEST, g end of the grace
    {P}:e:SUBJECT   the subject's epoch
    {P}:i:SUBJECT   its sessions by their end; each member is DIGEST:HANDLE
    {P}:live        all sessions by their end; each member is DIGEST:HANDLE:SUBJECT, or DIGEST:HANDLE without one
    {P}:users       subjects by the end of their last session
    {P}:probe       what a check of health wrote
    {P}:dead        names of the sets that ended subjects left to be removed

An epoch is the time it began, so one that was evicted or expired cannot come back: sessions of a subject
without an epoch are dead. Nothing scans and nothing depends on being told of expiries.
"""

from __future__ import annotations

from typing import Final

_PRELUDE: Final = """
local base, now = KEYS[1], tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = tonumber(t[1]) + tonumber(t[2]) / 1000000
end
local function moment()  -- microseconds of the server, also where a test moves the clock
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local function text(number) return string.format('%.17g', number) end
local function at(key, moment) redis.call('PEXPIREAT', key, string.format('%.0f', math.ceil(moment * 1000))) end
local function skey(digest) return base .. ':s:' .. digest end
local function ekey(subject) return base .. ':e:' .. subject end
local function ikey(subject) return base .. ':i:' .. subject end
local function member(digest, row) return digest .. ':' .. row.h end
local function full(digest, row) return member(digest, row) .. (row.u and (':' .. row.u) or '') end

local function hash(digest)
  local flat = redis.call('HGETALL', skey(digest))
  if #flat == 0 then return nil end
  local row = {}
  for n = 1, #flat, 2 do row[flat[n]] = flat[n + 1] end
  return row
end
local function alive(row)
  if not row or row.to or tonumber(row.x) <= now then return false end
  return not row.u or redis.call('GET', ekey(row.u)) == row.e
end
local function resolve(digest)
  local row, graceful, steps = hash(digest), true, 0
  while row and row.to do
    graceful = graceful and now < tonumber(row.g)
    digest, steps = row.to, steps + 1
    row = hash(digest)
  end
  if not alive(row) then return nil end
  return row, digest, steps > 0, graceful
end
local function shown(row, digest, via)
  local flat = {digest, via and '1' or ''}
  for name, value in pairs(row) do
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  return flat
end
local function note(digest, row)
  local x = tonumber(row.x)
  at(skey(digest), x)
  redis.call('ZADD', base .. ':live', row.x, full(digest, row))
  if row.u then
    redis.call('ZADD', ikey(row.u), row.x, member(digest, row))
    local last = redis.call('ZREVRANGE', ikey(row.u), 0, 0, 'WITHSCORES')[2]
    at(ikey(row.u), tonumber(last))
    at(ekey(row.u), tonumber(last))
    redis.call('ZADD', base .. ':users', last, row.u)
  end
end
local function remove(digest, row)
  redis.call('DEL', skey(digest))
  redis.call('ZREM', base .. ':live', full(digest, row))
  if row.u then
    redis.call('ZREM', ikey(row.u), member(digest, row))
    if redis.call('ZCARD', ikey(row.u)) == 0 then redis.call('ZREM', base .. ':users', row.u) end
  end
end
local function epoch(subject)
  local found = redis.call('GET', ekey(subject))
  if not found then
    found = string.format('%.0f', moment())
    redis.call('SET', ekey(subject), found)
  end
  redis.call('ZREMRANGEBYSCORE', ikey(subject), '-inf', text(now))
  return found
end
local function store(digest, row, fields, first)
  if row.u then row.e = epoch(row.u) else row.e = '0' end
  local flat = {}
  for n = first, #fields do flat[#flat + 1] = fields[n] end
  local names = {}
  for n = 1, #flat, 2 do
    row['f:' .. flat[n]] = flat[n + 1]
    names[#names + 1] = flat[n]
  end
  row.o = cmsgpack.pack(names)
  local given = {}
  for name, value in pairs(row) do
    given[#given + 1] = name
    given[#given + 1] = value
  end
  redis.call('HSET', skey(digest), unpack(given))
  note(digest, row)
end
local function born(first, created, deadline)
  -- handle, has subject, subject, idle, absolute, about
  local idle = tonumber(ARGV[first + 3])
  if ARGV[first + 4] ~= '' then
    created, deadline = now, now + tonumber(ARGV[first + 4])
  end
  local row = {h = ARGV[first], v = '1', c = text(created), t = text(now), i = ARGV[first + 3], d = text(deadline),
    x = text(math.min(now + idle, deadline)), a = ARGV[first + 5]}
  if ARGV[first + 1] == '1' then row.u = ARGV[first + 2] end
  return row
end
"""

CREATE: Final = (
    _PRELUDE
    + """
local digest = ARGV[2]
if redis.call('EXISTS', skey(digest)) == 1 then return false end
local row = born(3, now, now + tonumber(ARGV[6]))
store(digest, row, ARGV, 9)
return shown(row, digest, false)
"""
)

READ: Final = (
    _PRELUDE
    + """
local row, digest, via, graceful = resolve(ARGV[2])
if not row then return false end
if not graceful then return {digest} end
return shown(row, digest, via)
"""
)

PATCH: Final = (
    _PRELUDE
    + """
-- digest, version, max_bytes, idle, has about, about, number of values to set, values, names to remove
local row, digest, via, graceful = resolve(ARGV[2])
if not row or not graceful then return false end
if ARGV[3] ~= '' and ARGV[3] ~= row.v then return redis.status_reply('conflict') end
local key, last = skey(digest), 8 + 2 * tonumber(ARGV[8])
local names = row.o and cmsgpack.unpack(row.o) or {}
for name in pairs(row) do
  if not row.o and string.sub(name, 1, 2) == 'f:' then names[#names + 1] = string.sub(name, 3) end
end
for n = last + 1, #ARGV do row['f:' .. ARGV[n]] = nil end
for n = 9, last, 2 do
  if not row['f:' .. ARGV[n]] then names[#names + 1] = ARGV[n] end
  row['f:' .. ARGV[n]] = ARGV[n + 1]
end
local ordered, seen = {}, {}
for n = #names, 1, -1 do  -- one that was removed and set again is at its later place
  if row['f:' .. names[n]] and not seen[names[n]] then
    table.insert(ordered, 1, names[n])
    seen[names[n]] = true
  end
end
row.o = cmsgpack.pack(ordered)
if ARGV[6] == '1' then row.a = ARGV[7] end
local size = #row.a
for name, value in pairs(row) do
  if string.sub(name, 1, 2) == 'f:' then size = size + #name - 2 + #value end
end
if size > tonumber(ARGV[4]) then return size end
for n = last + 1, #ARGV do redis.call('HDEL', key, 'f:' .. ARGV[n]) end
for n = 9, last, 2 do redis.call('HSET', key, 'f:' .. ARGV[n], ARGV[n + 1]) end
if #ARGV > 8 then row.v = string.format('%.0f', tonumber(row.v) + 1) end
redis.call('HSET', key, 'v', row.v, 'a', row.a, 'o', row.o)
if ARGV[5] ~= '' then
  local before = tonumber(row.x)
  local x = math.min(math.max(before, now + tonumber(ARGV[5])), tonumber(row.d))
  if x ~= before then
    row.x = text(x)
    redis.call('HSET', key, 'x', row.x)
    note(digest, row)
  end
end
return shown(row, digest, via)
"""
)

TOUCH: Final = (
    _PRELUDE
    + """
local row = hash(ARGV[2])
if not alive(row) then return false end
row.x = text(math.min(math.max(tonumber(row.x), now + tonumber(row.i)), tonumber(row.d)))
row.t = text(math.max(tonumber(row.t), now))
redis.call('HSET', skey(ARGV[2]), 'x', row.x, 't', row.t)
note(ARGV[2], row)
return 1
"""
)

REPLACE: Final = (
    _PRELUDE
    + """
-- old digest, version, grace, new digest, then as in create
local old = hash(ARGV[2])
if not alive(old) then return false end
if old.v ~= ARGV[3] then return redis.status_reply('conflict') end
if redis.call('EXISTS', skey(ARGV[5])) == 1 then return false end
local row = born(6, tonumber(old.c), tonumber(old.d))
remove(ARGV[2], old)
if tonumber(ARGV[4]) > 0 then
  redis.call('HSET', skey(ARGV[2]), 'to', ARGV[5], 'g', text(now + tonumber(ARGV[4])))
  at(skey(ARGV[2]), tonumber(old.d))
end
store(ARGV[5], row, ARGV, 12)
return shown(row, ARGV[5], false)
"""
)

DELETE: Final = (
    _PRELUDE
    + """
local row, digest = resolve(ARGV[2])
if not row then return false end
remove(digest, row)
return shown(row, digest, false)
"""
)

END_SUBJECT: Final = (
    _PRELUDE
    + """
local subject = ARGV[2]
local before = redis.call('GET', ekey(subject))
if not before then return 0 end
redis.call('ZREMRANGEBYSCORE', ikey(subject), '-inf', text(now))
local kept, digest, _, graceful
if ARGV[3] ~= '' then
  kept, digest, _, graceful = resolve(ARGV[3])
  if kept and (kept.u ~= subject or not graceful) then kept = nil end
end
local fresh = string.format('%.0f', math.max(moment(), tonumber(before) + 1))
redis.call('SET', ekey(subject), fresh, 'KEEPTTL')
local ended = redis.call('ZCARD', ikey(subject))
if ended > 0 then
  local dead = base .. ':dead:' .. fresh .. ':' .. subject
  redis.call('RENAME', ikey(subject), dead)
  redis.call('RPUSH', base .. ':dead', dead)
  if kept then redis.call('ZREM', dead, member(digest, kept)) end
end
redis.call('ZREM', base .. ':users', subject)
if not kept then return ended end
kept.e = fresh
redis.call('HSET', skey(digest), 'e', fresh)
note(digest, kept)
return ended - 1
"""
)

LIST: Final = (
    _PRELUDE
    + """
local found = {}
for _, one in ipairs(redis.call('ZRANGE', ikey(ARGV[2]), 0, -1)) do
  local digest = string.sub(one, 1, 64)
  local row = hash(digest)
  if alive(row) and member(digest, row) == one then found[#found + 1] = {tonumber(row.c), digest, row} end
end
table.sort(found, function(one, other)
  if one[1] ~= other[1] then return one[1] > other[1] end
  return one[2] < other[2]
end)
local limit, newest = tonumber(ARGV[3]), {}
for n, one in ipairs(found) do
  if limit > 0 and n > limit then break end
  newest[n] = shown(one[3], one[2], false)
end
return newest
"""
)

PURGE: Final = (
    _PRELUDE
    + """
local limit, gone = tonumber(ARGV[2]), {}
while #gone < limit do
  local dead = redis.call('LINDEX', base .. ':dead', 0)
  if not dead then break end
  local members = redis.call('ZRANGE', dead, 0, limit - #gone - 1)
  if #members == 0 then
    redis.call('DEL', dead)
    redis.call('LPOP', base .. ':dead')
  end
  local _, colon = string.find(dead, base .. ':dead:', 1, true)
  local subject = string.match(string.sub(dead, colon + 1), '^%d+:(.*)$')
  for _, one in ipairs(members) do
    redis.call('DEL', skey(string.sub(one, 1, 64)))
    redis.call('ZREM', dead, one)
    if redis.call('ZREM', base .. ':live', one .. ':' .. subject) == 1 then
      gone[#gone + 1] = {string.sub(one, 66), '1', subject, ''}
    end
  end
end
for _, one in ipairs(redis.call('ZRANGEBYSCORE', base .. ':live', '-inf', text(now), 'LIMIT', 0, limit - #gone)) do
  local digest, handle, rest = string.match(one, '^(%x+):([^:]*)(.*)$')
  redis.call('ZREM', base .. ':live', one)
  local row = hash(digest)
  if row and not row.to then redis.call('DEL', skey(digest)) end
  if rest ~= '' then redis.call('ZREM', ikey(string.sub(rest, 2)), digest .. ':' .. handle) end
  gone[#gone + 1] = {handle, rest ~= '' and '1' or '', string.sub(rest, 2), '1'}
end
redis.call('ZREMRANGEBYSCORE', base .. ':users', '-inf', text(now))
return gone
"""
)

STATS: Final = (
    _PRELUDE
    + """
local live, after = base .. ':live', '(' .. text(now)
local active = redis.call('ZCOUNT', live, after, '+inf')
for _, dead in ipairs(redis.call('LRANGE', base .. ':dead', 0, -1)) do
  active = active - redis.call('ZCOUNT', dead, after, '+inf')
end
return {active, redis.call('ZCARD', live) - active, redis.call('ZCOUNT', base .. ':users', after, '+inf')}
"""
)

PAGE: Final = (
    _PRELUDE
    + """
local step = redis.call('ZSCAN', base .. ':live', ARGV[2], 'COUNT', ARGV[3])
local found = {step[1]}
for n = 1, #step[2], 2 do
  local digest = string.sub(step[2][n], 1, 64)
  local row = hash(digest)
  if alive(row) then found[#found + 1] = shown(row, digest, false) end
end
return found
"""
)

ADOPT: Final = (
    _PRELUDE
    + """
-- digest, handle, has subject, subject, version, created, touched, idle, deadline, expires, about, fields
local digest = ARGV[2]
if redis.call('EXISTS', skey(digest)) == 1 or tonumber(ARGV[11]) <= now then return 0 end
local row = {h = ARGV[3], v = ARGV[6], c = ARGV[7], t = ARGV[8], i = ARGV[9], d = ARGV[10], x = ARGV[11],
  a = ARGV[12]}
if ARGV[4] == '1' then row.u = ARGV[5] end
store(digest, row, ARGV, 13)
return 1
"""
)

PROBE: Final = (
    _PRELUDE
    + """
redis.call('SET', base .. ':probe', text(now), 'PX', 60000)
return 1
"""
)


def repeated_calls(script: str) -> str:
    """Return a script that makes several calls of one of these, each with its own end.

    Its arguments are the time, and for each call how many arguments follow and these, without the time. It answers
    a list: for each call its answer, or the error.
    """
    return f"""{_PRELUDE}
local function once(ARGV)
{script.removeprefix(_PRELUDE)}
end
local answers, at = {{}}, 2
while at <= #ARGV do
  local last, one = at + tonumber(ARGV[at]), {{ARGV[1]}}
  for n = at + 1, last do one[#one + 1] = ARGV[n] end
  local fine, answer = pcall(once, one)
  if not fine then answer = redis.error_reply(type(answer) == 'table' and answer.err or tostring(answer)) end
  answers[#answers + 1] = answer
  at = last + 1
end
return answers
"""
