-- KEYS a circuit; ARGV the generation it follows, state, ms it lasts, reason, by, order or '', openings, failures.
-- Returns 1 when the change stands, else 0, and the fields of the circuit.
local known = circuit_of(KEYS[1])
local order = ARGV[6]
if known and order == '' and (known[1] ~= ARGV[1] or known[2] == 'isolated') then return {0, known} end
local before, opens, failures = 0, 0, 0
if known then before, opens, failures = tonumber(known[1]), tonumber(known[7]), tonumber(known[8]) end
local lasts = tonumber(ARGV[3])
redis.call('HSET', KEYS[1],
  'generation', exact(math.max(now_micros, before + 1, tonumber(ARGV[1]) + 1)),
  'state', ARGV[2], 'reason', ARGV[4], 'by', ARGV[5], 'order', order, 'since', exact(now),
  'opens', exact(opens + tonumber(ARGV[7])), 'failures', exact(failures + tonumber(ARGV[8])),
  'until', lasts > 0 and exact(now + lasts) or '0')
return {1, circuit_of(KEYS[1])}
