/**
 * What all scripts of the queue share, in Lua: where things are, how an entry is written down, and the few steps every
 * change is made of. A script that changes something begins with `remembered` and ends with `remember`, so that a request
 * sent twice is done once. Whatever may be refused for want of memory (a script's first write) leaves nothing behind.
 */
import { INSTRUCTED_LANE } from '@mailwright/core'
import { type Script, script } from './script.ts'

/** Answers kept for each node, the latest ones: more than a node ever has under way. */
export const REMEMBERED_ANSWERS = 4_096

/** Where the leases of a query's caller come from: an empty text is the server's own clock. */
const CLOCK = `
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end`

/** An entry is eight values in one field. `LEASED` is false while its lease has ended and nobody else has claimed it. */
const ENTRIES = `
local LANE, DUE, TRIES, TOKEN, LEASED, HELD, INSTRUCTION, WARNED = 1, 2, 3, 4, 5, 6, 7, 8
local function message_key(id) return base .. ':m:' .. id end
local function find(key, number)
  local packed = call('HGET', key, 'e' .. number)
  if packed then return cmsgpack.unpack(packed), packed end
end
local function write(key, number, entry) call('HSET', key, 'e' .. number, cmsgpack.pack(entry)) end
local function split(ref)
  local id, number = ref:match('^(.*)/(%d+)$')
  return id, number
end
local function text(value) if value == '' then return false end return value:sub(2) end`

/** `lane:<lane>` holds what may be claimed, by due time; `lanes` the first due time of each of these. */
const LANES = `
local woken = false
local function wake(by)
  if woken then return end
  woken = true
  call('PUBLISH', base .. ':wake', by .. ' ' .. ARGV[1])
end
local function lane_of(entry) return entry[INSTRUCTION] and '${INSTRUCTED_LANE}' or entry[LANE] end
local function enlist(ref, entry)
  if entry[HELD] or entry[LEASED] then return end
  local lane = lane_of(entry)
  call('ZADD', base .. ':lane:' .. lane, entry[DUE], ref)
  local head = call('ZSCORE', base .. ':lanes', lane)
  if head and tonumber(head) <= tonumber(entry[DUE]) then return end
  call('ZADD', base .. ':lanes', entry[DUE], lane)
  -- A lane that others believed to have nothing due. What is due later they find when they look the next time.
  if tonumber(entry[DUE]) <= clock('') + 5000 then wake('mail') end
end
local function correct(lane)
  local head = call('ZRANGE', base .. ':lane:' .. lane, 0, 0, 'WITHSCORES')
  if head[1] then call('ZADD', base .. ':lanes', head[2], lane) else call('ZREM', base .. ':lanes', lane) end
end
local function delist(ref, entry)
  if entry[HELD] or entry[LEASED] then return end
  local lane = lane_of(entry)
  call('ZREM', base .. ':lane:' .. lane, ref)
  correct(lane)
end
local function sweep(now)
  for _, ref in ipairs(call('ZRANGE', base .. ':leases', '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)) do
    call('ZREM', base .. ':leases', ref)
    local id, number = split(ref)
    local entry = find(message_key(id), number)
    if entry then
      entry[LEASED] = false
      write(message_key(id), number, entry)
      enlist(ref, entry)
    end
  end
end`

/** Entries by lane and by age, and totals. */
const COUNTERS = `
local function count(name, by) call('HINCRBY', base .. ':totals', name, by) end
local function period(arrived) return string.format('%.0f', math.floor(arrived / 300000)) end
local function counted(lane, arrived)
  count('entries', 1)
  call('ZINCRBY', base .. ':mail', 1, lane)
  call('HINCRBY', base .. ':ages:' .. lane, period(arrived), 1)
end
local function uncounted(lane, arrived)
  count('entries', -1)
  local ages = base .. ':ages:' .. lane
  if tonumber(call('ZINCRBY', base .. ':mail', -1, lane)) <= 0 then
    call('ZREM', base .. ':mail', lane)
    call('DEL', ages)
  elseif call('HINCRBY', ages, period(arrived), -1) <= 0 then
    call('HDEL', ages, period(arrived))
  end
end`

/** Adding and removing. A body whose name begins with # is in this server, any other is its node's to remove. */
const MESSAGES = `
local function enter(id, number, arrived, entry)
  counted(entry[LANE], arrived)
  if entry[HELD] then count('held', 1) end
  if entry[TRIES] > 0 then count('deferred', 1) end
  enlist(id .. '/' .. number, entry)
end
local function body_key(body) return base .. ':body:' .. body end
local function insert(at, until_)
  local id, arrived, size, body, entries = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 6], tonumber(ARGV[at + 7])
  local key = message_key(id)
  if call('EXISTS', key) == 1 then return 'taken' end
  if body:sub(1, 1) == '#' and call('EXISTS', body_key(body)) == 0 then return 'bodiless' end
  local kept = body == '' and 'b' or 'x'
  local fields = { 'a', arrived, 's', size, 'n', entries, 'c', entries, 'f', ARGV[at + 3], 'h', ARGV[at + 4],
    kept, kept == 'b' and ARGV[at + 5] or body }
  local made = {}
  for number = 0, entries - 1 do
    local from = at + 8 + number * 5
    local token = ARGV[from + 4] == '1' and ARGV[1] .. '.' .. ARGV[2] .. '.' .. number
    made[number] = { ARGV[from], ARGV[from + 1], 0, token, token ~= false, text(ARGV[from + 2]), false, false }
    for _, field in ipairs({ 'e' .. number, cmsgpack.pack(made[number]), 'r' .. number, ARGV[from + 3] }) do
      fields[#fields + 1] = field
    end
    -- As many as a call may have arguments, with room to spare.
    if #fields > 2000 or number == entries - 1 then
      call('HSET', key, unpack(fields))
      fields = {}
    end
  end
  if body:sub(1, 1) == '#' then call('PERSIST', body_key(body)) end
  call('ZADD', base .. ':ids', 0, id)
  count('bytes', size)
  for number = 0, entries - 1 do
    enter(id, number, arrived, made[number])
    if made[number][TOKEN] then call('ZADD', base .. ':leases', until_, id .. '/' .. number) end
  end
  return 'stored'
end
local function drop(key, id, number, entry)
  local arrived, size, left, body = unpack(call('HMGET', key, 'a', 's', 'c', 'x'))
  uncounted(entry[LANE], arrived)
  if entry[HELD] then count('held', -1) end
  if entry[TRIES] > 0 then count('deferred', -1) end
  if tonumber(left) > 1 then
    call('HDEL', key, 'e' .. number, 'r' .. number)
    call('HINCRBY', key, 'c', -1)
    return 'waiting'
  end
  call('UNLINK', key)
  call('ZREM', base .. ':ids', id)
  count('bytes', 0 - size)
  if not body then return 'nothing' end
  if body:sub(1, 1) ~= '#' then return 'nothing ' .. body end
  call('UNLINK', body_key(body))
  return 'nothing'
end
local function describe(id, number, entry, packed, more)
  local fields = call('HMGET', message_key(id), 'r' .. number, 'f', 's')
  local row = { id, number, packed, entry[LANE], entry[DUE], entry[TRIES], entry[LEASED], entry[HELD], entry[INSTRUCTION],
    entry[WARNED], fields[1], fields[2], fields[3] }
  for index, value in ipairs(more or {}) do row[13 + index] = value end
  return row
end`

const ANSWERS = `
local answers = base .. ':done:' .. ARGV[1]
local function remembered()
  local last = call('HGET', answers, ARGV[2] % ${REMEMBERED_ANSWERS})
  if not last then return false end
  local colon = last:find(':', 1, true)
  if last:sub(1, colon - 1) == ARGV[2] then return last:sub(colon + 1) end
  return false
end
local function remember(answer)
  local isNew = call('HSET', answers, ARGV[2] % ${REMEMBERED_ANSWERS}, ARGV[2] .. ':' .. answer)
  -- A node that died never asks again.
  if isNew == 1 or ARGV[2] % 256 == 0 then call('EXPIRE', answers, 86400) end
  return answer
end`

/** In front of every script of the queue: `KEYS[1]` is the queue, `ARGV[1]` the node, `ARGV[2]` the number of its request. */
const LIBRARY: string = [
  'local base, call = KEYS[1], redis.call',
  CLOCK,
  ENTRIES,
  LANES,
  COUNTERS,
  MESSAGES,
  ANSWERS,
].join('\n')

/** A script of the queue. */
export function queueScript(lua: string): Script {
  return script(`${LIBRARY}\n${lua}`)
}
