-- Returns how many are ready, delayed, leased and dead, and why the pool is paused, or nil.
return { redis.call('LLEN', queue), redis.call('ZCARD', delayed), redis.call('HLEN', inflight),
  redis.call('ZCARD', dead), redis.call('GET', paused) }
