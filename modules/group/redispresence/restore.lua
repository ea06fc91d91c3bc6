-- Stores data about users that the server lacks, because it lost its data or because
-- another server had it.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 how long users count as seen lately, 3 limit of such users
--       4 … user, reason of their grace or '', when they left or '', how long
--       the grace lasts, their live state as stored or '';
--       five values for each user
for i = 4, #ARGV, 5 do
  local user, reason, since, state = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 4]
  if redis.call('HEXISTS', here, user) == 1 then
    if state ~= '' and not newer(user, tonumber(string.match(state, '^%d+'))) then redis.call('HSET', states, user, state) end
  elseif since ~= '' and not redis.call('ZSCORE', graces, user) then
    if reason ~= '' then
      wait(user, reason, tonumber(since), now + ARGV[i + 3])
      if state ~= '' then redis.call('HSETNX', states, user, state) end
    elseif not redis.call('ZSCORE', lately, user) then
      saw(user, since, ARGV[2], ARGV[3])
    end
  end
end
live()
return redis.status_reply('OK')
