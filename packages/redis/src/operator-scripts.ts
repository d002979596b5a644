/** What an operator asks and changes. Arguments after the node and the number of the request are listed at each. */
import { queueScript } from './lua.ts'
import type { Script } from './script.ts'

/**
 * What is to be done, two values for it, and triples of message, entry and the entry as it was seen. Answers as JSON how
 * many were changed, which were not what they were, and bodies that are to be removed.
 */
export const CHANGE: Script = queueScript(`
local done = remembered()
if done then return done end
local verb, value, due = ARGV[3], ARGV[4], ARGV[5]
local changed, stale, bodies = 0, {}, {}
for index = 6, #ARGV, 3 do
  local id, number = ARGV[index], ARGV[index + 1]
  local key, ref = message_key(id), id .. '/' .. number
  local entry, packed = find(key, number)
  if entry and packed ~= ARGV[index + 2] then stale[#stale + 1] = ref
  elseif entry then
    changed = changed + 1
    if verb == 'remove' then call('ZREM', base .. ':leases', ref) end
    delist(ref, entry)
    if verb == 'remove' then
      local left = drop(key, id, number, entry)
      if left:sub(1, 8) == 'nothing ' then bodies[#bodies + 1] = left:sub(9) end
    else
      if verb == 'hold' then
        if not entry[HELD] then count('held', 1) end
        entry[HELD] = value
      elseif verb == 'release' then
        if entry[HELD] then count('held', -1) end
        entry[HELD] = false
      elseif verb == 'instruct' then entry[INSTRUCTION] = value
      end
      if due ~= '' then entry[DUE] = due end
      write(key, number, entry)
      enlist(ref, entry)
    end
  end
end
return remember(cjson.encode({ changed = changed, stale = stale, bodies = bodies }))`)

/** The message and the entry after which to go on, and most messages. Answers the last message looked at, and rows. */
export const LIST: Script = queueScript(`
local rows = { '' }
local function look(id, after)
  local key = message_key(id)
  for number = after + 1, tonumber(call('HGET', key, 'n') or 0) - 1 do
    local entry, packed = find(key, number)
    if entry then rows[#rows + 1] = describe(id, number, entry, packed) end
  end
end
if ARGV[3] ~= '' and call('EXISTS', message_key(ARGV[3])) == 1 then look(ARGV[3], tonumber(ARGV[4])) end
local from = ARGV[3] == '' and '-' or '(' .. ARGV[3]
local ids = call('ZRANGE', base .. ':ids', from, '+', 'BYLEX', 'LIMIT', 0, ARGV[5])
for index, id in ipairs(ids) do
  look(id, -1)
  -- Messages of very many entries make a page of their own.
  if #rows > 1000 or index == tonumber(ARGV[5]) then
    rows[1] = id
    return rows
  end
end
return rows`)

/** Messages. Answers their entries as rows. */
export const LOOK_UP: Script = queueScript(`
local rows = {}
for index = 3, #ARGV do
  local key = message_key(ARGV[index])
  for number = 0, tonumber(call('HGET', key, 'n') or 0) - 1 do
    local entry, packed = find(key, number)
    if entry then rows[#rows + 1] = describe(ARGV[index], number, entry, packed) end
  end
end
return rows`)

/** Answers messages, entries, held, deferred, claimed, bytes, lanes, and the arrival of the oldest. */
export const STATS: Script = queueScript(`
local totals = call('HMGET', base .. ':totals', 'entries', 'held', 'deferred', 'bytes')
local first = call('ZRANGE', base .. ':ids', 0, 0)[1]
return { call('ZCARD', base .. ':ids'), totals[1], totals[2], totals[3], call('ZCARD', base .. ':leases'), totals[4],
  call('ZCARD', base .. ':mail'), first and call('HGET', message_key(first), 'a') }`)

/** Most lanes. Answers for each its name, its entries, and a list of periods with the entries of each. */
export const SHAPE: Script = queueScript(`
local lanes = call('ZRANGE', base .. ':mail', 0, ARGV[3] - 1, 'REV', 'WITHSCORES')
local shapes = {}
for index = 1, #lanes, 2 do
  shapes[#shapes + 1] = { lanes[index], lanes[index + 1], call('HGETALL', base .. ':ages:' .. lanes[index]) }
end
return shapes`)

/** The key of a suspension and the suspension. */
export const SUSPEND: Script = queueScript(`
call('HSET', base .. ':suspensions', ARGV[3], ARGV[4])
wake('operator')`)

/** The key of a suspension. Answers whether there was one. */
export const RESUME: Script = queueScript(`
local done = remembered()
if done then return done end
local ended = call('HDEL', base .. ':suspensions', ARGV[3])
if ended == 1 then wake('operator') end
return remember(ended)`)

/** Answers keys and suspensions. */
export const SUSPENSIONS: Script = queueScript(`return call('HGETALL', base .. ':suspensions')`)

/** Tells all nodes that an operator changed something. */
export const TELL: Script = queueScript(`wake('operator')`)

/** A message and an entry that cannot be read: kept as it is, out of the queue. */
export const SET_ASIDE: Script = queueScript(`
local id, number = ARGV[3], ARGV[4]
local key, ref = message_key(id), id .. '/' .. number
local entry = find(key, number)
if not entry then return end
call('ZREM', base .. ':leases', ref)
delist(ref, entry)
if call('COPY', key, base .. ':corrupt:' .. id) == 1 then count('corrupt', 1) end
-- The body stays with what was set aside.
call('HDEL', key, 'x')
drop(key, id, number, entry)`)
