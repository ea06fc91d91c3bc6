-- Stores or clears a user's live state. An older state does not replace a newer one.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 user, 3 state as JSON or '', 4 when it was set, or 0 for now
-- returns  when the stored state was set
local at = tonumber(ARGV[4])
if at == 0 then
  at = now
else
  local stored = newer(ARGV[2], at)
  if stored then return stored end
end
if ARGV[3] == '' then
  redis.call('HDEL', states, ARGV[2])
else
  redis.call('HSET', states, ARGV[2], text(at) .. ' ' .. ARGV[3])
end
live()
return text(at)
