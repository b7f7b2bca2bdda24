-- KEYS a day and, if it must be there, the binding; ARGV id, hosts, the most of the day, seconds it is kept. Returns 1 (charged),
-- -2 (nobody knows what is charged) or {hosts charged by others} (no room).
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 0 then return -2 end
return charge(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]) or 1
