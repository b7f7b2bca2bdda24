-- The order of ready entries: started tasks before all others. The index calls them `begun`.

-- The body of the last started task; nil when none of them is ready.
local function last_begun()
  local last
  for i = 1, redis.call('LLEN', queue) do
    local body = redis.call('LINDEX', queue, -i)
    if not is_begun(body) then break end
    last = body
  end
  return last
end

-- Makes an entry ready: at the `back`, at the `front` of those that have not started, or, as `begun`, before all.
local function make_ready(body, id, place)
  local behind = place == 'front' and last_begun()
  if place == 'back' then
    redis.call('LPUSH', queue, body)
  elseif behind then
    redis.call('LINSERT', queue, 'BEFORE', behind, body)
  else
    redis.call('RPUSH', queue, body)
  end
  if id then redis.call('HSET', ids, id, place == 'begun' and 'begun' or 'ready') end
end
