-- ARGV id. Returns where its entry is, or nil.
local more = empty_inbox()
if more then return more end
local state = state_of(ARGV[1])
if state then return state end
return name_letters() or #letters_of(ARGV[1]) > 0 and 'dead'
