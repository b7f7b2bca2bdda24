-- KEYS states of circuits by process; ARGV process, ms they last, states. Forgets processes that have not published lately.
redis.call('HSET', KEYS[1], ARGV[1], exact(now) .. ':' .. ARGV[2] .. ':' .. ARGV[3])
local stored = redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  if not state_of(stored[i + 1]) then redis.call('HDEL', KEYS[1], stored[i]) end
end
