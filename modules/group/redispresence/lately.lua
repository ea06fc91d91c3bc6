-- Keeps who was there lately on another server.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 for how long it is kept when they were seen, 3 of how many users
--       4 … user, when they were seen; and again
for i = 4, #ARGV, 2 do
  if redis.call('HEXISTS', here, ARGV[i]) == 0 and not redis.call('ZSCORE', graces, ARGV[i]) and not redis.call('ZSCORE', lately, ARGV[i]) then
    saw(ARGV[i], ARGV[i + 1], ARGV[2], ARGV[3])
  end
end
live()
return redis.status_reply('OK')
