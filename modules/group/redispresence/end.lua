-- Ends the graces that are over. Who comes back has none: see set.lua.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 how many at most
--       3 for how long it is kept when they were seen, 4 of how many users
-- returns  {now, when the next ends, or -1; user, reason …} of those who are offline now
local due = redis.call('ZRANGEBYSCORE', graces, '-inf', text(now), 'LIMIT', 0, ARGV[2])
local told = {text(now), -1}
for _, user in ipairs(due) do
  local reason, since = unwait(user)
  redis.call('HDEL', states, user)
  redis.call('HDEL', here, user) -- it can only be what a node entered that was dead already
  saw(user, since, ARGV[3], ARGV[4])
  told[#told + 1] = user
  told[#told + 1] = reason
end
local next = redis.call('ZRANGE', graces, 0, 0, 'WITHSCORES')
if next[2] then told[2] = math.max(0, next[2] - now) end
if #due > 0 then live() end
return told
