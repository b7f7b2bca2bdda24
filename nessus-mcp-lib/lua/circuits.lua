-- KEYS circuits. Returns the fields of each, or nil.
local circuits = {}
for index, key in ipairs(KEYS) do circuits[index] = circuit_of(key) end
return circuits
