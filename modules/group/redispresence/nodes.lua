-- Shared by the scripts that work on the nodes. The server may hold any value under the
-- key. A value that this package did not write counts as absent.
--
-- KEYS[1]  hash of nodes (see renew.lua)
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local broken = type(redis.pcall('HLEN', key)) == 'table'

-- Reads a time in ms. A time more than a day in the future counts as 0.
local function ms(value)
  local n = tonumber(string.match(value or '', '^%d+$')) or 0
  return n < now + 86400000 and n or 0
end
local function at(field) return ms(redis.call('HGET', key, field)) end
