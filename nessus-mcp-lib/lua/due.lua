-- What time has made ready.

-- Puts delayed entries that are due where they belong: to the end, or to the front with the earliest first. One whose place is lost may
-- have started: somebody has to look. What an older worker holds, or held until its lease was over, waits no more.
local function promote()
  local due = redis.call('ZRANGEBYSCORE', later, '-inf', exact(later_now()), 'LIMIT', 0, 30)
  local first = {}
  local function move(id, body, where)
    local state = state_of(id)
    if state == 'leased' then
      redis.call('HDEL', bodies, id)
    elseif body and state ~= 'begun' then
      make_ready(id, body, where)
    end
    leave_later(id)
  end
  for i = 1, #due do
    local id = due[i]
    local where, body = redis.call('HGET', later_places, id) or 'begun', redis.call('HGET', bodies, id)
    if where == 'back' then move(id, body, where) else first[#first + 1] = { id, body, where } end
    if not spend(body or '') then break end
  end
  for i = #first, 1, -1 do move(unpack(first[i])) end
end

-- How long a task waits after so many workers in a row were lost with it, in ms; nil when it does not. As
-- `pause_after_losses` in `queue/entry.rs`.
local function pause_after(lost)
  if lost > 20 then return math.min(15 * 60 * 1000, 1000 * 2 ^ (lost - 21)) end
end

-- Makes the tasks of expired leases ready again, as started ones, for nobody knows how far they came; the one that
-- ended first is next.
local function take_back()
  local expired = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 30)) do
    expired[#expired + 1] = { id, redis.call('HGET', inflight, id) }
    if not spend(expired[#expired][2] or '') then break end
  end
  for i = #expired, 1, -1 do
    local id, body = unpack(expired[i])
    local pause = pause_after(tonumber(redis.call('HGET', losses, id) or '0'))
    -- Without its body, which was lost, it is forgotten, so that it can be enqueued again.
    if body and pause then
      put_off(id, body, later_now() + pause, 'begun')
    elseif body then
      make_ready(id, body, 'begun')
      leave_later(id)
    end
    redis.call('ZREM', leases, id)
    redis.call('HDEL', inflight, id)
    redis.call('HDEL', owners, id)
  end
end
