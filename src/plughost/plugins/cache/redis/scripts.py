"""What runs on the server: the logical clock, and everything that has to be one step with it.

Every script touches keys of one hash slot only (see ``names``). Time is the server's. None scans. Scripts that
invalidate are allowed when memory is full, for they free it; those that store are not.

An entry is ``magic, version, flags, epoch, seq, created, fresh until, dead at, tags, payload``. It is valid when
its epoch is the clock's and nothing that concerns it was invalidated after its ``seq``. Where a table forgets (a
clock that was evicted, tags beyond the table's size), it forgets towards a miss.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

HEADER: Final = 46
"""Bytes before the tags."""

_PRELUDE: Final = """
local MAGIC = '\\181P\\1'
local function clock()
  local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'clear', 'nofill', 'tagfloor', 'gone:' .. ARGV[2])
  if m[6] then error('a command of a connection that was given up') end
  if not m[1] then
    redis.call('DEL', KEYS[2], KEYS[3])
    redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '1', 'clear', '0', 'nofill', '0', 'tagfloor', '0')
    return ARGV[1], 1, 0, 0, 0
  end
  return m[1], tonumber(m[2]), tonumber(m[3]), tonumber(m[4]), tonumber(m[5])
end
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function ours(v)
  return v and #v >= 46 and string.sub(v, 1, 3) == MAGIC
end
-- position after the tags, or nothing when the entry is not valid
local function valid(v, epoch, clear, floor)
  if not ours(v) or string.sub(v, 5, 12) ~= epoch then return nil end
  local seq = struct.unpack('>d', v, 13)
  if seq < clear then return nil end
  local at = 47
  for _ = 1, struct.unpack('>H', v, 45) do
    if at + 1 > #v then return nil end
    local len = struct.unpack('>H', v, at)
    local version = redis.call('HGET', KEYS[2], string.sub(v, at + 2, at + 1 + len))
    if seq < (version and tonumber(version) or floor) then return nil end
    at = at + 2 + len
  end
  return at
end
local function blob(v, epoch, clear, floor)
  if not v then return struct.pack('>I4', 4294967295) end
  if not ours(v) then return struct.pack('>I4', 4294967294) end
  if not valid(v, epoch, clear, floor) then return struct.pack('>I4', 4294967295) end
  return struct.pack('>I4', #v) .. v
end
-- who may not publish touches an entry without a name: a server that tracks tells everybody of that
local function tell(kind, items)
  local said = redis.pcall('PUBLISH', ARGV[3], cmsgpack.pack({ARGV[2], kind, ARGV[4], items}))
  if type(said) == 'table' and said.err and kind ~= 'r' then
    local signal = string.gsub(KEYS[1], ':m:{', ':e:{', 1) .. ':'
    redis.call('SET', signal, '')
    redis.call('DEL', signal)
  end
end
"""

# Every script with the prelude: KEYS 1 clock, 2 tags, 3 buckets. ARGV 1 epoch for a new clock, 2 sender, 3 channel,
# 4 cache, 5 whether keys are told.

# ARGV 6... connections that were given up: what they still had under way must not be carried out after what comes
# now. A server that does not say who it is may have been restored from an older dump, and is taken for another one.
_ROLL: Final = """
for i = 6, #ARGV do redis.call('HSET', KEYS[1], 'gone:' .. ARGV[i], now_ms()) end
if redis.call('HLEN', KEYS[1]) > 64 then
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 5) == 'gone:' and tonumber(all[i + 1]) < now_ms() - 3600000 then
      redis.call('HDEL', KEYS[1], all[i])
    end
  end
end
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
local seen = redis.call('HGET', KEYS[1], 'run')
if not run or (seen and seen ~= run) then redis.call('HDEL', KEYS[1], 'epoch') end
clock()
redis.call('HSET', KEYS[1], 'run', run or '')
return redis.call('HGET', KEYS[1], 'epoch')
"""

_READ: Final = """
local epoch, seq, clear, _, floor = clock()
local found = redis.call('MGET', unpack(KEYS, 4))
local out = {epoch, struct.pack('>dd', seq, now_ms())}
for i = 1, #found do out[i + 2] = blob(found[i], epoch, clear, floor) end
return table.concat(out)
"""

_WRITE: Final = """
local epoch, seq, clear, nofill, floor = clock()
local now = now_ms()
local out, touched, at = {}, {}, 6
for i = 4, #KEYS, 2 do
  local kind, since_epoch, since, bucket = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local fresh, dead, flags = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), ARGV[at + 6]
  local payload, token, key, count = ARGV[at + 7], ARGV[at + 8], ARGV[at + 9], tonumber(ARGV[at + 10])
  local fine, tags = true, {}
  at = at + 11
  if kind == 'f' then
    fine = since_epoch == epoch and since >= nofill
      and since >= tonumber(redis.call('HGET', KEYS[3], bucket) or 0)
  else
    since = redis.call('HINCRBY', KEYS[1], 'seq', 1)
    redis.call('HSET', KEYS[3], bucket, since)
  end
  for t = 1, count do
    local tag = ARGV[at]
    at = at + 1
    if kind == 'f' then
      local version = redis.call('HGET', KEYS[2], tag)
      if since < (version and tonumber(version) or floor) then fine = false end
    end
    tags[t] = struct.pack('>H', #tag) .. tag
  end
  if fine then
    local head = struct.pack('>ddddH', since, now, now + fresh, now + dead, count)
    redis.call('SET', KEYS[i], MAGIC .. flags .. epoch .. head .. table.concat(tags) .. payload, 'PX', dead)
    touched[#touched + 1] = key
  end
  local freed = token ~= '' and redis.call('GET', KEYS[i + 1]) == token
  if freed then redis.call('DEL', KEYS[i + 1]) end
  if freed and not fine then tell('r', {key}) end
  out[#out + 1] = fine and '1' or '0'
end
if ARGV[5] == '1' and #touched > 0 then tell('k', touched) end
return table.concat(out)
"""

_DELETE: Final = """
local epoch, _, clear, _, floor = clock()
local now, seq, count, touched = now_ms(), redis.call('HINCRBY', KEYS[1], 'seq', 1), 0, {}
for i = 4, #KEYS do
  local at = 6 + (i - 4) * 2
  local v = redis.pcall('GET', KEYS[i])
  if type(v) == 'string' and valid(v, epoch, clear, floor) and struct.unpack('>d', v, 29) > now then
    count = count + 1
  end
  redis.call('HSET', KEYS[3], ARGV[at], seq)
  redis.call('UNLINK', KEYS[i])
  touched[#touched + 1] = ARGV[at + 1]
end
if ARGV[5] == '1' then tell('k', touched) end
return count
"""

_TAGS: Final = """
clock()
local seq, items = redis.call('HINCRBY', KEYS[1], 'seq', 1), {}
for i = 7, #ARGV do
  redis.call('HSET', KEYS[2], ARGV[i], seq)
  items[#items + 1] = ARGV[i]
end
if redis.call('HLEN', KEYS[2]) > tonumber(ARGV[6]) then
  local all, seqs = redis.call('HGETALL', KEYS[2]), {}
  for i = 2, #all, 2 do seqs[#seqs + 1] = tonumber(all[i]) end
  table.sort(seqs)
  local cut = seqs[math.floor(#seqs / 2)]
  for i = 2, #all, 2 do
    if tonumber(all[i]) <= cut then redis.call('HDEL', KEYS[2], all[i - 1]) end
  end
  redis.call('HSET', KEYS[1], 'tagfloor', math.max(cut, tonumber(redis.call('HGET', KEYS[1], 'tagfloor'))))
end
tell('t', items)
return seq
"""

_CLEAR: Final = """
clock()
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[1], 'clear', seq, 'nofill', seq)
redis.call('UNLINK', KEYS[2], KEYS[3])
tell('c', {})
return seq
"""

_BAR: Final = """
clock()
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[1], 'nofill', seq)
return seq
"""

# ARGV 6: 'p' removes what is not newer than ARGV 7, 'c' what is not valid.
_SWEEP: Final = """
local epoch, _, clear, _, floor = clock()
local now, count = now_ms(), 0
for i = 4, #KEYS do
  local v = redis.pcall('GET', KEYS[i])
  local mine = type(v) == 'string' and ours(v)
  local good = mine and valid(v, epoch, clear, floor)
  local remove = not good
  if ARGV[6] == 'p' then remove = not mine or struct.unpack('>d', v, 13) <= tonumber(ARGV[7]) end
  if remove and type(v) ~= 'boolean' then
    redis.call('UNLINK', KEYS[i])
    if ARGV[6] == 'c' or (good and struct.unpack('>d', v, 29) > now) then count = count + 1 end
  end
end
return count
"""

_TELL_PATTERN: Final = """
tell('p', {ARGV[6], ARGV[7]})
return 1
"""

# KEYS 4 entry. ARGV 6 by, 7 fresh, 8 dead, 9 flags of this cache, 10 bucket, 11 key.
_INCREMENT: Final = """
local epoch, _, clear, _, floor = clock()
local now, v = now_ms(), redis.pcall('GET', KEYS[4])
local at = type(v) == 'string' and valid(v, epoch, clear, floor)
local total, head, tags = tonumber(ARGV[6]), nil, ''
local fresh, dead, flags, count = now + ARGV[7], now + ARGV[8], ARGV[9], 0
if at and struct.unpack('>d', v, 29) > now then
  flags = string.sub(v, 4, 4)
  local form = string.byte(flags)
  local text, old = string.sub(v, at), nil
  if form == 0 and #text > 0 then
    local lead = string.byte(text)
    local int = lead < 128 or lead >= 224 or (lead >= 204 and lead <= 207) or (lead >= 208 and lead <= 211)
    if int then old = cmsgpack.unpack(text) end
  elseif form == 1 and string.match(text, '^%-?%d+$') then
    old = tonumber(text)
  end
  if not old then return redis.error_reply('NOTINT') end
  if math.abs(old) >= 9007199254740992 then return redis.error_reply('TOOBIG') end
  total = old + total
  _, fresh, dead, count = struct.unpack('>dddH', v, 21)
  tags = string.sub(v, 47, at - 1)
end
if math.abs(total) >= 9007199254740992 then return redis.error_reply('TOOBIG') end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[3], ARGV[10], seq)
local payload = string.byte(flags) == 1 and string.format('%.0f', total) or cmsgpack.pack(total)
head = struct.pack('>ddddH', seq, now, fresh, dead, count)
local left = math.max(1, math.floor(dead - now))
redis.call('SET', KEYS[4], MAGIC .. flags .. epoch .. head .. tags .. payload, 'PX', left)
if ARGV[5] == '1' then tell('k', {ARGV[11]}) end
return string.format('%.0f', total)
"""

# KEYS 4 entry. ARGV 6 seq the value was read with, as text, or '' for none; 7 fresh, 8 dead, 9 flags, 10 bucket,
# 11 key, 12 payload, 13 whether a new life begins, 14... its tags.
_SWAP: Final = """
local epoch, _, clear, _, floor = clock()
local now, v = now_ms(), redis.pcall('GET', KEYS[4])
local at = type(v) == 'string' and valid(v, epoch, clear, floor)
if at and struct.unpack('>d', v, 29) <= now then at = nil end
local seen = at and string.format('%.0f', struct.unpack('>d', v, 13)) or ''
if seen ~= ARGV[6] then return 0 end
local fresh, dead, count, tags = now + ARGV[7], now + ARGV[8], 0, ''
if ARGV[13] == '1' then
  count = #ARGV - 13
  for i = 14, #ARGV do tags = tags .. struct.pack('>H', #ARGV[i]) .. ARGV[i] end
elseif at then
  _, fresh, dead, count = struct.unpack('>dddH', v, 21)
  tags = string.sub(v, 47, at - 1)
end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[3], ARGV[10], seq)
local head = struct.pack('>ddddH', seq, now, fresh, dead, count)
local left = math.max(1, math.floor(dead - now))
redis.call('SET', KEYS[4], MAGIC .. ARGV[9] .. epoch .. head .. tags .. ARGV[12], 'PX', left)
if ARGV[5] == '1' then tell('k', {ARGV[11]}) end
return 1
"""

# KEYS 4 entry. ARGV 6 fresh, 7 dead, 8 bucket, 9 key.
_TOUCH: Final = """
local epoch, _, clear, _, floor = clock()
local now, v = now_ms(), redis.pcall('GET', KEYS[4])
if type(v) ~= 'string' or not valid(v, epoch, clear, floor) or struct.unpack('>d', v, 29) <= now then return 0 end
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[3], ARGV[8], seq)
local head = struct.pack('>dddd', seq, now, now + ARGV[6], now + ARGV[7])
redis.call('SET', KEYS[4], string.sub(v, 1, 12) .. head .. string.sub(v, 45), 'PX', ARGV[7])
if ARGV[5] == '1' then tell('k', {ARGV[9]}) end
return 1
"""

# KEYS 4 entry, 5 lease. ARGV 6 token, 7 milliseconds, 8 whether a fresh value is no reason not to load, 9 bucket,
# 10... tags. A lease names the moment it was given: one that an invalidation has overtaken holds up nobody.
_LEASE: Final = """
local epoch, seq, clear, nofill, floor = clock()
local now, v = now_ms(), redis.pcall('GET', KEYS[4])
local found, answer = struct.pack('>I4', 4294967295), 't'
if type(v) == 'string' and valid(v, epoch, clear, floor) and struct.unpack('>d', v, 29) > now then
  answer, found = 'v', struct.pack('>I4', #v) .. v
end
if answer == 't' or ARGV[8] == '1' then
  local held = redis.call('GET', KEYS[5])
  local since = held and tonumber(string.match(held, '|(%d+)$'))
  if since then
    local newest = math.max(nofill, tonumber(redis.call('HGET', KEYS[3], ARGV[9]) or 0))
    for t = 10, #ARGV do
      local version = redis.call('HGET', KEYS[2], ARGV[t])
      newest = math.max(newest, version and tonumber(version) or floor)
    end
    if since < newest or since > seq then held = false end
  end
  if not held then
    redis.call('SET', KEYS[5], ARGV[6] .. '|' .. string.format('%.0f', seq), 'PX', ARGV[7])
    answer = 'g'
  end
end
return answer .. epoch .. struct.pack('>dd', seq, now) .. found
"""

# KEYS 1 lease. ARGV 2 sender, 3 channel, 4 cache, 6 token, 7 milliseconds to go on holding it, 8 key.
_GIVE_BACK: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[6] then return 0 end
if tonumber(ARGV[7]) > 0 then return redis.call('PEXPIRE', KEYS[1], ARGV[7]) end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[3], cmsgpack.pack({ARGV[2], 'r', ARGV[4], {ARGV[8]}}))
return 1
"""

_EXTEND: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""


class Script(msgspec.Struct, frozen=True):
    """A script and the name the server knows it by."""

    text: bytes
    sha: bytes


def script(body: str, *, prelude: bool = True, when_full: bool = False) -> Script:
    """Return a script; ``when_full`` lets it run although the server has no memory left."""
    first = "#!lua flags=allow-oom" if when_full else "#!lua"
    text = (first + (_PRELUDE if prelude else "\n") + body).encode("latin-1")
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


ROLL = script(_ROLL, when_full=True)
READ = script(_READ, when_full=True)
WRITE = script(_WRITE)
DELETE = script(_DELETE, when_full=True)
TAGS = script(_TAGS, when_full=True)
CLEAR = script(_CLEAR, when_full=True)
BAR = script(_BAR, when_full=True)
SWEEP = script(_SWEEP, when_full=True)
TELL_PATTERN = script(_TELL_PATTERN, when_full=True)
INCREMENT = script(_INCREMENT)
SWAP = script(_SWAP)
TOUCH = script(_TOUCH)
LEASE = script(_LEASE, when_full=True)
GIVE_BACK = script(_GIVE_BACK, prelude=False, when_full=True)
EXTEND = script(_EXTEND, prelude=False, when_full=True)
