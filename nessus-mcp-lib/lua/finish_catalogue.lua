-- ARGV the attempt that has ended, and the mark to set. Returns 1 if there is a mark now.
if fact('begun') == ARGV[1] .. ' ' .. server() then
  redis.call('HSET', catalogue, '#mark', ARGV[2], '#server', server())
  redis.call('HDEL', catalogue, '#begun')
end
return mark() and 1 or 0
