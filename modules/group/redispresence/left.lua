-- Records that all nodes move to another server, and removes one of them. A node that
-- missed this stops trusting the server, but does not consider the other nodes dead.
--
-- KEYS[1] hash of nodes (see renew.lua)
-- ARGV id, epoch
if redis.call('HGET', KEYS[1], 'epoch') == ARGV[2] then
  redis.call('HSET', KEYS[1], 'left', '1')
  redis.call('HDEL', KEYS[1], 'n ' .. ARGV[1], 'a ' .. ARGV[1], 'w ' .. ARGV[1])
end
return redis.status_reply('OK')
