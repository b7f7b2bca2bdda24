-- ARGV id, body. Returns `requeued`, `queued` (it is in the queue anyway), `lost` (it should be, but something of the pool
-- is lost: audit) or nil (there is no letter).
local letters = letters_of(ARGV[1])
local state = state_of(ARGV[1])
if state and not is_whole() then return 'lost' end
if #letters > 0 and not state then
  redis.call('HSET', ids, ARGV[1], 'ready')
  redis.call('LPUSH', queue, ARGV[2])
  redis.call('HDEL', attempts, ARGV[1])
  redis.call('HDEL', losses, ARGV[1])
  wake_one()
end
for i = 1, #letters do redis.call('ZREM', dead, letters[i]) end
return state and 'queued' or #letters > 0 and 'requeued'
