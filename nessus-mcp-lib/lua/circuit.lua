-- The fields of a circuit, the last of them what is left of its time in ms; false when nobody has told of it.
local function circuit_of(key)
  local fields = redis.call('HMGET', key, 'generation', 'state', 'reason', 'by', 'order', 'since', 'opens', 'failures', 'until')
  if not fields[1] then return false end
  -- Never more than it was given, wherever the clock has stepped since.
  fields[9] = exact(math.max(0, (tonumber(fields[9]) or 0) - math.max(now, tonumber(fields[6]) or 0)))
  return fields
end
