-- Takes a lease that is free. A value that does not expire like a lease is not a lease.
--
-- KEYS[1]  the lease: the token of its owner
-- ARGV     the token, time to live in ms
-- returns  1 if it was taken, 2 if it replaced a value that is not a lease, else 0
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
local left = redis.call('PTTL', KEYS[1])
if left >= 0 and left <= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 2
