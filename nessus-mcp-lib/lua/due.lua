-- What time has made ready.

-- Puts delayed entries that are due where they belong: to the end, or to the front with the earliest first.
local function promote(most)
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, most)
  local front = {}
  local function move(body, id, push)
    redis.call(push, queue, body)
    if id then redis.call('HSET', ids, id, 'ready') end
    redis.call('ZREM', delayed, body)
  end
  for i = 1, #due do
    local id = task_of(due[i])
    if id and redis.call('HGET', ids, id) == 'delayed_front' then
      front[#front + 1] = { due[i], id }
    else
      move(due[i], id, 'LPUSH')
    end
  end
  for i = #front, 1, -1 do move(front[i][1], front[i][2], 'RPUSH') end
end

-- Takes expired leases back to the front, so that the one that ended first is next; returns the tasks.
local function take_back(most)
  local expired = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, most)
  for i = #expired, 1, -1 do
    local id = expired[i]
    local body = redis.call('HGET', inflight, id)
    if body then
      redis.call('RPUSH', queue, body)
      redis.call('HSET', ids, id, 'ready')
    else
      -- Its body is lost: forgotten, it can be enqueued again.
      redis.call('HDEL', ids, id)
    end
    redis.call('ZREM', leases, id)
    redis.call('HDEL', inflight, id)
    redis.call('HDEL', owners, id)
  end
  return expired
end
