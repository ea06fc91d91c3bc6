-- Waits again for users, after the server forgot whom it waited for.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 … user, reason, since, for how long; and again
for i = 2, #ARGV, 4 do
  if redis.call('HEXISTS', here, ARGV[i]) == 0 and not redis.call('ZSCORE', graces, ARGV[i]) then
    wait(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), now + ARGV[i + 3])
  end
end
live()
return redis.status_reply('OK')
