-- Ends a pause.
if redis.call('LLEN', queue) + redis.call('ZCARD', ready) > 0 then wake_one() end
return redis.call('DEL', paused)
