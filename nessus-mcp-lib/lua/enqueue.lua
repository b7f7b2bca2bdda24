-- ARGV id, body, where it goes. Returns 1 (added), 0 (known) or 2 (known, but a part of its entry was lost and is there again).
local more = empty_inbox()
if more then return more end
local id, body = ARGV[1], ARGV[2]
local state, place = state_of(id)
if state and not heal(id, body, state, place) then return 0 end
if not state then make_ready(id, body, ARGV[3]) end
wake_one()
return state and 2 or 1
