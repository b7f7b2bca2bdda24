-- The form of a dead letter.

-- Milliseconds since 1970 as RFC 3339; scripts have no calendar of their own.
local function rfc3339(ms)
  local days = math.floor(ms / 86400000)
  local rest = ms - days * 86400000
  local shifted = days + 719468
  local era = math.floor(shifted / 146097)
  local day_of_era = shifted - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524)
    - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  local month_from_march = math.floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - math.floor((153 * month_from_march + 2) / 5) + 1
  local month = month_from_march < 10 and month_from_march + 3 or month_from_march - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day, math.floor(rest / 3600000),
    math.floor(rest / 60000) % 60, math.floor(rest / 1000) % 60, rest % 1000)
end

-- The name of a letter in `by_task`. All have the score 0 there, so their names order them, and those of a task stand together.
local function name_of_letter(letter)
  return (task_of(letter) or '') .. ' ' .. letter
end

-- Whether every letter is named, as far as that can be seen at a glance: there are as many names, and the newest letter has one.
local function all_named()
  if redis.call('ZCARD', dead) ~= redis.call('ZCARD', by_task) then return false end
  local newest = redis.call('ZREVRANGE', dead, 0, 0)[1]
  return not newest or redis.call('ZSCORE', by_task, name_of_letter(newest))
end

-- Puts a body that is a JSON object beside the reason. `before` and `after` surround the time, now or `at`, and are JSON already.
local function dead_letter(body, before, after, at)
  at = at or now
  local open = string.match(body, '^(.*)}%s*$') or '{'
  local letter = open .. before .. rfc3339(at) .. after
  -- The new letter would hide that another has no name.
  if not all_named() then redis.call('SET', cursor, 'dead 0', 'NX') end
  redis.call('ZADD', dead, string.format('%.3f', at / 1000), letter)
  redis.call('ZADD', by_task, 0, name_of_letter(letter))
end

-- Puts a text that is no body there.
local function dead_letter_raw(text)
  dead_letter('{"raw_data":' .. cjson.encode(text) .. '}',
    ',"error":"corrupted_json","error_code":"corrupted_json","failed_at":"', '","attempt":0}')
end
