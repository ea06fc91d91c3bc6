-- Releases a node's lease.
--
-- KEYS[1]  sorted set of live nodes (see lease.lua)
-- ARGV     database, node
redis.pcall('SELECT', '0')
return redis.call('ZREM', KEYS[1], ARGV[1] .. ' ' .. ARGV[2])
