-- Renews a node's lease, or lets the node join, and hands out dead nodes to sweep.
--
-- A node joins with a new id and no epoch. The first node creates the epoch. The server
-- loses it only together with all its data. So a node that knows another epoch registers
-- its users again. Presence is unknown until the other nodes that it knows have done so, or
-- had time to.
--
-- No node is dead while the server may have been unreachable for all of them. If no node
-- renewed for a while, each gets time to renew first.
--
-- KEYS[1]  hash: epoch, beat (last renewal by any node), hold (until then no node
--          is dead), settled (end of the time to register users again), left (the nodes
--          have moved to another server: see left.lua), "m <group>" (when it was
--          repaired), and for a node "n <id>" (end of its lease), "a <id>" (its users
--          are registered), "w <id>" (it must register its users again), "d <id>" (dead;
--          when another node may sweep it), "s <id>" (dead because it stopped); times in ms
-- ARGV     id, epoch, lease, settle, away, id given up or '', time to live (ms),
--          1: discard all data first if no node is alive, how many groups this node
--          has repaired, these groups …, ids that this node knows as live …
-- returns  {epoch, 'ok' | 'new' (another epoch) | 'out' (considered dead) | 'left', live ids
--          and those that must register users, dead ids to sweep (a stopped node as "<id> stopped"),
--          "<ms> <group>" of repaired groups, 1 if the key was not a hash}
local id, known, old = ARGV[1], ARGV[2], ARGV[6]
local lease, settle, away = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local groups, peers = 10, 10 + ARGV[9]
if broken then redis.call('DEL', key) end -- as if the server had lost its data

local function set(field, ms) redis.call('HSET', key, field, string.format('%.0f', ms)) end

local left = redis.call('HEXISTS', key, 'left') == 1
if left and known ~= '' then return {'', 'left', {}, {}, {}, 0} end
local anew = left -- the joining node knows that the nodes use this server again
if ARGV[8] == '1' then
  anew = true
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if not left and string.sub(fields[i], 1, 2) == 'n ' and ms(fields[i + 1]) > now then anew = false end
  end
end
if anew then redis.call('DEL', key) end

local status = 'ok'
local epoch = redis.call('HGET', key, 'epoch')
if not epoch or epoch == '' then
  epoch = time[1] .. string.format('%06d', time[2])
  redis.call('HSET', key, 'epoch', epoch)
end
if known ~= epoch then
  status = 'new'
  if known ~= '' then
    set('settled', now + settle)
    for i = peers, #ARGV do
      if redis.call('HEXISTS', key, 'a ' .. ARGV[i]) == 0 then redis.call('HSET', key, 'w ' .. ARGV[i], '1') end
    end
  end
elseif redis.call('HEXISTS', key, 'n ' .. id) == 0 then
  return {epoch, 'out', {}, {}, {}, 0}
end

local beat = at('beat')
if beat > 0 and now - beat > away then set('hold', now + settle) end
set('beat', now)
set('n ' .. id, now + lease)
if old ~= '' then set('d ' .. old, 0) end
for i = groups, peers - 1 do set('m ' .. ARGV[i], now) end

local hold, settled = at('hold'), at('settled')
local live, dead, repaired = {}, {}, {}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local kind, node, till = string.sub(fields[i], 1, 2), string.sub(fields[i], 3), ms(fields[i + 1])
  if kind == 'n ' and till <= now and now >= hold then
    redis.call('HDEL', key, fields[i], 'a ' .. node, 'w ' .. node)
    kind, till = 'd ', 0
  end
  if kind == 'n ' then
    live[#live + 1] = node
  elseif kind == 'w ' and now < settled then
    live[#live + 1] = node -- keep it: the server may lose its data again before this node renews
  elseif kind == 'w ' then
    redis.call('HDEL', key, fields[i])
  elseif kind == 'm ' and till + settle < now then
    redis.call('HDEL', key, fields[i]) -- every live node has renewed since
  elseif kind == 'm ' then
    repaired[#repaired + 1] = fields[i + 1] .. ' ' .. node
  elseif kind == 'd ' and till <= now then
    set('d ' .. node, now + lease)
    if redis.call('HEXISTS', key, 's ' .. node) == 1 then node = node .. ' stopped' end
    dead[#dead + 1] = node
  end
end
redis.call('PEXPIRE', key, ARGV[7])
return {epoch, status, live, dead, repaired, broken and 1 or 0}
