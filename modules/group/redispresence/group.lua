-- Shared by the scripts that work on one group.
--
-- KEYS[1]  hash of users who are online: user -> ids of nodes separated by spaces
-- KEYS[2]  sorted set of users who are reconnecting, by the end of their grace
-- KEYS[3]  hash of the same users: user -> "reason ms", why and when they left
-- KEYS[4]  hash of live states: user -> "ms json"
-- KEYS[5]  sorted set of users who went offline lately, by the time they were last seen
-- KEYS[6]  hash of users whose grace ended, until a node has confirmed that it reported
--          them: user -> "reason ms ms", when the grace ended and when the user was last handed out
-- ARGV[1]  time to live of all keys; times are in ms
--
-- The server may hold any value under these keys. A key of the wrong type is removed, and
-- the call then fails with BROKEN before it has done anything else.
local here, graces, reasons, states, lately, ended = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local removed
for i, key in ipairs(KEYS) do
  local sorted = key == graces or key == lately
  local answer = redis.pcall(unpack(sorted and {'ZRANGE', key, 0, 0} or {'HLEN', key}))
  if type(answer) == 'table' and answer.err then
    redis.call('DEL', key)
    removed = key
  end
end
if removed then return redis.error_reply('BROKEN ' .. removed) end

-- A stored time is at most a day in the future.
local horizon = now + 86400000

local function text(ms) return string.format('%.0f', ms) end

local function wait(user, reason, since, till)
  redis.call('ZADD', graces, text(till), user)
  redis.call('HSET', reasons, user, reason .. ' ' .. text(since))
end

-- Ends a grace. Returns why and when the user left, or nothing if there was no grace.
local function unwait(user)
  local why = redis.call('HGET', reasons, user)
  local was = redis.call('ZREM', graces, user)
  redis.call('HDEL', reasons, user)
  if was == 0 then return end
  local reason, since = string.match(why or '', '^(%S+) (%d+)$')
  if not since or tonumber(since) > horizon then since = text(now) end
  return reason or 'dropped', since
end

-- Records when a user was last seen. Keeps this for keep ms, for at most `most` users.
local function saw(user, since, keep, most)
  redis.call('ZADD', lately, since, user)
  redis.call('ZREMRANGEBYSCORE', lately, '-inf', text(now - keep))
  redis.call('ZREMRANGEBYSCORE', lately, text(horizon), '+inf')
  redis.call('ZREMRANGEBYRANK', lately, 0, -most - 1)
end

-- Returns when the user's live state was set, if that is after the given time.
local function newer(user, at)
  local stored = string.match(redis.call('HGET', states, user) or '', '^(%d+) ')
  if stored and tonumber(stored) > at and tonumber(stored) < horizon then return stored end
end

local function live()
  for i = 1, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[1]) end
end
