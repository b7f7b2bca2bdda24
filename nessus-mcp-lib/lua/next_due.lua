-- Returns in how many ms there is something to claim: 0 for now, -1 when nothing is in sight.
if redis.call('LLEN', queue) > 0 then return 0 end
local first = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')
if first[1] and (tonumber(first[2]) < unstarted or redis.call('EXISTS', paused) == 0) then return 0 end
follow_clock(clock, { leases })
local next = -1
for key, time in pairs({ [later] = later_now(), [delayed] = now, [leases] = now }) do
  local due = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  if due[2] then
    local wait = math.max(0, tonumber(due[2]) - time)
    if next < 0 or wait < next then next = wait end
  end
end
return next
