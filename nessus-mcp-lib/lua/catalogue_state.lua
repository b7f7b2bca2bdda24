-- Returns the mark ('' for none) and how many tasks there are.
return { mark() or '', records() - count_of('gone') }
