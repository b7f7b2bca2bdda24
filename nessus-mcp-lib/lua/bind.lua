-- KEYS the binding; ARGV what it must be now, or '' for none, and what it becomes. Returns what stands afterwards, or nil.
local standing = redis.call('GET', KEYS[1])
if (standing or '') ~= ARGV[1] then return standing end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
