-- The order of ready entries: `ready` has all of them by place. Those that have not started stand in `by_scanner` too, by the scanner
-- that they wait for, and then by place. All have the score 0 there, so their names order them.

-- The scanner that a body waits for; '' when any will do.
local asked, answer
local function scanner_of(body)
  -- Decoding every body would take long, and twice no less; most do not even contain the name.
  if body == asked then return answer end
  local scanner
  if string.find(body, '"scanner_instance_id"%s*:%s*"') then
    local read, document = pcall(cjson.decode, body)
    scanner = read and type(document) == 'table' and document['scanner_instance_id']
  end
  local is_name = type(scanner) == 'string' and #scanner <= 64 and string.find(scanner, '^[%w._-]+$')
  asked, answer = body, is_name and scanner or ''
  return answer
end

-- The name of an entry in `by_scanner`, and what it says.
local function name_in_line(id, body, place)
  return scanner_of(body) .. ' ' .. string.format('%016.0f', place - unstarted) .. ' ' .. id
end
local function read_name(name)
  local scanner, place, id = string.match(name, '^(%S*) (%d+) (%S+)$')
  return scanner, tonumber(place) + unstarted, id
end

-- The place of an entry that becomes ready: at the `back`, at the `front` of those that have not started, as `begun`, before all, or
-- as `begun_last`, behind the others that have started.
local function next_place(where)
  local command, from, to, step, none = 'ZRANGEBYSCORE', '-inf', '(' .. exact(unstarted), -1, 2 * unstarted
  if where == 'front' then from, to, none = exact(unstarted), '+inf', 0 end
  if where == 'back' then command, from, to, step, none = 'ZREVRANGEBYSCORE', '+inf', exact(unstarted), 1, 0 end
  if where == 'begun_last' then command, from, to, step = 'ZREVRANGEBYSCORE', to, from, 1 end
  local found = redis.call(command, ready, from, to, 'WITHSCORES', 'LIMIT', 0, 1)
  return found[2] and tonumber(found[2]) + step or none
end

-- Makes an entry ready. Its place in `ready` comes last: without it, it is not known.
local function make_ready(id, body, where)
  local place = next_place(where)
  redis.call('HSET', bodies, id, body)
  if place >= unstarted then redis.call('ZADD', by_scanner, 0, name_in_line(id, body, place)) end
  redis.call('ZADD', ready, exact(place), id)
end

-- Takes an entry out of those that are ready. Without its body its name in `by_scanner` stays, until a claim comes across it.
local function leave_ready(id, body, place)
  if body and place >= unstarted then redis.call('ZREM', by_scanner, name_in_line(id, body, place)) end
  redis.call('ZREM', ready, id)
  redis.call('HDEL', bodies, id)
end
