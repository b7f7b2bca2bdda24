-- KEYS an idempotency key; ARGV entry, ms it lasts. Returns the entry it stands for already, or nil when it was free.
local existing = redis.call('GET', KEYS[1])
if existing then return existing end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false
