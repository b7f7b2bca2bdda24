-- ARGV a score. Removes some of the letters below it; returns how many.
local letters = redis.call('ZRANGEBYSCORE', dead, '-inf', '(' .. ARGV[1], 'LIMIT', 0, 50)
for i = 1, #letters do remove_letter(letters[i]) end
return #letters
