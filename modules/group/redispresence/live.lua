-- Lists the live nodes: those whose lease has not expired, or all nodes while none is
-- considered dead (see renew.lua).
--
-- KEYS[1]  hash of nodes
-- ARGV     away, in ms
-- returns  {epoch or '', 1 while nodes still have to register their users, or after the nodes left, else 0; the time in ms; ids …, with "d " before each dead node that will be swept}
if broken then return {'', 0, string.format('%.0f', now)} end
local spared = now < at('hold') or now - at('beat') > tonumber(ARGV[1])
local settled = now >= at('settled')
local answer = {redis.call('HGET', key, 'epoch') or '', redis.call('HEXISTS', key, 'left'), string.format('%.0f', now)}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local kind = string.sub(fields[i], 1, 2)
  if kind == 'n ' and (spared or ms(fields[i + 1]) > now) then
    answer[#answer + 1] = string.sub(fields[i], 3)
  elseif kind == 'n ' or kind == 'd ' then
    answer[#answer + 1] = 'd ' .. string.sub(fields[i], 3)
  elseif kind == 'w ' and not settled then
    answer[2] = 1
  end
end
return answer
