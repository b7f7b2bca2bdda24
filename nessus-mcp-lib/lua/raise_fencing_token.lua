-- ARGV id, owner, above, worker. Returns the new fence, or nil when the lease is lost.
if redis.call('HGET', owners, ARGV[1]) ~= ARGV[2] then return false end
local token = next_fence(tonumber(ARGV[3]))
redis.call('HSET', owners, ARGV[1], token .. ':' .. ARGV[4])
return token
