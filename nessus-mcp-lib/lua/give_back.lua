-- KEYS what is charged; ARGV id. Returns whether it was charged. Removed before the rest is stored, so that it is given back once.
local amount = redis.call('HGET', KEYS[1], ARGV[1])
if not amount then return 0 end
local used, charges = charged(KEYS[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], 'total', exact(charges - 1) .. ':' .. exact(used - tonumber(amount)))
return 1
