-- Removes fields of a hash that still have a value.
--
-- KEYS[1]  hash
-- ARGV     field, value; these two again
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return redis.status_reply('OK')
