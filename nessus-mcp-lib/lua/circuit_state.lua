-- How old what a process has published is, in ms, and the states in it; nil when its time is over. A clock that has stepped back
-- makes none last longer: what lies in the future was published before the step.
local function state_of(record)
  local published, lasts, states = string.match(record, '^(%d+):(%d+):(.*)$')
  local age = now - tonumber(published)
  if math.abs(age) < tonumber(lasts) then return math.max(0, age), states end
end
