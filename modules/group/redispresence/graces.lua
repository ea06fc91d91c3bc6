-- Lists who is waited for.
--
-- KEYS     see group.lua
-- returns  {user, end of the grace in ms, "reason since", live state as stored or '' …}
local out = {}
local list = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #list, 2 do
  out[#out + 1] = list[i]
  out[#out + 1] = list[i + 1]
  out[#out + 1] = redis.call('HGET', KEYS[3], list[i]) or ''
  out[#out + 1] = redis.call('HGET', KEYS[4], list[i]) or ''
end
return out
