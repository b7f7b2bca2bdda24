-- KEYS records of workers. Returns each record whose time is not over, and how many ms old it is. After the clock has stepped back, time
-- stands still for them until the next is announced: the last time that was seen counts.
local seen = math.max(now, tonumber(redis.call('HGET', KEYS[1], '#clock') or nil) or 0)
local listed, stored = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #stored, 2 do
  local heard, kept, record = string.match(stored[i + 1], '^(%d+):(%d+):(.*)$')
  local age = heard and math.max(0, seen - tonumber(heard))
  if age and age < tonumber(kept) then listed[#listed + 1] = { record, age } end
end
return listed
