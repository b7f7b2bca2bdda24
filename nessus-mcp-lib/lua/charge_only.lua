-- KEYS the binding and what to charge; ARGV whether it must be there ('1') and what `charge` takes. Returns 1 (charged), -2 (nobody
-- knows what is charged) or {place, charged by others} (no room).
if ARGV[1] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then return -2 end
return charge(keys_from(2), 2) or 1
