-- KEYS then the slots of scanners; ARGV id, or ''. Returns the task's place among the ready ones or nil, where its entry is or nil, how
-- many workers in a row were lost with it, why the pool is paused or nil, and the slots in use.
local more = empty_inbox()
if more then return more end
local id, slots = ARGV[1], 0
for at = 23, #KEYS do slots = slots + redis.call('ZCOUNT', KEYS[at], '(' .. exact(now), '+inf') end
local state = id ~= '' and state_of(id)
local place = (state == 'ready' or state == 'begun') and redis.call('ZRANK', ready, id)
return { place and place + 1, state, tonumber(redis.call('HGET', losses, id) or '0'), redis.call('GET', paused), slots }
