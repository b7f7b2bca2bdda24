-- Begins every script that knows the time: that of the server's clock, the only one that all callers share.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_micros = time[1] * 1000000 + time[2]

-- `..` would write a large number as 1.8e+15.
local function exact(number)
  return string.format('%.0f', number)
end

