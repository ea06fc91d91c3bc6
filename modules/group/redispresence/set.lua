-- Puts a node among those where a user is, or takes it out.
--
-- KEYS[1]  hash of a group: user -> node ids divided by spaces
-- ARGV     user, node, 1 to put and 0 to take out, time to live in s, live nodes …
-- returns  1 when no other live node has the user: he came first, or went last
local user, node = ARGV[1], ARGV[2]
local live = {}
for i = 5, #ARGV do live[ARGV[i]] = true end
local others, alive, was = {}, false, false
for id in string.gmatch(redis.call('HGET', KEYS[1], user) or '', '%S+') do
  if id == node then
    was = true
  else
    others[#others + 1] = id
    alive = alive or live[id]
  end
end
if ARGV[3] == '1' then others[#others + 1] = node end
if #others > 0 then
  redis.call('HSET', KEYS[1], user, table.concat(others, ' '))
else
  redis.call('HDEL', KEYS[1], user)
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
if alive or (ARGV[3] == '1') == was then return 0 end
return 1
