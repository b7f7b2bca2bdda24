-- ARGV id, owner. The worker gets somewhere with the task: those that were lost with it do not count any more.
if redis.call('HGET', owners, ARGV[1]) == ARGV[2] then redis.call('HDEL', losses, ARGV[1]) end
return 1
