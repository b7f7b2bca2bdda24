-- KEYS a circuit; ARGV notice, reason, by. Returns the fields of the notice that stands.
local standing = notice_of(KEYS[1])
if standing and standing[2] == 'isolate' and ARGV[1] == 'refused' then return standing end
local before = standing and tonumber(standing[1]) or 0
redis.call('HSET', KEYS[1], 'generation', exact(math.max(now_micros, before + 1)), 'order', ARGV[1], 'reason', ARGV[2],
  'by', ARGV[3], 'since', exact(now))
-- What an earlier version of the program has told of the circuit.
redis.call('HDEL', KEYS[1], 'state', 'until', 'opens', 'failures')
return notice_of(KEYS[1])
