-- ARGV id, body. Returns 1 (added), 0 (known) or -1 (known, but something of the pool is lost: audit), and the depth.
local id, body = ARGV[1], ARGV[2]
if state_of(id) then return { is_whole() and 0 or -1, redis.call('LLEN', queue) } end
redis.call('HSET', ids, id, 'ready')
redis.call('LPUSH', queue, body)
wake_one()
return { 1, redis.call('LLEN', queue) }
