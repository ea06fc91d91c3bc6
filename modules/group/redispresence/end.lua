-- Ends the graces that are over. A user who comes back has none: see set.lua. Users are
-- given to a node to tell of, and again to any node if the first one does not say in time
-- that it has: it may have died, or the answer was lost.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 how many at most, 3 for how long "seen lately" is kept, 4 for how many users
--       5 how long a node has to say that it has told
--       6 … user, when their grace ended: this node has told of them; these two again
-- returns  {now, in how many ms to ask again, or -1; user, reason, when … of users who are offline}
local limit = tonumber(ARGV[2])
local answer = {text(now), -1}

local function give(user, reason, at)
  redis.call('HSET', ended, user, reason .. ' ' .. text(at) .. ' ' .. text(now))
  answer[#answer + 1] = user
  answer[#answer + 1] = reason
  answer[#answer + 1] = text(at)
end

for i = 6, #ARGV, 2 do
  local at = string.match(redis.call('HGET', ended, ARGV[i]) or '', '^%S+ (%d+) ')
  if at == ARGV[i + 1] then redis.call('HDEL', ended, ARGV[i]) end
end

local soonest
local untold = redis.call('HGETALL', ended)
for i = 1, #untold, 2 do
  local reason, at, given = string.match(untold[i + 1], '^(%S+) (%d+) (%d+)$')
  local again = (tonumber(given) or 0) + ARGV[5]
  if not reason or tonumber(at) > horizon or again > horizon then
    redis.call('HDEL', ended, untold[i]) -- no node wrote this
  elseif again <= now and #answer < 3 * limit then
    give(untold[i], reason, tonumber(at))
  else
    soonest = math.min(soonest or again, again)
  end
end

local due = redis.call('ZRANGEBYSCORE', graces, '-inf', text(now), 'LIMIT', 0, limit)
if #due == 0 then due = redis.call('ZRANGEBYSCORE', graces, text(horizon), '+inf', 'LIMIT', 0, limit) end -- no node began these
for _, user in ipairs(due) do
  local reason, since = unwait(user)
  redis.call('HDEL', states, user)
  redis.call('HDEL', here, user) -- only a node that was dead already can have entered the user
  saw(user, since, ARGV[3], ARGV[4])
  give(user, reason, now)
end
local next = redis.call('ZRANGE', graces, 0, 0, 'WITHSCORES')
if next[2] then soonest = math.min(soonest or horizon, next[2], horizon) end
if soonest then answer[2] = math.max(0, soonest - now) end
if #answer > 2 then live() end
return answer
