-- The clock may step back: of this server, or in a failover to another. What was measured by it moves along, so that nothing
-- lasts longer than it was given. Every script that writes such a time, or compares one with now, calls this first: what is written
-- before would move along too. `noted` holds the last time that was seen, to a second; a full server cannot note it.
local function follow_clock(noted, timed)
  local last = tonumber(redis.call('GET', noted) or '0') or 0
  if now >= last and now < last + 1000 or redis.pcall('SET', noted, exact(now)).err then return end
  for i = 1, now < last and #timed or 0 do
    local ends = redis.call('ZRANGE', timed[i], 0, -1, 'WITHSCORES')
    for j = 1, #ends, 2 do redis.call('ZADD', timed[i], exact(tonumber(ends[j + 1]) + now - last), ends[j]) end
  end
end
