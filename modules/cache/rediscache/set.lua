-- Stores an entry unless a newer one is there.
--
-- KEYS[1]  the entry: "1 <revision> <data>"
-- ARGV     the new value, its revision, time to live in ms
-- returns  1 if it was stored
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' then -- otherwise there is no entry, and SET replaces any other value
  local revision = string.match(there, '^1 (%d+) ')
  if revision and tonumber(revision) > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
