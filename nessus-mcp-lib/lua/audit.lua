-- Makes the index agree with what is stored after a part of the pool was lost: evicted, or deleted by hand. What is
-- nowhere is forgotten, so that it can be enqueued again; a task without a lease gets one that has ended.
local where = {}
local ready = redis.call('LRANGE', queue, 0, -1)
for i = 1, #ready do
  local id = task_of(ready[i])
  if id then where[id] = is_begun(ready[i]) and 'begun' or 'ready' end
end
local waiting = redis.call('ZRANGE', delayed, 0, -1)
for i = 1, #waiting do
  local id = task_of(waiting[i])
  local state = id and redis.call('HGET', ids, id)
  if id then where[id] = is_delayed(state) and state or 'delayed' end
end
local held = redis.call('HKEYS', inflight)
for i = 1, #held do
  where[held[i]] = 'leased'
  if not redis.call('ZSCORE', leases, held[i]) then redis.call('ZADD', leases, now, held[i]) end
end
local forgotten = 0
local known = redis.call('HKEYS', ids)
for i = 1, #known do
  local id = known[i]
  if where[id] then
    redis.call('HSET', ids, id, where[id])
  else
    redis.call('HDEL', ids, id)
    forgotten = forgotten + 1
  end
end
return forgotten
