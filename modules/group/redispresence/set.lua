-- Puts a node among those where users are, or takes it out. Every other node
-- counts, also a dead one that is not swept yet: who sweeps it tells.
--
-- KEYS[1]  hash of a group: user -> ids of nodes divided by spaces
-- ARGV     node, 1 to put and 0 to take out, 1 to name changes only, time to live (ms),
--          ids that the node had before divided by spaces, users …
-- returns  positions of the users whom no other node has
local key, node, here, changes = KEYS[1], ARGV[1], ARGV[2] == '1', ARGV[3] == '1'
local told, before = {}, {}
for id in string.gmatch(ARGV[5], '%S+') do before[id] = true end
for i = 6, #ARGV do
  local others, was = {}, false
  for id in string.gmatch(redis.call('HGET', key, ARGV[i]) or '', '%S+') do
    if id == node then
      was = true
    elseif not before[id] then
      others[#others + 1] = id
    end
  end
  if #others == 0 and (was ~= here or not changes) then told[#told + 1] = i - 5 end
  if was ~= here then
    if here then others[#others + 1] = node end
    if #others > 0 then
      redis.call('HSET', key, ARGV[i], table.concat(others, ' '))
    else
      redis.call('HDEL', key, ARGV[i])
    end
  end
end
redis.call('PEXPIRE', key, ARGV[4])
return told
