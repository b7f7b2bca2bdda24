-- ARGV id. Returns its place among the ready ones, or nil.
local state = state_of(ARGV[1])
if state and state ~= 'ready' and state ~= 'begun' then return false end
return find_ready(ARGV[1]) or false
