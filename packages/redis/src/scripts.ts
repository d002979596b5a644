/**
 * The changes and questions of the queue, each one script: done wholly or not at all, with nobody in between. Arguments
 * after the node and the number of the request are listed at each.
 */
import { LIBRARY } from './lua.ts'
import { type Script, script } from './script.ts'

function queueScript(lua: string): Script {
  return script(`${LIBRARY}\n${lua}`)
}

/** The clock, lease in ms, the message. Answers `stored` and the time, `taken` or `bodiless`. */
export const PUT: Script = queueScript(`
local done = remembered()
if done then return done end
local leased = ARGV[4] ~= ''
local now = leased and clock(ARGV[3]) or 0
local answer = insert(5, leased and now + ARGV[4])
if answer == 'stored' then answer = 'stored ' .. string.format('%.0f', now) end
return remember(answer)`)

/**
 * The number of a put nobody knows the end of, and its message: whatever became of it, it is not in the queue afterwards,
 * apart from what somebody has claimed meanwhile. Answers the body that is to be removed, or nothing.
 */
export const WITHDRAW: Script = queueScript(`
local done = remembered()
if done == 'withdrawn' then return '' end
local body = ''
if done and done:sub(1, 6) == 'stored' then
  local id = ARGV[3]
  local key = message_key(id)
  local mine = ARGV[1] .. '.' .. ARGV[2] .. '.'
  for number = 0, tonumber(call('HGET', key, 'n') or 0) - 1 do
    local entry = find(key, number)
    if entry and not (entry[LEASED] and entry[TOKEN]:sub(1, #mine) ~= mine) then
      call('ZREM', base .. ':leases', id .. '/' .. number)
      delist(id .. '/' .. number, entry)
      local left = drop(key, id, number, entry)
      if left:sub(1, 8) == 'nothing ' then body = left:sub(9) end
    end
  end
end
remember('withdrawn')
return body`)

/** The clock, a time, most lanes, lanes to leave out. Answers the time of the server, and lanes with their due times. */
export const LANES: Script = queueScript(`
local now = clock(ARGV[3])
sweep(now)
local out = {}
for index = 6, #ARGV do out[ARGV[index]] = true end
local found, from = { string.format('%.0f', now) }, 0
while true do
  local page = call('ZRANGE', base .. ':lanes', '-inf', ARGV[4], 'BYSCORE', 'LIMIT', from, 100, 'WITHSCORES')
  for index = 1, #page, 2 do
    if not out[page[index]] then
      found[#found + 1] = page[index]
      found[#found + 1] = page[index + 1]
      if #found > 2 * ARGV[5] then return found end
    end
  end
  if #page < 200 then return found end
  from = from + 100
end`)

/** Lanes to leave out. Answers the first due time of all others. */
export const NEXT_DUE: Script = queueScript(`
local out = {}
for index = 3, #ARGV do out[ARGV[index]] = true end
local from = 0
while true do
  local page = call('ZRANGE', base .. ':lanes', from, from + 99, 'WITHSCORES')
  for index = 1, #page, 2 do
    if not out[page[index]] then return page[index + 1] end
  end
  if #page < 200 then return false end
  from = from + 100
end`)

/**
 * The clock, a lane, a time, most entries, lease in ms, most bytes of bodies. Answers the time of the server, and rows
 * with token, options, head and body. Bodies beyond the limit are fetched when they are read.
 */
export const CLAIM: Script = queueScript(`
local now = clock(ARGV[3])
local mine = ARGV[1] .. '.' .. ARGV[2] .. '.'
local refs = {}
local done = remembered()
if done then
  for ref in done:gmatch('%S+') do refs[#refs + 1] = ref end
else
  sweep(now)
  local lane = base .. ':lane:' .. ARGV[4]
  refs = call('ZRANGE', lane, '-inf', ARGV[5], 'BYSCORE', 'LIMIT', 0, ARGV[6])
  for index, ref in ipairs(refs) do
    local id, number = split(ref)
    call('ZREM', lane, ref)
    local entry = find(message_key(id), number)
    if entry then
      entry[TOKEN], entry[LEASED] = mine .. index, true
      write(message_key(id), number, entry)
      call('ZADD', base .. ':leases', now + ARGV[7], ref)
    end
  end
  if #refs > 0 then
    correct(ARGV[4])
    remember(table.concat(refs, ' '))
  end
end
local rows, room = { string.format('%.0f', now) }, tonumber(ARGV[8])
for index, ref in ipairs(refs) do
  local id, number = split(ref)
  local entry, packed = find(message_key(id), number)
  if entry and entry[TOKEN] == mine .. index then
    local head, body = unpack(call('HMGET', message_key(id), 'h', 'x'))
    local inline = false
    if not body and room > 0 then
      inline = call('HGET', message_key(id), 'b')
      room = room - #inline
    end
    rows[#rows + 1] = describe(id, number, entry, packed, { entry[TOKEN], head, inline, body })
  end
end
return rows`)

/** Message, entry, token, the end of the lease. Answers whether it is renewed. */
export const RENEW: Script = queueScript(`
local id, number = ARGV[3], ARGV[4]
local key, ref = message_key(id), id .. '/' .. number
local entry = find(key, number)
if not entry or entry[TOKEN] ~= ARGV[5] then return 0 end
call('ZREM', base .. ':leases', ref)
if not entry[LEASED] then
  delist(ref, entry)
  entry[LEASED] = true
  write(key, number, entry)
end
call('ZADD', base .. ':leases', ARGV[6], ref)
return 1`)

/** Triples of message, entry and token: claims that are given back as they are. */
export const GIVE_BACK: Script = queueScript(`
for index = 3, #ARGV, 3 do
  local id, number = ARGV[index], ARGV[index + 1]
  local key, ref = message_key(id), id .. '/' .. number
  local entry = find(key, number)
  if entry and entry[TOKEN] == ARGV[index + 2] then
    call('ZREM', base .. ':leases', ref)
    delist(ref, entry)
    entry[TOKEN], entry[LEASED] = false, false
    write(key, number, entry)
    enlist(ref, entry)
  end
end`)

/** What the tokens of a node's lives begin with. Ends all their leases, and makes their claims lost. */
export const END_LIVES: Script = queueScript(`
for _, ref in ipairs(call('ZRANGE', base .. ':leases', 0, -1)) do
  local id, number = split(ref)
  local key = message_key(id)
  local entry = find(key, number)
  if entry and entry[TOKEN] and entry[TOKEN]:sub(1, #ARGV[3]) == ARGV[3] then
    call('ZREM', base .. ':leases', ref)
    entry[TOKEN], entry[LEASED] = false, false
    write(key, number, entry)
    enlist(ref, entry)
  end
end`)

/** The node leaves: it asks nothing again. */
export const LEAVE: Script = queueScript(`call('UNLINK', answers)`)

/**
 * Message, entry, token, the recipients that stay (none: empty), when they are due, whether it was an attempt, whether
 * the sender was warned, whether an instruction was known, how many entries they move to, these, and a notice or nothing.
 * Answers `lost`, `bodiless`, `waiting`, or `nothing` with the body that is to be removed.
 */
export const SETTLE: Script = queueScript(`
local done = remembered()
if done then return done end
local id, number = ARGV[3], ARGV[4]
local key, ref = message_key(id), id .. '/' .. number
local entry = find(key, number)
if not entry or entry[TOKEN] ~= ARGV[5] then return 'lost' end
local moved = tonumber(ARGV[11])
local notice = 12 + moved * 4
if ARGV[notice] and ARGV[notice + 6]:sub(1, 1) == '#' and call('EXISTS', body_key(ARGV[notice + 6])) == 0
  and call('EXISTS', message_key(ARGV[notice])) == 0 then return 'bodiless' end
-- Takes no memory, and so lets everything after it pass where memory is short: what is settled gives memory back.
call('ZREM', base .. ':leases', ref)
delist(ref, entry)
local answer = 'waiting'
if moved == 0 and ARGV[6] == '' then answer = drop(key, id, number, entry)
else
  entry[TOKEN], entry[LEASED] = false, false
  if ARGV[8] == '1' then
    entry[TRIES] = entry[TRIES] + 1
    if entry[TRIES] == 1 then count('deferred', 1) end
  end
  if ARGV[9] == '1' then entry[WARNED] = true end
  if not entry[INSTRUCTION] or ARGV[10] == '1' then entry[DUE] = ARGV[7] end
  if moved == 0 then
    call('HSET', key, 'e' .. number, cmsgpack.pack(entry), 'r' .. number, ARGV[6])
    enlist(ref, entry)
  else
    local top = tonumber(call('HGET', key, 'n')) - 1
    while call('HEXISTS', key, 'e' .. top) == 0 do top = top - 1 end
    local arrived = call('HGET', key, 'a')
    for index = 1, moved do
      local from, to = 8 + index * 4, top + index
      local other = { ARGV[from], ARGV[from + 1], entry[TRIES], false, false, text(ARGV[from + 2]) or entry[HELD], false,
        entry[WARNED] }
      call('HSET', key, 'e' .. to, cmsgpack.pack(other), 'r' .. to, ARGV[from + 3])
      enter(id, to, arrived, other)
    end
    call('HSET', key, 'n', top + moved + 1)
    call('HINCRBY', key, 'c', moved)
    drop(key, id, number, entry)
  end
end
if ARGV[notice] then insert(notice, 0) end
return remember(answer)`)

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

/** A message. Answers its head, its body, the name of its body, and its size. */
export const READ: Script = queueScript(`return call('HMGET', message_key(ARGV[3]), 'h', 'b', 'x', 's')`)

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

/** The format things are written in. Answers the format they were written in, and how many messages there are, whole and corrupt. */
export const OPEN: Script = queueScript(`
call('HSETNX', base .. ':totals', 'format', ARGV[3])
local totals = call('HMGET', base .. ':totals', 'format', 'corrupt')
return { totals[1], call('ZCARD', base .. ':ids'), totals[2] }`)

/** Writes something, so that a server without room says so. */
export const TRY_TO_WRITE: Script = queueScript(`call('HSET', base .. ':totals', 'tried', ARGV[2])`)

/** A body, a chunk's number and the chunk. What no message takes within a day goes by itself. */
export const WRITE_BODY: Script = queueScript(`
call('HSET', body_key(ARGV[3]), ARGV[4], ARGV[5])
call('EXPIRE', body_key(ARGV[3]), 86400)`)

/** A body and a chunk's number. Answers the chunk. */
export const READ_BODY: Script = queueScript(`return call('HGET', body_key(ARGV[3]), ARGV[4])`)

/** A body no message has. */
export const DROP_BODY: Script = queueScript(`call('UNLINK', body_key(ARGV[3]))`)

/** Pairs of message and body. Answers the bodies that are not their messages'. */
export const STRAYS: Script = queueScript(`
local strays = {}
for index = 3, #ARGV, 2 do
  if call('HGET', message_key(ARGV[index]), 'x') ~= ARGV[index + 1] then strays[#strays + 1] = ARGV[index + 1] end
end
return strays`)
