-- ARGV how many at most. Returns the tasks.
local taken = take_back(ARGV[1])
if #taken > 0 then wake_one() end
return taken
