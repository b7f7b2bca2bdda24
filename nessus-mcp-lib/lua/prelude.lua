-- Begins, after the clock, every script on the entries of a pool. A script is one step: it runs whole, and nothing runs beside it.
--
-- A script that fails midway is not undone. What makes one fail midway is a server whose memory is full, and that
-- refuses commands that store, never those that remove. So every script stores first and removes afterwards.
--
-- Bodies are moved as the exact strings they are: cjson would write `[]` as `{}` and large integers as floats.
local queue, dead, ids, inflight, leases, owners = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local attempts, delayed, paused, fence, wake = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local losses, clock = KEYS[12], KEYS[13]

-- Wakes one of those who wait. One marker is enough: who finds more than one task passes the marker on.
local function wake_one()
  if redis.call('LLEN', wake) == 0 then redis.call('LPUSH', wake, '1') end
end

-- The task a body names; nil when it cannot be read.
local function task_of(body)
  local read, document = pcall(cjson.decode, body)
  local id = read and type(document) == 'table' and document['task_id']
  if type(id) ~= 'string' or #id > 64 then return nil end
  return string.match(id, '^[%w._-]+_%d%d%d%d%d%d%d%d_%d%d%d%d%d%d_%x%x%x%x%x%x%x%x$')
end

-- `ready`, `begun` (ready and started), `leased`, `delayed`, `delayed_front` and `delayed_begun` (where it goes when
-- it is due), or false.
local function state_of(id)
  if redis.call('HEXISTS', inflight, id) == 1 then return 'leased' end
  return redis.call('HGET', ids, id)
end

local function is_ready(state) return state == 'ready' or state == 'begun' end

local function is_delayed(state) return state and string.match(state, '^delayed') end

-- Whether a body is the ready one of a started task.
local function is_begun(body)
  local id = task_of(body)
  return id ~= nil and redis.call('HGET', ids, id) == 'begun'
end

-- Larger than any fencing token of the pool, than `above`, and than any given before a loss of data, which the clock stands for.
local function next_fence(above)
  local last = tonumber(redis.call('GET', fence) or '0') or 0
  local next = exact(math.max(now_micros, last + 1, above + 1))
  redis.call('SET', fence, next)
  return next
end
