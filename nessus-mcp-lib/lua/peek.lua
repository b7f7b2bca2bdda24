-- ARGV how many to skip, how many at most. Returns the bodies of ready entries, the next first, nil for one that is lost; last
-- come those in the inbox.
local skipped, asked = tonumber(ARGV[1]), tonumber(ARGV[2])
local found, count = {}, redis.call('ZCARD', ready)
for _, id in ipairs(redis.call('ZRANGE', ready, skipped, skipped + asked - 1)) do
  found[#found + 1] = redis.call('HGET', bodies, id)
end
if #found < asked then
  local first = math.max(0, skipped - count)
  local pushed = redis.call('LRANGE', queue, -(first + asked - #found), -(first + 1))
  for i = #pushed, 1, -1 do found[#found + 1] = pushed[i] end
end
return found
