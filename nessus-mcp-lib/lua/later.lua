-- Entries that wait for their time. `later` has them by when they are due, in a time of its own, which never goes back: when the
-- clock steps back, it goes on from where it was. So a pause lasts as long as it was given, and no entry has to be changed.

-- That time. `later_clock` has the time of the clock that was seen last, to a second, and by how much this one is ahead of it; a full
-- server cannot note it.
local later_time
local function later_now()
  if later_time then return later_time end
  local last, ahead = string.match(redis.call('GET', later_clock) or '', '^(%d+) (%d+)$')
  last, ahead = tonumber(last) or 0, tonumber(ahead) or 0
  if now < last then ahead = ahead + last - now end
  if now < last or now >= last + 1000 then redis.pcall('SET', later_clock, exact(now) .. ' ' .. exact(ahead)) end
  later_time = now + ahead
  return later_time
end

-- Lets an entry wait until a moment of that time, and then go to the `back`, to the `front`, or as `begun` before all.
local function put_off(id, body, due, where)
  redis.call('HSET', bodies, id, body)
  redis.call('HSET', later_places, id, where)
  redis.call('ZADD', later, exact(due), id)
end

-- Takes an entry out of those that wait.
local function leave_later(id)
  redis.call('ZREM', later, id)
  redis.call('HDEL', later_places, id)
end
