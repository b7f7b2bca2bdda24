-- Returns id, owner, end in ms and deliveries of each lease, the one that ends first first.
local listed = {}
local held = redis.call('ZRANGE', leases, 0, -1, 'WITHSCORES')
for i = 1, #held, 2 do
  local owner = redis.call('HGET', owners, held[i])
  if owner then
    local tried = tonumber(redis.call('HGET', attempts, held[i]) or '0') + 1
    listed[#listed + 1] = { held[i], owner, exact(tonumber(held[i + 1])), tried }
  end
end
return listed
