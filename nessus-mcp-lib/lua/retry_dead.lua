-- ARGV id, body. Returns `requeued`, `queued` (it is in the queue anyway), `healed` (so it is, but a part of its entry was lost) or nil
-- (there is no letter).
local more = empty_inbox() or name_letters()
if more then return more end
local id, body = ARGV[1], ARGV[2]
local letters = letters_of(id)
local state, place = state_of(id)
local healed = state and heal(id, body, state, place)
if #letters > 0 and not state then
  make_ready(id, body, 'back')
  redis.call('HDEL', attempts, id)
  redis.call('HDEL', losses, id)
  wake_one()
end
for i = 1, #letters do remove_letter(letters[i]) end
return healed and 'healed' or state and 'queued' or #letters > 0 and 'requeued'
