-- Returns in how many ms there is something to claim: 0 for now, -1 when nothing is in sight.
if redis.call('EXISTS', paused) == 1 then return -1 end
if redis.call('LLEN', queue) > 0 then return 0 end
local next = -1
for _, key in ipairs({ delayed, leases }) do
  local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if first[2] then
    local wait = math.max(0, tonumber(first[2]) - now)
    if next < 0 or wait < next then next = wait end
  end
end
return next
