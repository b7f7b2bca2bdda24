-- ARGV id. Returns its place among the ready ones, or nil.
local more = empty_inbox()
if more then return more end
local place = redis.call('ZRANK', ready, ARGV[1])
return place and state_of(ARGV[1]) ~= 'leased' and place + 1
