"""What each call of the Redis store does, as one script: one step, one round trip, the server's own clock.

They say in Lua what ``rules`` says in Python. All keys of a fleet carry one hash tag, and none has a time to live, so
that no ``volatile-*`` policy takes one:

    {P}:head        format where it is not 1, epoch, roster, cards (which changes with every card), token, step, active
                    and newest revision, roll, lead and lead_until, event, swept (when members that are lost were
                    looked for last)
    {P}:rev         number -> revision
    {P}:refused     member -> why it could not follow
    {P}:bus         the channel on which everybody is woken: ``step`` or ``event``
    {P}:teller      member -> how many events its process told, and which process that is
    {P}:drain       member -> the order by which it is drained
    {P}:ev          events, a stream: the numbers are the ids
    {P}:live        living members by the moment at which they are lost
    {P}:beat        member -> incarnation joined seen ttl gone lost ready draining applied, and of its calls how many
                    there were and failed, now and before; whether ``refused`` has a line of it
    {P}:card        member -> what it tells of itself
    {P}:jobs        the keys of all jobs
    {P}:job:KEY     a job, field by field as in ``StoredJob``
    {P}:carry:KEY   member -> definition, of those who have the job
    {P}:gone        members that left or were lost, by when they were heard of last
    {P}:due         jobs by the moment from which they are overdue
"""

from __future__ import annotations

from typing import Final

_BASE: Final = """
local base, now = KEYS[1], tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end
local function key(name) return base .. ':' .. name end
-- A newer plughost keeps things there that this one would harm.
if tonumber(redis.call('HGET', key('head'), 'format') or '1') > 1 then return redis.error_reply('TOONEW') end
local function whole(number) return string.format('%.0f', number) end
local function epoch()
  redis.call('HSETNX', key('head'), 'epoch', ARGV[2])
  return redis.call('HGET', key('head'), 'epoch')
end
-- With the time in it, so that a replica that was behind does not come to the same one with other cards.
local function change_cards()
  local count = string.match(redis.call('HGET', key('head'), 'cards') or '0', '^%d+')
  redis.call('HSET', key('head'), 'cards', whole(tonumber(count) + 1) .. ' ' .. whole(now))
end
local function roster()
  redis.call('HINCRBY', key('head'), 'roster', 1)
  change_cards()
end
local function event() return redis.call('HGET', key('head'), 'event') or '0' end
"""

_MEMBERS: Final = """
local BEAT = {'incarnation', 'joined', 'seen', 'ttl', 'gone', 'lost', 'ready', 'draining', 'applied', 'calls',
  'failures', 'calls_before', 'failures_before', 'refuses'}
local function member(name)
  local line = redis.call('HGET', key('beat'), name)
  if not line then return nil end
  local row, n = {}, 0
  for part in string.gmatch(line, '%S+') do
    n = n + 1
    if BEAT[n] then row[BEAT[n]] = tonumber(part) end
  end
  return row
end
local function put_member(name, row)
  local parts = {}
  for n, field in ipairs(BEAT) do parts[n] = whole(row[field] or 0) end
  redis.call('HSET', key('beat'), name, table.concat(parts, ' '))
end
local function lives(row) return row and row.gone == 0 and row.lost == 0 and now < row.seen + row.ttl end
local function known(name, incarnation)
  local row = member(name)
  if lives(row) and whole(row.incarnation) == incarnation then return row end
  return nil
end
local function drop(name)
  for _, one in ipairs({'beat', 'card', 'refused', 'teller', 'drain'}) do redis.call('HDEL', key(one), name) end
end
local function told_by(name)
  local line = redis.call('HGET', key('teller'), name) or '0 '
  local told, process = string.match(line, '^(%d+) (.*)$')
  return tonumber(told), process
end
"""

_JOBS: Final = """
local NUMBERS = {'slot', 'run_slot', 'following', 'token', 'attempt', 'retries', 'retry_pause', 'retry_at', 'began',
  'ended', 'until', 'asked', 'starts', 'failures', 'missed', 'skipped'}
local function job(name)
  local flat = redis.call('HGETALL', key('job:' .. name))
  if #flat == 0 then return nil end
  local row = {}
  for n = 1, #flat, 2 do row[flat[n]] = flat[n + 1] end
  for _, field in ipairs(NUMBERS) do row[field] = tonumber(row[field] or '0') end
  if row.state == 'running' and now >= row['until'] then
    row.state, row.ended, row.retry_at = 'lost', row['until'], row['until']
    row.failures, row.error = row.failures + 1, row.member .. ' was lost while it ran'
  end
  return row
end
local function again(row)
  return (row.state == 'failed' or row.state == 'lost') and row.attempt <= row.retries
end
local function put_job(name, row)
  local flat = {}
  for field, value in pairs(row) do
    flat[#flat + 1] = field
    flat[#flat + 1] = type(value) == 'number' and whole(value) or value
  end
  redis.call('HSET', key('job:' .. name), unpack(flat))
  redis.call('SADD', key('jobs'), name)
  local due = row.following > 0 and row.following + 2000 or nil
  if row.state == 'running' then
    if row.asked > 0 or row.attempt <= row.retries then due = row['until']
    elseif due then due = math.max(due, row['until']) end
  elseif again(row) then
    due = due and math.min(due, row.retry_at) or row.retry_at
  end
  if row.asked > 0 and row.state ~= 'running' then due = row.asked end
  if due then redis.call('ZADD', key('due'), whole(due), name) else redis.call('ZREM', key('due'), name) end
end
"""

_ALL: Final = _BASE + _MEMBERS + _JOBS

JOIN: Final = (
    _ALL
    + """
local name, ttl, card, process = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local before = member(name)
local told, other = told_by(name)
local same = process ~= '' and process == other
if before and same and (lives(before) or before.gone > 0) then
  if lives(before) then
    before.seen = now
    put_member(name, before)
    redis.call('ZADD', key('live'), whole(now + before.ttl), name)
    redis.call('HSET', key('card'), name, card)
    change_cards()
  end
  return {whole(now), epoch(), whole(before.incarnation), 0, event()}
end
local incarnation = math.max(now, before and before.incarnation + 1 or 0)
for _, one in ipairs(redis.call('SMEMBERS', key('jobs'))) do redis.call('HDEL', key('carry:' .. one), name) end
put_member(name, {incarnation = incarnation, joined = now, seen = now, ttl = ttl, gone = 0, lost = 0, ready = 0,
  draining = 0, applied = 0})
redis.call('ZADD', key('live'), whole(now + ttl), name)
redis.call('HSET', key('card'), name, card)
redis.call('HSET', key('teller'), name, (same and whole(told) or '0') .. ' ' .. process)
roster()
return {whole(now), epoch(), whole(incarnation), lives(before) and 1 or 0, event()}
"""
)

BEAT: Final = (
    _BASE
    + """
-- Every host does this all the time: what few beats need is not even defined in the others.
local name = ARGV[3]
local line = redis.call('HGET', key('beat'), name) or ''
local incarnation, joined, seen, ttl, gone, was_lost, telling = string.match(line,
  '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) %d+ %d+ %d+ ?%d* ?%d* ?%d* ?%d* ?(%d*)')
if incarnation ~= ARGV[4] or gone ~= '0' or was_lost ~= '0' or now >= tonumber(seen) + tonumber(ttl) then
  return {0, whole(now)}
end
local said, until_lost = whole(now), now + tonumber(ttl)
local refuses = ARGV[10] == '' and '0' or '1'
redis.call('HSET', key('beat'), name, table.concat({incarnation, joined, said, ttl, '0', '0', ARGV[5], ARGV[6], ARGV[7],
  ARGV[12], refuses}, ' '))
if refuses == '1' then redis.call('HSET', key('refused'), name, ARGV[10])
elseif telling ~= '0' then redis.call('HDEL', key('refused'), name) end
redis.call('ZADD', key('live'), whole(until_lost), name)
local first = redis.call('ZRANGE', key('live'), 0, 0, 'WITHSCORES')
local head = redis.call('HMGET', key('head'), 'epoch', 'lead', 'lead_until', 'roster', 'step', 'event', 'swept')
if tonumber(first[2]) <= now or now >= tonumber(head[7] or '0') + 1000 then
"""
    + _MEMBERS
    + """
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', key('live'), '-inf', said)) do
    local was = member(one)
    was.lost, was.ready = 1, 0
    put_member(one, was)
    redis.call('ZREM', key('live'), one)
    redis.call('ZADD', key('gone'), whole(was.seen), one)
    roster()
  end
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', key('gone'), '-inf', whole(now - tonumber(ARGV[9])))) do
    local was = member(old)
    if was and not lives(was) then drop(old) end
    redis.call('ZREM', key('gone'), old)
  end
  redis.call('HSET', key('head'), 'swept', said)
  first = redis.call('ZRANGE', key('live'), 0, 0, 'WITHSCORES')
  head[4] = redis.call('HGET', key('head'), 'roster')
end
local lost = {}
if #ARGV > 12 then
"""
    + _JOBS
    + """
  for n = 13, #ARGV, 2 do
    local run = job(ARGV[n])
    if run and whole(run.token) == ARGV[n + 1] and run.state == 'running' then
      run['until'] = now + tonumber(ARGV[8])
      put_job(ARGV[n], run)
    else
      lost[#lost + 1] = ARGV[n + 1]
    end
  end
end
-- Past those that others have, or nobody any more.
local overdue, seen, some = {}, 0, nil
repeat
  some = redis.call('ZRANGEBYSCORE', key('due'), '-inf', said, 'LIMIT', seen, 64)
  for _, one in ipairs(some) do
    if #overdue < 8 and redis.call('HEXISTS', key('carry:' .. one), name) == 1 then overdue[#overdue + 1] = one end
  end
  seen = seen + 64
until #some < 64 or #overdue == 8
local mine = name .. ' ' .. ARGV[4]
local leads = ARGV[11] == '1' and ARGV[6] == '0' and (head[2] == mine or tonumber(head[3] or '0') <= now)
if leads then redis.call('HSET', key('head'), 'lead', mine, 'lead_until', whole(until_lost)) end
return {1, said, head[1] or epoch(), redis.call('ZCARD', key('live')), head[4] or '0', first[2], overdue, lost,
  head[5] or '0', leads and 1 or 0, head[6] or '0'}
"""
)

DESCRIBE: Final = (
    _ALL
    + """
if not known(ARGV[3], ARGV[4]) then return 0 end
redis.call('HSET', key('card'), ARGV[3], ARGV[5])
roster()
return 1
"""
)

LEAVE: Final = (
    _ALL
    + """
local row = known(ARGV[3], ARGV[4])
if not row then return 0 end
row.gone, row.ready = now, 0
put_member(ARGV[3], row)
redis.call('ZREM', key('live'), ARGV[3])
redis.call('ZADD', key('gone'), whole(row.seen), ARGV[3])
roster()
return 1
"""
)

ENLIST: Final = (
    _ALL
    + """
local name, who, definition = ARGV[3], ARGV[4], ARGV[6]
if not known(who, ARGV[5]) then return {0} end
local row = job(name)
if definition == '' then
  redis.call('HDEL', key('carry:' .. name), who)
  return {1, whole(row and row.slot or 0), 0, 0}
end
local new = not row
if new then
  row = {state = '', member = '', error = '', schedule = '', definitions = ''}
  for _, field in ipairs(NUMBERS) do row[field] = 0 end
  row.slot = now
end
local seen, count = {}, 0
for one in string.gmatch(row.definitions, '%S+') do
  seen[one], count = true, count + 1
end
if not seen[definition] then
  local kept = row.definitions
  if count >= 8 then kept = string.gsub(kept, '^%S+ ?', '') end
  row.definitions = kept == '' and definition or (kept .. ' ' .. definition)
  row.schedule, row.following = ARGV[7], tonumber(ARGV[8])
end
put_job(name, row)
redis.call('HSET', key('carry:' .. name), who, definition)
local carriers = 0
for _, one in ipairs(redis.call('HKEYS', key('carry:' .. name))) do
  if lives(member(one)) then carriers = carriers + 1 end
end
return {1, whole(row.slot), carriers, new and 1 or 0}
"""
)

CLAIM: Final = (
    _ALL
    + """
local name, who, definition = ARGV[3], ARGV[4], ARGV[6]
local slot, previous, following, lease = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local retries, pause, missed, skipped = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13]), tonumber(ARGV[14])
local start, keep = ARGV[15] == '1', ARGV[16] == '1'
if not known(who, ARGV[5]) then return {'stranger', whole(now)} end
local row = job(name)
local newer, found = {}, false
if row then
  for one in string.gmatch(row.definitions, '%S+') do
    if found then newer[one] = true end
    if one == definition then found = true end
  end
end
if not found then return {'unknown', whole(now)} end

local function is_old()
  if not next(newer) then return false end
  local flat = redis.call('HGETALL', key('carry:' .. name))
  for n = 1, #flat, 2 do
    if newer[flat[n + 1]] and lives(member(flat[n])) then return true end
  end
  return false
end
local verdict
local repeated = slot <= row.slot
local retried = again(row) and row.retry_at <= now
local waits = row.state ~= 'running' and (row.asked > 0 or retried)
if repeated then verdict = start and waits and 'run' or 'taken'
elseif is_old() then verdict = 'old'
elseif slot > now then verdict = 'early'
elseif row.slot < previous or (missed + skipped > 0 and row.slot ~= previous) then verdict = 'gap'
elseif row.state == 'running' then verdict = 'running'
else verdict = start and 'run' or 'noted' end

local counts = verdict == 'noted' or (verdict == 'running' and not keep) or (verdict == 'run' and not repeated)
if counts then
  row.slot, row.following = slot, following
  row.missed = row.missed + missed + (verdict == 'noted' and 1 or 0)
  row.skipped = row.skipped + skipped + (verdict == 'running' and 1 or 0)
end
if verdict == 'run' then
  local token = math.max(tonumber(redis.call('HGET', key('head'), 'token') or '0') + 1, now * 1000)
  redis.call('HSET', key('head'), 'token', whole(token))
  row.attempt = repeated and retried and row.attempt + 1 or 1
  if not repeated then row.run_slot = slot
  elseif not retried then row.run_slot, row.asked = row.asked, 0 end
  row.state, row.member, row.token, row.retries, row.retry_pause = 'running', who, token, retries, pause
  row.began, row.ended, row['until'], row.starts, row.error = now, 0, now + lease, row.starts + 1, ''
end
if counts or verdict == 'run' then put_job(name, row) end
return {verdict, whole(now), whole(verdict == 'run' and row.run_slot or row.slot), whole(row.token), row.attempt,
  whole(row.state == 'running' and now or row.ended)}
"""
)

ASK: Final = (
    _ALL
    + """
local row = job(ARGV[3])
if not row then return {'unknown'} end
if row.state == 'running' then return {'running'} end
local found = false
for _, one in ipairs(redis.call('HKEYS', key('carry:' .. ARGV[3]))) do found = found or lives(member(one)) end
if not found then return {'nobody'} end
if row.asked == 0 then
  row.asked = now
  put_job(ARGV[3], row)
end
return {'asked', whole(row.asked)}
"""
)

FINISH: Final = (
    _ALL
    + """
local row = job(ARGV[3])
if not row or whole(row.token) ~= ARGV[4] or row.state ~= 'running' then return 0 end
row.state, row.error, row.ended = 'done', ARGV[5], now
if ARGV[5] ~= '' then row.state, row.failures = 'failed', row.failures + 1 end
row.retry_at = now + row.retry_pause
put_job(ARGV[3], row)
return 1
"""
)

VIEW: Final = (
    _BASE
    + """
local jobs = {}
for n, name in ipairs(redis.call('SMEMBERS', key('jobs'))) do
  jobs[n] = {name, redis.call('HGETALL', key('job:' .. name))}
end
-- Cards are most of it, and change seldom: whoever has them is not told them again.
local mark = table.concat({epoch(), redis.call('HGET', key('head'), 'roster') or '0',
  redis.call('HGET', key('head'), 'cards') or ''}, ' ')
local cards = ARGV[3] ~= mark and redis.call('HGETALL', key('card'))
return {whole(now), epoch(), cmsgpack.pack(redis.call('HGETALL', key('beat'))), mark, cards, jobs,
  redis.call('HGETALL', key('refused'))}
"""
)

_STEPS: Final = """
local function head(field) return redis.call('HGET', key('head'), field) end
local function number_of(field) return tonumber(head(field) or '0') end
local function put_revision(number, document, kept, active)
  redis.call('HSET', key('rev'), whole(number), document)
  local numbers = redis.call('HKEYS', key('rev'))
  table.sort(numbers, function(a, b) return tonumber(a) > tonumber(b) end)
  for n = tonumber(kept) + 1, #numbers do
    if tonumber(numbers[n]) ~= active then redis.call('HDEL', key('rev'), numbers[n]) end
  end
end
local function put_step(active, newest, roll)
  redis.call('HSET', key('head'), 'step', whole(number_of('step') + 1), 'active', whole(active), 'newest',
    whole(newest), 'roll', roll)
  redis.call('PUBLISH', key('bus'), 'step')
end
"""

PROPOSE: Final = (
    _BASE
    + _STEPS
    + """
local number, expect, newest = tonumber(ARGV[3]), tonumber(ARGV[4]), number_of('newest')
if expect ~= newest or number <= newest then return {0, whole(newest)} end
local active = ARGV[7] == '1' and number or number_of('active')
put_revision(number, ARGV[5], ARGV[6], active)
put_step(active, number, ARGV[8])
return {1, whole(number)}
"""
)

STEERING: Final = (
    _BASE
    + """
local head = redis.call('HMGET', key('head'), 'step', 'active', 'newest', 'roll')
return {head[1] or '0', head[2] or '0', head[3] or '0', head[4] or '', redis.call('HGETALL', key('drain'))}
"""
)

GO_ON: Final = (
    _BASE
    + _STEPS
    + """
local number, newest = tonumber(ARGV[6]), number_of('newest')
if tonumber(ARGV[3]) ~= number_of('step') then return 0 end
local active = math.max(number_of('active'), tonumber(ARGV[5]))
if number > newest then put_revision(number, ARGV[7], ARGV[8], active) end
put_step(active, math.max(newest, number), ARGV[4])
return 1
"""
)

DRAIN: Final = (
    _BASE
    + _MEMBERS
    + _STEPS
    + """
if not member(ARGV[3]) then return 0 end
if ARGV[4] == '' then redis.call('HDEL', key('drain'), ARGV[3])
else redis.call('HSET', key('drain'), ARGV[3], ARGV[4]) end
put_step(number_of('active'), number_of('newest'), head('roll') or '')
return 1
"""
)

TELL: Final = (
    _ALL
    + """
local name, first, kept = ARGV[3], tonumber(ARGV[5]), ARGV[6]
if not known(name, ARGV[4]) then return {0, event()} end
local told, process = told_by(name)
local last = tonumber(event())
for n = 7, #ARGV do
  local number = first + n - 7
  if number > told then
    last, told = last + 1, number
    redis.call('XADD', key('ev'), 'MAXLEN', kept, whole(last) .. '-0', 'e', ARGV[n])
  end
end
redis.call('HSET', key('head'), 'event', whole(last))
redis.call('HSET', key('teller'), name, whole(told) .. ' ' .. process)
redis.call('PUBLISH', key('bus'), 'event')
return {1, whole(last)}
"""
)

EVENTS: Final = (
    _BASE
    + """
local last, events = tonumber(event()), {}
local first = math.max(tonumber(ARGV[3]) + 1, last - tonumber(ARGV[5]) + 1, 1)
for n, one in ipairs(redis.call('XRANGE', key('ev'), whole(first) .. '-0', '+', 'COUNT', ARGV[4])) do
  events[n] = one[2][2]
end
return {whole(first), whole(last), events}
"""
)

REVISIONS: Final = (
    _BASE
    + """
return redis.call('HGETALL', key('rev'))
"""
)

REVISION: Final = (
    _BASE
    + """
return redis.call('HGET', key('rev'), ARGV[3])
"""
)

FORGET: Final = (
    _ALL
    + """
local row = member(ARGV[3])
if not row or lives(row) then return 0 end
drop(ARGV[3])
redis.call('ZREM', key('live'), ARGV[3])
redis.call('ZREM', key('gone'), ARGV[3])
roster()
return 1
"""
)
