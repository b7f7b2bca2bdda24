-- What counts against a limit: a hash of what is charged, with `total`, how many charges there are and what they amount to.

-- What is charged, and by how many charges. It is counted anew where `total` does not belong to them: a full server may not
-- have stored it.
local function charged(key)
  local count, used = string.match(redis.call('HGET', key, 'total') or '', '^(%d+):(%d+)$')
  local charges = redis.call('HLEN', key) - redis.call('HEXISTS', key, 'total')
  if tonumber(count) == charges then return tonumber(used), charges end
  used = 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i] ~= 'total' then used = used + tonumber(all[i + 1]) end
  end
  return used, charges
end

-- Charges what stands in ARGV from `from` on, four for each key of `keys`: id, amount, the most that there may be ('' for any
-- number), seconds it is kept ('' until it is given back). What is charged already needs no room. Returns nil when all is charged, or
-- {place of the first without room, charged there by others} when nothing was done.
local function charge(keys, from)
  local missing = {}
  for i, key in ipairs(keys) do
    local at = from + 4 * (i - 1)
    local id, amount, most = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    if redis.call('HEXISTS', key, id) == 0 then
      local used, charges = charged(key)
      local together = used + tonumber(amount)
      if most ~= '' and together > tonumber(most) then return { i - 1, used } end
      missing[#missing + 1] = { key, id, amount, exact(charges + 1) .. ':' .. exact(together), ARGV[at + 3] }
    end
  end
  for _, one in ipairs(missing) do
    redis.call('HSET', one[1], one[2], one[3], 'total', one[4])
    if one[5] ~= '' then redis.call('EXPIRE', one[1], one[5]) end
  end
end

-- The keys from this place on.
local function keys_from(first)
  local keys = {}
  for at = first, #KEYS do keys[#keys + 1] = KEYS[at] end
  return keys
end
