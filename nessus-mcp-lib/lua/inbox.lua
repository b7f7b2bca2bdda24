-- What was pushed past this version of the program: `queue` is the inbox, into which anybody may push bodies. An older version has
-- all its ready entries there, those that wait in `delayed`, and in `ids` where the entry of a task is.

-- Moves an entry to where it belongs. `due` is when one of `delayed` is due.
local function take_in(body, due)
  local id = task_of(body)
  if not id then return dead_letter_raw(body) end
  local where = ({ begun = 'begun', delayed_begun = 'begun', delayed_front = 'front' })[redis.call('HGET', ids, id)] or 'back'
  local state, place = state_of(id)
  -- An older worker may have begun what was known as not started. Everything else that is known is a copy.
  local waits = state == 'delayed' and redis.call('HGET', later_places, id) ~= 'begun'
  local begun_since = where == 'begun' and (state == 'ready' or waits)
  if state and not begun_since then return end
  local stale = state == 'ready' and redis.call('HGET', bodies, id)
  if due then
    -- No pause is longer than this, so what is further away was put off before the clock stepped back.
    put_off(id, body, later_now() + math.min(due - now, 15 * 60 * 1000), where)
    if begun_since then redis.call('ZREM', ready, id) end
  else
    make_ready(id, body, where == 'begun' and 'begun_last' or 'back')
    if begun_since then leave_later(id) end
    wake_one()
  end
  if stale then redis.call('ZREM', by_scanner, name_in_line(id, stale, place)) end
end

-- Moves what is in the inbox, the next first. Returns nil when nothing is left, else what `more` does.
local function empty_inbox()
  local left = redis.call('LLEN', queue) + redis.call('ZCARD', delayed)
  if left == 0 then return end
  local moved = 0
  repeat
    -- First what waits, so that copies of it are known.
    local waiting = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
    local body = waiting[1] or redis.call('LINDEX', queue, -1)
    take_in(body, tonumber(waiting[2]))
    if waiting[1] then redis.call('ZREM', delayed, body) else redis.call('RPOP', queue) end
    moved = moved + 1
  until moved == left or not spend(body)
  if moved < left then return more('inbox', moved, left - moved) end
end

-- What `ids` says of tasks that do not stand in the inbox any more, nobody asks for. Nothing is stored after this: a full server
-- would allow it.
local function forget_ids()
  if redis.call('LLEN', queue) + redis.call('ZCARD', delayed) == 0 then redis.call('UNLINK', ids) end
end
