-- Returns in how many ms there is something to claim: 0 for now, -1 when nothing is in sight.
local front = redis.call('LINDEX', queue, -1)
if front and (is_begun(front) or redis.call('EXISTS', paused) == 0) then return 0 end
local next = -1
for _, key in ipairs({ delayed, leases }) do
  local due = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if due[2] then
    local wait = math.max(0, tonumber(due[2]) - now)
    if next < 0 or wait < next then next = wait end
  end
end
return next
