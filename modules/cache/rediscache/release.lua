-- Gives a lease back, unless it ran out and another node has it.
--
-- KEYS[1]  the lease: who has it
-- ARGV     who gives it back
-- returns  1 when it was given back
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
