-- ARGV how many at most. Returns the tasks.
follow_clock(clock, { leases, delayed })
local taken = take_back(ARGV[1])
if #taken > 0 then wake_one() end
return taken
