-- ARGV id. Returns `removed`, `leased` or nil.
local more = empty_inbox()
if more then return more end
local id = ARGV[1]
local state, place = state_of(id)
if state == 'leased' then return state end
leave_ready(id, place and redis.call('HGET', bodies, id), place)
leave_later(id)
redis.call('HDEL', attempts, id)
redis.call('HDEL', losses, id)
return state and 'removed'
