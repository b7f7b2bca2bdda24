-- KEYS states of circuits by process. Returns each process that has published lately, how long ago in ms, and its states.
local processes, stored = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local age, states = state_of(stored[i + 1])
  if age then processes[#processes + 1] = { stored[i], age, states } end
end
return processes
