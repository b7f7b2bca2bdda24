-- KEYS slots of a scanner, the last time seen there; ARGV task, capacity, lease in ms. Returns 1 (acquired or prolonged) or 0 (full).
follow_clock(KEYS[2], { KEYS[1] })
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], exact(now + tonumber(ARGV[3])), ARGV[1])
return 1
