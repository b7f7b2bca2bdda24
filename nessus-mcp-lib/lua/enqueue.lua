-- ARGV id, body, where it goes. Returns 1 (added), 0 (known) or -1 (known, but something of the pool is lost: audit).
local id, body = ARGV[1], ARGV[2]
if state_of(id) then return is_whole() and 0 or -1 end
-- Known before it is stored: what is known and not stored is noticed.
redis.call('HSET', ids, id, 'ready')
make_ready(body, id, ARGV[3])
wake_one()
return 1
