-- What the scripts about one group share.
--
-- KEYS[1]  hash of users who are online: user -> ids of nodes separated by spaces
-- KEYS[2]  sorted set of users who are reconnecting, by the end of their grace
-- KEYS[3]  hash of the same users: user -> "reason ms", why and when they went
-- KEYS[4]  hash of live states: user -> "ms json"
-- KEYS[5]  sorted set of users who went offline lately, by when they were seen
-- KEYS[6]  hash of users whose grace ended, until a node has told of it: user -> "reason ms ms",
--          when it ended and when a node was last asked to tell
-- ARGV[1]  time to live of all of them; times are in ms
--
-- The server may hold anything under these keys. What is no hash or no sorted set
-- is removed, and the call fails with BROKEN before it did anything else.
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

-- No time that is stored is a day ahead.
local horizon = now + 86400000

local function text(ms) return string.format('%.0f', ms) end

local function wait(user, reason, since, till)
  redis.call('ZADD', graces, text(till), user)
  redis.call('HSET', reasons, user, reason .. ' ' .. text(since))
end

-- Ends a grace. Returns why and when the user went, or nothing.
local function unwait(user)
  local why = redis.call('HGET', reasons, user)
  local was = redis.call('ZREM', graces, user)
  redis.call('HDEL', reasons, user)
  if was == 0 then return end
  local reason, since = string.match(why or '', '^(%S+) (%d+)$')
  if not since or tonumber(since) > horizon then since = text(now) end
  return reason or 'dropped', since
end

-- Notes when a user was seen. Keeps this for so long, for so many users at most.
local function saw(user, since, keep, most)
  redis.call('ZADD', lately, since, user)
  redis.call('ZREMRANGEBYSCORE', lately, '-inf', text(now - keep))
  redis.call('ZREMRANGEBYSCORE', lately, text(horizon), '+inf')
  redis.call('ZREMRANGEBYRANK', lately, 0, -most - 1)
end

-- Returns when the user's live state was set, if that is after a time.
local function newer(user, at)
  local stored = string.match(redis.call('HGET', states, user) or '', '^(%d+) ')
  if stored and tonumber(stored) > at and tonumber(stored) < horizon then return stored end
end

local function live()
  for i = 1, #KEYS do redis.call('PEXPIRE', KEYS[i], ARGV[1]) end
end
