-- Renews a node's lease, or joins, and hands out the dead nodes to sweep.
--
-- A node joins under a new id, without an epoch. The epoch is the server's
-- memory: the first node creates it, and it is lost with all other data. A node
-- that knows another epoch enters its users again. Presence is unknown until the
-- nodes that it knew have done so too, or had the time to.
--
-- Nobody is dead while the server may have been out of reach for all nodes: when
-- no node came for a while, each is given the time to come.
--
-- KEYS[1]  hash: epoch, beat (last renewal by any node), hold (no node is dead
--          before), settled (end of the time to enter users again), and for a node
--          "n <id>" (end of its lease), "a <id>" (its users are entered),
--          "w <id>" (it must enter its users again), "d <id>" (dead; when another
--          node may sweep it), "s <id>" (dead because it stopped); times in ms;
--          left (the nodes have gone to another server: see left.lua)
-- ARGV     id, epoch, lease, settle, away, id given up or '', time to live (ms),
--          1: forget everything first if no node is alive, how many groups this node
--          has mended, these groups …, ids known to live …
-- returns  {epoch, 'ok' | 'new' (another epoch) | 'out' (considered dead) | 'left', live ids and those that must enter users, dead ids to sweep, "<id> stopped" among them, "<ms> <group>" of mended groups, 1 if the hash was no hash}
local id, known, old = ARGV[1], ARGV[2], ARGV[6]
local lease, settle, away = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local groups, peers = 10, 10 + ARGV[9]
if broken then redis.call('DEL', key) end -- as if the server had lost its data

local function set(field, ms) redis.call('HSET', key, field, string.format('%.0f', ms)) end

local left = redis.call('HEXISTS', key, 'left') == 1
if left and known ~= '' then return {'', 'left', {}, {}, {}, 0} end
local anew = left -- a node that joins knows where the nodes are
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
local live, dead, mended = {}, {}, {}
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
    live[#live + 1] = node -- the server may lose its data again before this node came
  elseif kind == 'w ' then
    redis.call('HDEL', key, fields[i])
  elseif kind == 'm ' and till + settle < now then
    redis.call('HDEL', key, fields[i]) -- every live node has come since
  elseif kind == 'm ' then
    mended[#mended + 1] = fields[i + 1] .. ' ' .. node
  elseif kind == 'd ' and till <= now then
    set('d ' .. node, now + lease)
    if redis.call('HEXISTS', key, 's ' .. node) == 1 then node = node .. ' stopped' end
    dead[#dead + 1] = node
  end
end
redis.call('PEXPIRE', key, ARGV[7])
return {epoch, status, live, dead, mended, broken and 1 or 0}
