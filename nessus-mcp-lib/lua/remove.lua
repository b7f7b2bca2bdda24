-- ARGV id. Returns `removed`, `leased` or nil.
local id = ARGV[1]
local state = state_of(id)
if state == 'leased' then return state end
local removed = state and 1 or 0
local _, body = find_ready(id)
if body then removed = redis.call('LREM', queue, -1, body) end
if is_delayed(state) then
  local waiting = redis.call('ZRANGE', delayed, 0, -1)
  for i = 1, #waiting do
    if task_of(waiting[i]) == id then redis.call('ZREM', delayed, waiting[i]) end
  end
end
redis.call('HDEL', ids, id)
redis.call('HDEL', attempts, id)
redis.call('HDEL', losses, id)
return removed > 0 and 'removed'
