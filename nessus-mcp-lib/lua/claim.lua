-- ARGV worker, lease in ms, and `begun` for started tasks only, or `all`. Returns {id, body, fence,
-- deliveries, losses before this claim}, nil when there is nothing, or {} when there may be more behind what was thrown out.
local begun_only = ARGV[3] == 'begun' or redis.call('EXISTS', paused) == 1
follow_clock(clock, { leases, delayed })
promote(100)
take_back(100)
for _ = 1, 1000 do
  local body = redis.call('LINDEX', queue, -1)
  if not body then return false end
  local id = task_of(body)
  local state = id and state_of(id)
  if not id then
    dead_letter_raw(body)
    redis.call('RPOP', queue)
  elseif state and not is_ready(state) then
    -- A copy of a task that a worker holds or that waits for its time.
    redis.call('RPOP', queue)
  elseif begun_only and state ~= 'begun' then
    return false
  else
    local token = next_fence(0)
    redis.call('HSET', ids, id, 'leased')
    redis.call('HSET', inflight, id, body)
    redis.call('HSET', owners, id, token .. ':' .. ARGV[1])
    redis.call('ZADD', leases, exact(now + tonumber(ARGV[2])), id)
    local deliveries = tonumber(redis.call('HGET', attempts, id) or '0') + 1
    local lost = redis.call('HINCRBY', losses, id, 1) - 1
    redis.call('RPOP', queue)
    if redis.call('LLEN', queue) > 0 then wake_one() end
    return { id, body, token, deliveries, lost }
  end
end
return {}
