-- Begins the scripts on circuits. Their times are those of the server's clock.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_micros = time[1] * 1000000 + time[2]

-- `..` would write a large number as 1.8e+15.
local function exact(number)
  return string.format('%.0f', number)
end

-- The fields of a circuit, the last of them what is left of its time in ms; false when nobody has told of it.
local function circuit_of(key)
  local fields = redis.call('HMGET', key, 'generation', 'state', 'reason', 'by', 'order', 'since', 'opens', 'failures', 'until')
  if not fields[1] then return false end
  fields[9] = exact(math.max(0, (tonumber(fields[9]) or 0) - now))
  return fields
end
