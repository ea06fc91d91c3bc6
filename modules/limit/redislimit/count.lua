-- Records how many sockets a user has on a node, and counts those on the other nodes.
--
-- KEYS[1]  hash of the user's nodes: node -> "<sockets> <expiry in ms>"
-- ARGV     node, sockets, ms after which the record expires
-- returns  {number of the user's sockets on other nodes, 1 if the key was not a hash, else 0}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local others = 0
local broken = type(redis.pcall('HLEN', KEYS[1])) == 'table' -- an error
if broken then redis.call('DEL', KEYS[1]) end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local sockets, expiry = string.match(all[i + 1], '^(%d+) (%d+)$')
  local left = sockets and expiry - now
  if not sockets or left <= 0 or left > 10 * ARGV[3] or tonumber(sockets) > 1e6 then -- expired, or not written by a node
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
return {others, broken and 1 or 0}
