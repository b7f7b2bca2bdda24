-- ARGV how this attempt to make the catalogue is called. Returns how the one is called that is under way on this server.
redis.call('HDEL', catalogue, '#mark')
local under_way = string.match(fact('begun') or '', '^(%S+) ' .. server() .. '$')
if under_way then return under_way end
redis.call('UNLINK', catalogue, changes, unfinished)
redis.call('HSET', catalogue, '#begun', ARGV[1] .. ' ' .. server())
return ARGV[1]
