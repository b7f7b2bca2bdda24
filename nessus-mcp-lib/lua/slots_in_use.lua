-- KEYS slots of a scanner, the last time seen there. Returns the tasks whose slots have not ended.
follow_clock(KEYS[2], { KEYS[1] })
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. exact(now), '+inf')
