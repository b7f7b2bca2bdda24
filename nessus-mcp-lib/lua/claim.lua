-- ARGV worker, lease in ms, `begun` for started tasks only or `all`, then the scanners that are passed over. Returns {id, body, fence,
-- deliveries, losses before this claim}, nil when there is nothing, or {} when there may be more behind what was thrown out.
local more = empty_inbox()
if more then return more end
local begun_only = ARGV[3] == 'begun' or redis.call('EXISTS', paused) == 1
local passed_over = {}
for i = 4, #ARGV do passed_over[ARGV[i]] = true end
follow_clock(clock, { leases })
promote()
take_back()

-- The next entry that has not started and waits for none of the scanners passed over: of the first for each scanner the first.
local function next_in_line()
  local best_id, best_place
  local from, stale = '-', 0
  while stale < 200 do
    local name = redis.call('ZRANGEBYLEX', by_scanner, from, '+', 'LIMIT', 0, 1)[1]
    if not name then return best_id or false, best_place end
    local scanner, place, id = read_name(name)
    if not passed_over[scanner] and tonumber(redis.call('ZSCORE', ready, id) or nil) ~= place then
      -- The name of an entry that stands elsewhere by now.
      redis.call('ZREM', by_scanner, name)
      stale = stale + 1
    else
      if not passed_over[scanner] and (not best_id or place < best_place) then best_id, best_place = id, place end
      -- Behind all names of this scanner: `!` comes right after the space.
      from = '[' .. scanner .. '!'
    end
  end
end

for _ = 1, 200 do
  local first = redis.call('ZRANGE', ready, 0, 0, 'WITHSCORES')
  local id, place = first[1], tonumber(first[2])
  if not id or begun_only and place >= unstarted then return false end
  local body = redis.call('HGET', bodies, id)
  if body and place >= unstarted and passed_over[scanner_of(body)] then
    id, place = next_in_line()
    if id == nil then return {} end
    if not id then return false end
    body = redis.call('HGET', bodies, id)
  end
  if body and state_of(id) ~= 'leased' then
    local token = next_fence(0)
    redis.call('HSET', inflight, id, body)
    redis.call('HSET', owners, id, token .. ':' .. ARGV[1])
    note_lease(id, ARGV[2])
    local deliveries = tonumber(redis.call('HGET', attempts, id) or '0') + 1
    local lost = redis.call('HINCRBY', losses, id, 1) - 1
    leave_ready(id, body, place)
    if redis.call('ZCARD', ready) > 0 then wake_one() end
    forget_ids()
    return { id, body, token, deliveries, lost }
  end
  -- A copy of a task that an older worker holds, or one whose body is lost: forgotten, it can be enqueued again.
  if body then redis.call('HSETNX', inflight, id, body) end
  leave_ready(id, body, place)
end
return {}
