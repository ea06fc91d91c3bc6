-- Renews a node's lease.
--
-- KEYS[1]  sorted set of nodes by the end of their lease in ms
-- ARGV     node, lease in ms
-- returns  {1 when the node's lease had not run out, else 0; dead nodes, at most 10}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
local held = (ends and tonumber(ends) > now) and 1 or 0
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return {held, redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10)}
