-- What the scripts about the nodes share. The server may hold anything under the
-- key: what this package did not write counts as absent.
--
-- KEYS[1]  hash of nodes (see renew.lua)
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local broken = type(redis.pcall('HLEN', key)) == 'table'

-- Reads a time in ms. None is a day ahead.
local function ms(value)
  local n = tonumber(string.match(value or '', '^%d+$')) or 0
  return n < now + 86400000 and n or 0
end
local function at(field) return ms(redis.call('HGET', key, field)) end
