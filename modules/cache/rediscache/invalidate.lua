-- Removes an entry that is older than a revision, or a value that is not an entry.
--
-- KEYS[1]  the entry: "1 <revision> <data>"
-- ARGV     revision
-- returns  1 if it was removed
local there = redis.pcall('GET', KEYS[1])
if not there then return 0 end
local revision = type(there) == 'string' and string.match(there, '^1 (%d+) ')
if revision and tonumber(revision) >= tonumber(ARGV[1]) then return 0 end
return redis.call('DEL', KEYS[1])
