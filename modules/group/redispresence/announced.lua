-- Records that all of a node's users are registered.
--
-- KEYS[1]  hash of nodes (see renew.lua)
-- ARGV     id, epoch in which they were registered
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[2] and redis.call('HEXISTS', KEYS[1], 'n ' .. ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'a ' .. ARGV[1], '1')
  redis.call('HDEL', KEYS[1], 'w ' .. ARGV[1])
end
