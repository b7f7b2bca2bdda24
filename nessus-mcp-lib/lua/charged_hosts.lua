-- KEYS a day. Returns how many hosts are charged.
return (charged(KEYS[1]))
