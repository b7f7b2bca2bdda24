-- ARGV id, body, the parts of the letter before and after its time, when it failed in ms. Returns 1, or 0 when the task is in the queue.
local more = empty_inbox()
if more then return more end
if state_of(ARGV[1]) then return 0 end
dead_letter(ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]))
return 1
