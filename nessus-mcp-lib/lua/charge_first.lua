-- KEYS then a day and the binding; ARGV then id, hosts, the most of the day, seconds it is kept. Returns -2 (nobody knows what is
-- charged) or {hosts charged by others} (no room) before anything is enqueued.
if redis.call('EXISTS', KEYS[15]) == 0 then return -2 end
local refused = charge(KEYS[14], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
if refused then return refused end
