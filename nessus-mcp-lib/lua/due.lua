-- What time has made ready.

-- Puts delayed entries that are due where they belong: to the end, or to the front with the earliest first.
local function promote(most)
  local due = redis.call('ZRANGEBYSCORE', delayed, '-inf', now, 'LIMIT', 0, most)
  local first, places = {}, { delayed_front = 'front', delayed_begun = 'begun' }
  local function move(body, id, place)
    make_ready(body, id, place)
    redis.call('ZREM', delayed, body)
  end
  for i = 1, #due do
    local id = task_of(due[i])
    local place = id and places[redis.call('HGET', ids, id)]
    if place then
      first[#first + 1] = { due[i], id, place }
    else
      move(due[i], id, 'back')
    end
  end
  for i = #first, 1, -1 do move(first[i][1], first[i][2], first[i][3]) end
end

-- How long a task waits after so many workers in a row were lost with it, in ms; nil when it does not. As
-- `pause_after_losses` in `queue/entry.rs`.
local function pause_after(lost)
  if lost > 20 then return math.min(15 * 60 * 1000, 1000 * 2 ^ (lost - 21)) end
end

-- Makes the tasks of expired leases ready again, as started ones, for nobody knows how far they came; the one that
-- ended first is next.
local function take_back(most)
  local expired = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, most)
  for i = #expired, 1, -1 do
    local id = expired[i]
    local body = redis.call('HGET', inflight, id)
    local pause = pause_after(tonumber(redis.call('HGET', losses, id) or '0'))
    if body and pause then
      redis.call('ZADD', delayed, exact(now + pause), body)
      redis.call('HSET', ids, id, 'delayed_begun')
    elseif body then
      make_ready(body, id, 'begun')
    else
      -- Its body is lost: forgotten, it can be enqueued again.
      redis.call('HDEL', ids, id)
    end
    redis.call('ZREM', leases, id)
    redis.call('HDEL', inflight, id)
    redis.call('HDEL', owners, id)
  end
end
