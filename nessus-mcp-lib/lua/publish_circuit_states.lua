-- KEYS states of circuits by process; ARGV process, ms they last, states. Forgets processes that have not published lately, and all
-- when none does.
redis.call('HSET', KEYS[1], ARGV[1], exact(now) .. ':' .. ARGV[2] .. ':' .. ARGV[3])
local longest = math.max(tonumber(ARGV[2]), redis.call('PTTL', KEYS[1]))
if longest > 0 then redis.call('PEXPIRE', KEYS[1], exact(longest)) end
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  if not state_of(stored[i + 1]) then redis.call('HDEL', KEYS[1], stored[i]) end
end
