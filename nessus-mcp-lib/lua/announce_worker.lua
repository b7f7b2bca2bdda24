-- KEYS records of workers; ARGV worker, ms its record is kept, the record, how many records are kept. Forgets those whose time is over.
--
-- It begins with a removal, so that a full server lets it pass: what it stores is bounded, and a worker that lives is not to be missed.
-- The clock may step back. `#clock` is the last time that was seen, and what was measured by it moves along.
local workers, worker = KEYS[1], ARGV[1]
local back = math.max(0, (tonumber(redis.call('HGET', workers, '#clock') or nil) or 0) - now)
redis.call('HDEL', workers, worker)
local others, stored = {}, redis.call('HGETALL', workers)
for i = 1, #stored, 2 do
  local heard, kept, record = string.match(stored[i + 1], '^(%d+):(%d+):(.*)$')
  if heard and now + back - tonumber(heard) < tonumber(kept) then
    others[#others + 1] = { tonumber(heard), stored[i] }
    if back > 0 then
      redis.call('HSET', workers, stored[i], exact(math.max(0, tonumber(heard) - back)) .. ':' .. kept .. ':' .. record)
    end
  elseif stored[i] ~= '#clock' then
    redis.call('HDEL', workers, stored[i])
  end
end
table.sort(others, function(one, other) return one[1] < other[1] end)
for i = 1, #others + 1 - tonumber(ARGV[4]) do redis.call('HDEL', workers, others[i][2]) end
redis.call('HSET', workers, worker, exact(now) .. ':' .. ARGV[2] .. ':' .. ARGV[3], '#clock', exact(now))
redis.call('PEXPIRE', workers, exact(math.max(tonumber(ARGV[2]), redis.call('PTTL', workers))))
