-- The fields of the notice of a circuit; false when there is none.
local function notice_of(key)
  local fields = redis.call('HMGET', key, 'generation', 'order', 'reason', 'by', 'since')
  return fields[1] and fields
end
