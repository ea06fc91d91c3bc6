-- Lists live nodes.
--
-- KEYS[1]  sorted set of live nodes (see lease.lua)
-- ARGV     database; empty: of every deployment
-- returns  node ids, or "<database> <node>" of every deployment
redis.pcall('SELECT', '0')
local own = ARGV[1] .. ' '
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local members = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
if ARGV[1] == '' then
  return members
end
local nodes = {}
for _, member in ipairs(members) do
  if string.sub(member, 1, #own) == own then
    nodes[#nodes + 1] = string.sub(member, #own + 1)
  end
end
return nodes
