-- How to find the dead letters of a task: `by_task` names all of them. An older version of the program and hands add and remove letters
-- without it. `cursor` has how far they are named, while that is not known to be all.

-- Names letters that have no name, and then drops names that have no letter: some with each call, going on where the last one stopped.
-- Returns nil when all is well, else what `more` does.
local function name_letters()
  if redis.call('EXISTS', cursor) == 0 and all_named() then return end
  local of, at = string.match(redis.call('GET', cursor) or 'dead 0', '^(%a+) (%d+)$')
  local seen, may_go_on = 0, true
  repeat
    local page = redis.call('ZSCAN', of == 'dead' and dead or by_task, at, 'COUNT', 20)
    for i = 1, #page[2], 2 do
      local one = page[2][i]
      if of == 'dead' then
        redis.call('ZADD', by_task, 0, name_of_letter(one))
      elseif not redis.call('ZSCORE', dead, string.match(one, '^%S* (.*)$')) then
        redis.call('ZREM', by_task, one)
      end
      seen, may_go_on = seen + 1, spend(one)
    end
    at = page[1]
    if at == '0' then of = of == 'dead' and 'names' or 'dead' end
  until at == '0' and of == 'dead' or not may_go_on
  -- Only after all of both can it be seen at a glance again.
  if at == '0' and of == 'dead' and all_named() then return redis.call('DEL', cursor) and nil end
  redis.call('SET', cursor, of .. ' ' .. at)
  -- By then each letter has a name.
  local left = 2 * redis.call('ZCARD', dead) + redis.call('ZCARD', by_task)
  return more('letters', seen, left)
end

-- The dead letters of a task.
local function letters_of(id)
  local found = {}
  for _, name in ipairs(redis.call('ZRANGEBYLEX', by_task, '[' .. id .. ' ', '(' .. id .. '!')) do
    local letter = string.sub(name, #id + 2)
    if redis.call('ZSCORE', dead, letter) then found[#found + 1] = letter end
  end
  return found
end

local function remove_letter(letter)
  redis.call('ZREM', dead, letter)
  redis.call('ZREM', by_task, name_of_letter(letter))
end
