-- The place (1 for the next) and body of a ready task; nil when it is not there.
local function find_ready(id)
  local count, seen = redis.call('LLEN', queue), 0
  while seen < count do
    local part = redis.call('LRANGE', queue, -(seen + 500), -(seen + 1))
    for i = #part, 1, -1 do
      seen = seen + 1
      -- Decoding every body would take long; most do not even contain the name.
      if string.find(part[i], id, 1, true) and task_of(part[i]) == id then return seen, part[i] end
    end
  end
end
