-- KEYS slots of a scanner. Returns the tasks whose slots have not ended.
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. exact(now), '+inf')
