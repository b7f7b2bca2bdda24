-- ARGV the number behind which changes begin, and how many at most. Returns the mark ('' for none) and, one after the other, task, number and
-- record.
local found = { mark() or '' }
local ids = redis.call('ZRANGEBYSCORE', changes, '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
for at = 1, #ids, 2 do
  found[#found + 1] = ids[at]
  found[#found + 1] = ids[at + 1]
  found[#found + 1] = redis.call('HGET', catalogue, ids[at]) or ''
end
return found
