-- Returns the mark ('' for none), how many tasks there are, and 1 if another run of the server gave the mark: this one may have lost what was
-- confirmed last.
return { mark() or '', records() - count_of('gone'), fact('server') == run_of_server() and 0 or 1 }
