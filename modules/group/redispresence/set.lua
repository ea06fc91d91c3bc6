-- Records that users are on a node, or that they left it. The user's other nodes count even
-- if they are dead and not swept yet: the sweep reports the change.
--
-- KEYS, ARGV[1]  see group.lua
-- ARGV  2 node
--       3 ids that the node had before, separated by spaces
--       4 'put' (add), 'take' (remove), 'wait' (remove; a user on no other node begins a grace)
--         or 'lost' (like 'wait', from a node that died: it may not have reported that the
--         users on other nodes came back)
--       5 1: report a change even if nothing is new, because an earlier write may have been stored
--       6 grace, 7 reason, 8 1: do not record when they were last seen
--       9 how long users count as seen lately, 10 limit of such users
--       11 … users
-- returns  {now; for each user with a change to report: position, status ('back': online and
--          was reconnecting), state or ''}
local node, op, force, forget = ARGV[2], ARGV[4], ARGV[5] == '1', ARGV[8] == '1'
local before = {}
for id in string.gmatch(ARGV[3], '%S+') do before[id] = true end
local told = {text(now)}

local function tell(i, status)
  told[#told + 1] = i - 10
  told[#told + 1] = status
  told[#told + 1] = redis.call('HGET', states, ARGV[i]) or ''
end

for i = 11, #ARGV do
  local user = ARGV[i]
  local others, was, old = {}, false, false
  for id in string.gmatch(redis.call('HGET', here, user) or '', '%S+') do
    if id == node then was = true
    elseif before[id] then old = true
    else others[#others + 1] = id end
  end
  local alone = #others == 0
  if op == 'put' then
    if not was or old then
      others[#others + 1] = node
      redis.call('HSET', here, user, table.concat(others, ' '))
    end
    local waited = unwait(user)
    redis.call('ZREM', lately, user)
    redis.call('HDEL', ended, user)
    if waited or alone and (not was or force) then tell(i, waited and 'back' or 'online') end
  else
    if #others > 0 then
      if was or old then
        redis.call('HSET', here, user, table.concat(others, ' '))
        if op == 'lost' then tell(i, 'online') end
      end
    else
      redis.call('HDEL', here, user)
      if op == 'take' then
        local reason, since = unwait(user)
        redis.call('HDEL', states, user)
        if forget then
          redis.call('ZREM', lately, user)
        elseif was or old or force or reason then
          saw(user, since or text(now), ARGV[9], ARGV[10])
        end
        if was or old or force or reason then tell(i, 'offline') end
      elseif was or old or force then
        wait(user, ARGV[7], now, now + ARGV[6])
        tell(i, 'reconnecting')
      elseif not redis.call('ZSCORE', graces, user) then
        redis.call('HDEL', states, user) -- a state was set for a user who was never registered
      end
    end
  end
end
live()
return told
