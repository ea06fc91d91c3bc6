-- Ends the graces that are over. A user who comes back has none: see set.lua.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 how many at most, 3 for how long "seen lately" is kept, 4 for how many users
-- returns  {now, when the next grace ends, or -1; user, reason …} of users who are offline now
local due = redis.call('ZRANGEBYSCORE', graces, '-inf', text(now), 'LIMIT', 0, ARGV[2])
if #due == 0 then due = redis.call('ZRANGEBYSCORE', graces, text(horizon), '+inf', 'LIMIT', 0, ARGV[2]) end -- no node began these
local told = {text(now), -1}
for _, user in ipairs(due) do
  local reason, since = unwait(user)
  redis.call('HDEL', states, user)
  redis.call('HDEL', here, user) -- only a node that was dead already can have entered the user
  saw(user, since, ARGV[3], ARGV[4])
  told[#told + 1] = user
  told[#told + 1] = reason
end
local next = redis.call('ZRANGE', graces, 0, 0, 'WITHSCORES')
if next[2] then told[2] = math.max(0, math.min(next[2], horizon) - now) end
if #due > 0 then live() end
return told
