-- Lists the live nodes of all deployments.
--
-- KEYS[1]  sorted set of live nodes (see lease.lua)
-- returns  "<database> <node>" of each node
redis.pcall('SELECT', '0')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nodes = redis.pcall('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
if nodes.err then return {} end -- not a sorted set: the next announcement replaces it
return nodes
