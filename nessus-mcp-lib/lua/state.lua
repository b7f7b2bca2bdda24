-- ARGV id. Returns where its entry is, or nil.
return state_of(ARGV[1]) or #letters_of(ARGV[1]) > 0 and 'dead'
