-- Whether what the index knows is stored as well. Entries that were pushed past it may hide that something is not.
local function is_whole()
  local stored = redis.call('LLEN', queue) + redis.call('HLEN', inflight) + redis.call('ZCARD', delayed)
  return redis.call('HLEN', ids) <= stored and redis.call('ZCARD', leases) >= redis.call('HLEN', inflight)
end
