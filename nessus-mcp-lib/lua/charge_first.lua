-- KEYS then the binding and what to charge; ARGV then what `charge` takes. Returns -2 (nobody knows what is charged) or {place,
-- charged by others} (no room) before anything is enqueued.
if redis.call('EXISTS', KEYS[23]) == 0 then return -2 end
local refused = charge(keys_from(24), 4)
if refused then return refused end
