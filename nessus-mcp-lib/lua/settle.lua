-- ARGV id, owner, way, then what the way needs:
--   ack
--   nack      delay in ms, where it goes
--   release   delay in ms, where it goes; this delivery is not counted
--   dead      the parts of the letter before and after its time
--   corrupted the body is no body after all
-- Returns 1 (done) or 0 (the lease is lost).
local id, way = ARGV[1], ARGV[3]
if redis.call('HGET', owners, id) ~= ARGV[2] then return 0 end
-- Without its body, which was lost, the task is forgotten, so that it can be enqueued again.
local body = redis.call('HGET', inflight, id)
local keep = body and (way == 'nack' or way == 'release')
if way == 'dead' then
  dead_letter(body or '{"task_id":"' .. id .. '"}', ARGV[4], ARGV[5])
elseif way == 'corrupted' then
  dead_letter_raw(body or id)
elseif keep then
  local delay, place = tonumber(ARGV[4]), ARGV[5]
  if way == 'release' and delay == 0 then
    make_ready(id, body, place)
    wake_one()
  else
    put_off(id, body, later_now() + delay, place)
  end
  if way == 'nack' then redis.call('HINCRBY', attempts, id, 1) end
end
redis.call('HDEL', inflight, id)
redis.call('ZREM', leases, id)
redis.call('HDEL', owners, id)
if keep and way == 'release' and tonumber(redis.call('HGET', losses, id) or '0') > 1 then
  redis.call('HINCRBY', losses, id, -1)
else
  redis.call('HDEL', losses, id)
end
if not keep then redis.call('HDEL', attempts, id) end
return 1
