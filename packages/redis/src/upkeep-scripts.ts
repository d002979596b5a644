/** Opening and leaving a queue, and its bodies. Arguments after the node and the number of the request are listed at each. */
import { queueScript } from './lua.ts'
import type { Script } from './script.ts'

/** The format things are written in. Answers the format they were written in, and how many messages there are, whole and corrupt. */
export const OPEN: Script = queueScript(`
call('HSETNX', base .. ':totals', 'format', ARGV[3])
local totals = call('HMGET', base .. ':totals', 'format', 'corrupt')
return { totals[1], call('ZCARD', base .. ':ids'), totals[2] }`)

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

/** Writes something, so that a server without room says so. */
export const TRY_TO_WRITE: Script = queueScript(`call('HSET', base .. ':totals', 'tried', ARGV[2])`)

/** A message. Answers its head, its body, the name of its body, and its size. */
export const READ: Script = queueScript(`return call('HMGET', message_key(ARGV[3]), 'h', 'b', 'x', 's')`)

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
