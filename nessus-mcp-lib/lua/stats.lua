-- Returns how many are ready, delayed, leased and dead, and why the pool is paused, or nil. What is in the inbox counts as it stands.
return { redis.call('LLEN', queue) + redis.call('ZCARD', ready), redis.call('ZCARD', delayed) + redis.call('ZCARD', later),
  redis.call('HLEN', inflight), redis.call('ZCARD', dead), redis.call('GET', paused) }
