-- ARGV lease in ms, then id and owner of each lease. Returns 1 (held) or 0 (lost) for each.
follow_clock(clock, { leases })
local outcomes = {}
for i = 2, #ARGV, 2 do
  local holds = redis.call('HGET', owners, ARGV[i]) == ARGV[i + 1]
  if holds then note_lease(ARGV[i], ARGV[1]) end
  outcomes[#outcomes + 1] = holds and 1 or 0
end
return outcomes
