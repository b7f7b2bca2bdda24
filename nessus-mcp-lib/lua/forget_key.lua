-- KEYS an idempotency key; ARGV task. Frees the key if it stands for the task; returns how many were freed.
local read, entry = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '')
if read and type(entry) == 'table' and entry['task_id'] == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
