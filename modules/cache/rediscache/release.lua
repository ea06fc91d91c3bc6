-- Releases a lease, unless it has expired and another node has it.
--
-- KEYS[1]  the lease: the token of its owner
-- ARGV     the token
-- returns  1 if it was released
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
