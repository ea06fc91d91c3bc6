-- Ends the graces that are over. A user who comes back has no grace any more: see set.lua.
-- The users are handed out to the calling node, which reports them to subscribers. If the
-- node does not confirm this in time, they are handed out again to any node: the first one
-- may have died, or the reply was lost.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 limit of graces, 3 how long users count as seen lately, 4 limit of such users
--       5 how long a node has to confirm that it has reported a user
--       6 … pairs: a user that this node has reported, when their grace ended
-- returns  {now, ms until the next call, or -1; for each user who is offline: user, reason, when}
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
    redis.call('HDEL', ended, untold[i]) -- not written by a node
  elseif again <= now and #answer < 3 * limit then
    give(untold[i], reason, tonumber(at))
  else
    soonest = math.min(soonest or again, again)
  end
end

local due = redis.call('ZRANGEBYSCORE', graces, '-inf', text(now), 'LIMIT', 0, limit)
if #due == 0 then due = redis.call('ZRANGEBYSCORE', graces, text(horizon), '+inf', 'LIMIT', 0, limit) end -- not written by a node
for _, user in ipairs(due) do
  local reason, since = unwait(user)
  redis.call('HDEL', states, user)
  redis.call('HDEL', here, user) -- only a node that was considered dead can have registered the user during the grace
  saw(user, since, ARGV[3], ARGV[4])
  give(user, reason, now)
end
local next = redis.call('ZRANGE', graces, 0, 0, 'WITHSCORES')
if next[2] then soonest = math.min(soonest or horizon, next[2], horizon) end
if soonest then answer[2] = math.max(0, soonest - now) end
if #answer > 2 then live() end
return answer
