-- ARGV id. Returns its place among the ready ones, or nil.
local state = state_of(ARGV[1])
if state and not is_ready(state) then return false end
return find_ready(ARGV[1]) or false
