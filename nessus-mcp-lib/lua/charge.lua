-- Hosts that count against a day: a hash of what is charged, with `total`, how many charges and how many hosts there are.

-- How many hosts are charged, and by how many charges. They are counted anew where `total` does not belong to them: a full
-- server may not have stored it.
local function charged(day)
  local count, used = string.match(redis.call('HGET', day, 'total') or '', '^(%d+):(%d+)$')
  local charges = redis.call('HLEN', day) - redis.call('HEXISTS', day, 'total')
  if tonumber(count) == charges then return tonumber(used), charges end
  used = 0
  local all = redis.call('HGETALL', day)
  for i = 1, #all, 2 do
    if all[i] ~= 'total' then used = used + tonumber(all[i + 1]) end
  end
  return used, charges
end

-- Charges hosts once, if there are then no more than `most`, '' for any number. Returns nil when they are charged, or {hosts
-- charged by others} when there is no room.
local function charge(day, id, hosts, most, kept)
  if redis.call('HEXISTS', day, id) == 1 then return end
  local used, charges = charged(day)
  local together = used + tonumber(hosts)
  if most ~= '' and together > tonumber(most) then return { used } end
  redis.call('HSET', day, id, hosts, 'total', exact(charges + 1) .. ':' .. exact(together))
  redis.call('EXPIRE', day, kept)
end
