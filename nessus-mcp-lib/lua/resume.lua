-- Ends a pause.
if redis.call('LLEN', queue) > 0 then wake_one() end
return redis.call('DEL', paused)
