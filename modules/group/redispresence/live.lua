-- Lists the nodes whose lease has not run out.
--
-- KEYS[1]  sorted set of nodes by the end of their lease in ms
-- returns  node ids
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
