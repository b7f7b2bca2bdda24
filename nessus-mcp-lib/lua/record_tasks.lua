-- ARGV for each record: task, revision, '1' if it is unfinished or '0', entry ('' for a task that is gone). Returns, one after the other, the tasks
-- of which a larger revision stands, each with that.
local refused = {}
local number = count_of('number')
for at = 1, #ARGV, 4 do
  local id, revision, open, entry = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local stands = redis.call('HGET', catalogue, id)
  local standing = stands and string.match(stands, '^(%d+):')
  if standing and tonumber(standing) > tonumber(revision) then
    refused[#refused + 1] = id
    refused[#refused + 1] = standing
  else
    number = number + 1
    redis.call('HSET', catalogue, id, revision .. ':' .. open .. ':' .. entry, '#number', string.format('%.0f', number))
    redis.call('ZADD', changes, number, id)
    local more
    if open == '1' then more = redis.call('ZADD', unfinished, 0, id) else more = -redis.call('ZREM', unfinished, id) end
    if more ~= 0 then redis.call('HINCRBY', catalogue, '#unfinished', more) end
    local was_gone = stands and string.match(stands, '^%d+:%d:$') and 1 or 0
    local is_gone = entry == '' and 1 or 0
    if is_gone ~= was_gone then redis.call('HINCRBY', catalogue, '#gone', is_gone - was_gone) end
  end
end
return refused
