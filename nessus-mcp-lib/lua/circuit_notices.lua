-- KEYS circuits. Returns the fields of the notice of each, or nil.
local notices = {}
for index, key in ipairs(KEYS) do notices[index] = notice_of(key) end
return notices
