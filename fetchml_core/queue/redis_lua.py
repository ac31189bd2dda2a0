"""The Redis queue's scripts: each change of it is one of them, and runs on the server with nobody in between.

They store and they compare; what a job becomes is decided in `moves`. A record that is to be changed is named by the
checksum it had when the decision was made: where it has another one by now, the decision is made again. Every change
carries a random word: a script that is sent again, as its answer was lost, finds that word in the record and knows
that it was here before.

The keys are those of the table in `redis`. Nothing newer than Redis 6.2 is asked for.
"""

from __future__ import annotations

_COMMON = """
local P = 'fetchml:'

local function write(id, revision, line, word, json)
  local rest = revision .. ' ' .. line .. ' ' .. word .. ' ' .. json
  local value = redis.sha1hex(id .. ' ' .. rest) .. ' ' .. rest
  redis.call('HSET', P .. 'jobs', id, value)
  return value
end

local function place(id, from, to, home)
  if from ~= '' and from ~= to then redis.call('ZREM', P .. 'in:' .. from, id) end
  redis.call('ZADD', P .. 'in:' .. to, id, id)
  redis.call(to == 'queued' and 'SADD' or 'SREM', P .. 'queued:' .. home, id)
end

local function count(id)
  local revision = redis.call('INCR', P .. 'revision')
  if id then redis.call('ZADD', P .. 'changes', revision, id) end
  return revision
end

local function later(line)
  local last = redis.call('GET', P .. 'line')
  if last and tonumber(last) > tonumber(line) then return last end
  redis.call('SET', P .. 'line', line)
  return line
end

local function tell(channel)
  redis.call('SETNX', P .. 'format', '1')
  redis.call('PUBLISH', channel, '')
end
"""

SUBMIT = (
    _COMMON
    + """
-- ARGV: channel home, then for each job: key, its id if it is known, line, word, json
-- the answer: 'moved'; or 'known', ids and records of the jobs whose keys are here; or 'done', ids and records of all
local home = ARGV[2]
local ids, records, surprise, fresh = {}, {}, false, false
local paused = redis.call('GET', P .. 'paused')
if paused and (cjson.decode(paused).moved_to or '') ~= '' then return {'moved'} end
for i = 3, #ARGV, 5 do
  local id = redis.call('HGET', P .. 'keys', ARGV[i]) or ''
  ids[#ids + 1] = id
  records[#records + 1] = id ~= '' and redis.call('HGET', P .. 'jobs', id) or ''
  surprise = surprise or id ~= ARGV[i + 1]
  fresh = fresh or id == ''
end
if surprise then return {'known', ids, records} end
if not fresh then return {'done', ids, records} end
for n = 1, #ids do
  if ids[n] == '' then
    local i = n * 5 - 2
    local id = string.format('%d', redis.call('INCR', P .. 'last'))
    records[n] = write(id, count(id), later(ARGV[i + 2]), ARGV[i + 3], ARGV[i + 4])
    ids[n] = id
    redis.call('HSET', P .. 'keys', ARGV[i], id)
    place(id, '', 'queued', home)
  end
end
tell(ARGV[1])
return {'done', ids, records}
"""
)

CHANGE = (
    _COMMON
    + """
-- ARGV: channel id checksum word line json from to home, 'quiet' for no news, 'unpaused' to refuse while paused
-- the answer: the record; or 'again' where it is another by now
local id, word = ARGV[2], ARGV[4]
local old = redis.call('HGET', P .. 'jobs', id) or ''
local checksum, revision, _, last = string.match(old, '^(%S+) (%S+) (%S+) (%S+) ')
if last == word then return old end
if checksum ~= ARGV[3] then return 'again' end
if ARGV[11] == 'unpaused' and redis.call('EXISTS', P .. 'paused') == 1 then return 'again' end
if ARGV[10] ~= 'quiet' then revision = count(id) end
local new = write(id, revision, ARGV[5], word, ARGV[6])
place(id, ARGV[7], ARGV[8], ARGV[9])
if ARGV[10] ~= 'quiet' then tell(ARGV[1]) end
return new
"""
)

WAITING = (
    _COMMON
    + """
-- ARGV: home, the revision up to which all is known or -1, how many changes are worth telling
-- the answer: 'paused'; or 'all', the revision, ids of the queued jobs; or 'changed', the revision, ids and records
if redis.call('EXISTS', P .. 'paused') == 1 then return {'paused'} end
local revision = redis.call('GET', P .. 'revision') or '0'
local after, most = tonumber(ARGV[2]), tonumber(ARGV[3])
if after >= 0 and after <= tonumber(revision) then
  local ids = redis.call('ZRANGEBYSCORE', P .. 'changes', '(' .. ARGV[2], '+inf', 'LIMIT', 0, most + 1)
  if #ids <= most then
    local found = {}
    for _, id in ipairs(ids) do
      found[#found + 1] = id
      found[#found + 1] = redis.call('HGET', P .. 'jobs', id) or ''
    end
    return {'changed', revision, found}
  end
end
return {'all', revision, redis.call('SMEMBERS', P .. 'queued:' .. ARGV[1])}
"""
)

PAGE = (
    _COMMON
    + """
-- ARGV: 'newest' or 'oldest', after, limit, then states
-- the answer: ids and records in that order
local newest, after, limit = ARGV[1] == 'newest', ARGV[2], tonumber(ARGV[3])
local ids, found = {}, {}
for i = 4, #ARGV do
  local key, some = P .. 'in:' .. ARGV[i], nil
  if newest then
    some = redis.call('ZREVRANGEBYSCORE', key, after == '0' and '+inf' or '(' .. after, '-inf', 'LIMIT', 0, limit)
  else
    some = redis.call('ZRANGEBYSCORE', key, '(' .. after, '+inf', 'LIMIT', 0, limit)
  end
  for _, id in ipairs(some) do ids[#ids + 1] = tonumber(id) end
end
table.sort(ids, newest and function(a, b) return a > b end or nil)
for n = 1, math.min(limit, #ids) do
  local id = string.format('%d', ids[n])
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', P .. 'jobs', id) or ''
end
return found
"""
)

CHANGES = (
    _COMMON
    + """
-- ARGV: after, limit
-- the answer: ids and records, the one that changed first first
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. 'changes', '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', P .. 'jobs', id) or ''
end
return found
"""
)

PAUSE = (
    _COMMON
    + """
-- ARGV: channel, the pause or nothing
if ARGV[2] == '' then redis.call('DEL', P .. 'paused') else redis.call('SET', P .. 'paused', ARGV[2]) end
count()
tell(ARGV[1])
"""
)

RESERVE = (
    _COMMON
    + """
-- ARGV: how many
-- the answer: the last of so many ids that nobody else gets
redis.call('SETNX', P .. 'format', '1')
return redis.call('INCRBY', P .. 'last', ARGV[1])
"""
)

KNOWN = (
    _COMMON
    + """
-- ARGV: for each job: id, key
-- the answer: for each, the record of its id, then id and record of its key
local found = {}
for i = 1, #ARGV, 2 do
  local other = redis.call('HGET', P .. 'keys', ARGV[i + 1]) or ''
  found[#found + 1] = redis.call('HGET', P .. 'jobs', ARGV[i]) or ''
  found[#found + 1] = other
  found[#found + 1] = redis.call('HGET', P .. 'jobs', other) or ''
end
return found
"""
)

ADOPT = (
    _COMMON
    + """
-- ARGV: channel, then for each job: id, key, what the key stands for, line, word, json, state, home
-- the answer: nothing; or 'again' where one of them is no longer new
for i = 2, #ARGV, 8 do
  if redis.call('HEXISTS', P .. 'jobs', ARGV[i]) == 1 then return 'again' end
  if (redis.call('HGET', P .. 'keys', ARGV[i + 1]) or '') ~= ARGV[i + 2] then return 'again' end
end
for i = 2, #ARGV, 8 do
  local id = ARGV[i]
  if tonumber(redis.call('GET', P .. 'last') or '0') < tonumber(id) then redis.call('SET', P .. 'last', id) end
  later(ARGV[i + 3])
  write(id, count(id), ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  redis.call('HSET', P .. 'keys', ARGV[i + 1], id)
  place(id, '', ARGV[i + 6], ARGV[i + 7])
end
tell(ARGV[1])
return ''
"""
)

MEND = (
    _COMMON
    + """
-- ARGV: channel id, the record as it was seen, its state or nothing, home, states
-- a record without a state is set aside; one with a state gets its places again
local id, record, state = ARGV[2], ARGV[3], ARGV[4]
if (redis.call('HGET', P .. 'jobs', id) or '') ~= record then return end
for i = 6, #ARGV do
  if ARGV[i] ~= state then redis.call('ZREM', P .. 'in:' .. ARGV[i], id) end
end
if state == '' then
  if record ~= '' then redis.call('HSET', P .. 'damaged', id, record) end
  redis.call('HDEL', P .. 'jobs', id)
  redis.call('ZREM', P .. 'changes', id)
else
  place(id, '', state, ARGV[5])
  local _, line, word, json = string.match(record, '^%S+ (%S+) (%S+) (%S+) (.*)$')
  write(id, count(id), line, word, json)
end
tell(ARGV[1])
"""
)
