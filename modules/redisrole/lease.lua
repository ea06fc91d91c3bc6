-- Announces a node, unless live nodes of another deployment are there.
--
-- KEYS[1]  sorted set of live nodes: "<database> <node>" by expiry in ms
-- ARGV     database, node, lease in ms
-- returns  {1 if this node is announced, else 0; other deployments' live nodes, at most 20; 1 if
--           the key was not a sorted set and was removed, else 0}
--
-- It always uses database 0. Pub/sub ignores database
-- numbers, so deployments in different databases receive each other's events.
redis.pcall('SELECT', '0')
local key, own = KEYS[1], ARGV[1] .. ' '
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local broken = type(redis.pcall('ZSCORE', key, own)) == 'table' -- an error
if broken then redis.call('PEXPIRE', key, 0) end -- removes the key without the right to DEL
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
local foreign = {}
for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
  if string.sub(member, 1, #own) ~= own and #foreign < 20 then
    foreign[#foreign + 1] = member
  end
end
local member = own .. ARGV[2]
if #foreign > 0 and not redis.call('ZSCORE', key, member) then
  return {0, foreign, 0}
end
redis.call('ZADD', key, now + ARGV[3], member)
redis.call('PEXPIRE', key, 2 * ARGV[3])
return {1, foreign, broken and 1 or 0}
