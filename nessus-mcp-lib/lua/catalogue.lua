-- Begins every script on the catalogue of tasks. The facts about the whole lie in the hash of the records, so that they are lost with
-- them: `#mark` (it is whole), `#begun` (it is being made: how that is called, and by which server), `#number` (of the last change),
-- `#unfinished` and `#gone` (how many there are of these), `#server` (the server that gave the mark).
local catalogue, changes, unfinished = KEYS[1], KEYS[2], KEYS[3]

local function fact(name) return redis.call('HGET', catalogue, '#' .. name) end

local function count_of(name) return tonumber(fact(name) or '0') end

-- How many records there are, those of tasks that are gone included.
local function records()
  local facts = 0
  for _, name in ipairs({ 'mark', 'begun', 'number', 'unfinished', 'gone', 'server' }) do
    facts = facts + redis.call('HEXISTS', catalogue, '#' .. name)
  end
  return redis.call('HLEN', catalogue) - facts
end

-- What the server calls the history of its data. It changes with each start and each failover, which may have lost what was confirmed
-- last, so that numbers of changes are given a second time.
local function server()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)') or ''
end

-- The mark, or false when it is not whole: when the server is another one than it was, or when single keys were lost, so that their
-- counts disagree.
local function mark()
  local agree = redis.call('ZCARD', changes) == records() and redis.call('ZCARD', unfinished) == count_of('unfinished')
  return agree and fact('server') == server() and fact('mark')
end
