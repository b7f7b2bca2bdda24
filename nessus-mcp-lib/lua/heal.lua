-- Puts back what is lost of the entry of a task that is known: evicted, or deleted by hand. Returns whether anything was.
local function heal(id, body, state, place)
  local healed = false
  local function put_back(missing, ...)
    if missing then redis.call(...) end
    healed = healed or missing
  end
  if state == 'leased' then
    put_back(redis.call('HEXISTS', inflight, id) == 0, 'HSET', inflight, id, body)
    -- Whoever holds the task may have prolonged it just now: a whole lease, and the longest there may be when nobody knows how long.
    follow_clock(clock, { leases })
    local length = tonumber(redis.call('GET', lease_length) or '3600000')
    put_back(not redis.call('ZSCORE', leases, id), 'ZADD', leases, exact(now + length), id)
    return healed
  end
  put_back(redis.call('HEXISTS', bodies, id) == 0, 'HSET', bodies, id, body)
  put_back(state == 'delayed' and redis.call('HEXISTS', later_places, id) == 0, 'HSET', later_places, id, 'begun')
  local in_line = redis.call('ZCARD', by_scanner) < redis.call('ZCOUNT', ready, exact(unstarted), '+inf')
  if state == 'ready' and in_line then
    local name = name_in_line(id, redis.call('HGET', bodies, id), place)
    put_back(not redis.call('ZSCORE', by_scanner, name), 'ZADD', by_scanner, 0, name)
  end
  return healed
end
