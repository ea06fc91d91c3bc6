-- Says how many sockets a user has on a node, and counts those on the others.
--
-- KEYS[1]  hash of the user's nodes: node -> "<sockets> <expiry in ms>"
-- ARGV     node, sockets, ms after which they no longer count
-- returns  how many the user has on other nodes
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local others = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local sockets, expiry = string.match(all[i + 1], '^(%d+) (%d+)$')
  if not sockets or tonumber(expiry) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    others = others + tonumber(sockets)
  end
end
if ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%.0f', now + ARGV[3]))
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return others
