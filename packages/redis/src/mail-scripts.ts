/**
 * Taking, claiming and settling mail, each one script: done wholly or not at all, with nobody in between. Arguments after the
 * node and the number of the request are listed at each.
 */
import { queueScript } from './lua.ts'
import type { Script } from './script.ts'

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
