-- Begins, after the clock, every script on the entries of a pool. A script is one step: it runs whole, and nothing runs beside it.
--
-- A server whose memory is full refuses a command that stores as long as its script has written nothing. After the first write, be it a
-- removal, it lets everything pass, so that no script stops midway. So the first write of a script is one that stores, unless the whole
-- script should pass on a full server.
--
-- Bodies are moved as the exact strings they are: cjson would write `[]` as `{}` and large integers as floats.
local queue, dead, ids, inflight, leases, owners = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local attempts, delayed, paused, fence, wake = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local losses, clock = KEYS[12], KEYS[13]
local ready, by_scanner, bodies, later, later_places = KEYS[14], KEYS[15], KEYS[16], KEYS[17], KEYS[18]
local later_clock, by_task, cursor, lease_length = KEYS[19], KEYS[20], KEYS[21], KEYS[22]

-- How much of what has piled up one script goes through, in entries and in bytes of their texts: it holds up everybody else. What is
-- left waits for the next. Returns whether it may go on.
local entries_left, bytes_left = 60, 60000
local function spend(text)
  entries_left, bytes_left = entries_left - 1, bytes_left - #text
  return entries_left > 0 and bytes_left > 0
end

-- The answer of a script that has done nothing but a part of what has piled up of a kind: how many are done, and about how many are
-- left. Asked again often enough, the caller may say that it is enough of this kind; then nil.
local function more(kind, done, left)
  local enough = 'enough ' .. kind
  if ARGV[#ARGV] == enough or ARGV[#ARGV - 1] == enough then return end
  return redis.status_reply('MORE ' .. kind .. ' ' .. done .. ' ' .. left)
end

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

-- Started tasks have places below this, all others from it on; the smallest place is next.
local unstarted = -2 ^ 51

-- `leased`, `begun` (ready and started), `ready`, `delayed`, or false; the place of what is ready.
local function state_of(id)
  if redis.call('HEXISTS', inflight, id) == 1 or redis.call('ZSCORE', leases, id) then return 'leased' end
  local place = tonumber(redis.call('ZSCORE', ready, id) or nil)
  if place then return place < unstarted and 'begun' or 'ready', place end
  return redis.call('ZSCORE', later, id) and 'delayed'
end

-- Notes that a lease lasts so many ms from now. The last length is kept for leases whose end is lost.
local function note_lease(id, length)
  redis.call('ZADD', leases, exact(now + tonumber(length)), id)
  redis.call('SET', lease_length, length)
end

-- Larger than any fencing token of the pool, than `above`, and than any given before a loss of data, which the clock stands for.
local function next_fence(above)
  local last = tonumber(redis.call('GET', fence) or '0') or 0
  local next = exact(math.max(now_micros, last + 1, above + 1))
  redis.call('SET', fence, next)
  return next
end
