-- ARGV the task behind which they begin ('' for the first), and how many at most. Returns, one after the other, task and record.
local found = {}
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
for _, id in ipairs(redis.call('ZRANGEBYLEX', unfinished, from, '+', 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = id
  found[#found + 1] = redis.call('HGET', catalogue, id) or ''
end
return found
