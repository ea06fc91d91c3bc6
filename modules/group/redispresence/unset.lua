-- Removes fields of a hash if they still have the given values.
--
-- KEYS[1]  hash
-- ARGV     field, value; …
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return redis.status_reply('OK')
