-- Waits again for users, after the server forgot whom it waited for, or from
-- another server.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 … user, reason, since, for how long, their live state as stored or ''; and again
for i = 2, #ARGV, 5 do
  local user = ARGV[i]
  if redis.call('HEXISTS', here, user) == 0 and not redis.call('ZSCORE', graces, user) then
    wait(user, ARGV[i + 1], tonumber(ARGV[i + 2]), now + ARGV[i + 3])
    if ARGV[i + 4] ~= '' then redis.call('HSETNX', states, user, ARGV[i + 4]) end
  end
end
live()
return redis.status_reply('OK')
