-- KEYS a day; ARGV id. Returns whether it was charged. Removed before the rest is stored, so that it is given back once.
local hosts = redis.call('HGET', KEYS[1], ARGV[1])
if not hosts then return 0 end
local used, charges = charged(KEYS[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], 'total', exact(charges - 1) .. ':' .. exact(used - tonumber(hosts)))
return 1
