-- KEYS what is charged. Returns how many.
return (charged(KEYS[1]))
