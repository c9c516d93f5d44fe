-- Counts what a batch used in place of what it might have. KEYS[1] is the bill, KEYS[2] the mark of
-- the tenant's calendar counters, the others are counters. ARGV: the worker, the seconds for which
-- it is known that the bill is closed, 1 where the batch used anything, then for each counter its
-- window and what is counted there. Answers 1, or 0 where it was closed before, and does nothing.
--
-- Of a bill that is not known the counters have lost what it counted: those of calendar periods are
-- to be filled again from the records, once the batch's own is among them. The answer is -1.

local bill, again = KEYS[1], 60
local known = redis.call('HGETALL', bill)
local added = {}
for i = 1, #known, 2 do added[known[i]] = known[i + 1] end
if added.closed then return 0 end
redis.call('DEL', bill)
redis.call('HSET', bill, 'closed', 1)
redis.call('EXPIRE', bill, ARGV[2])
if not added.open then
  local mark = redis.call('GET', KEYS[2])
  if mark and ARGV[3] == '1' then
    redis.call('SET', KEYS[2], string.format('%s:%.0f', string.match(mark, '^[^:]*'), time[1] + again))
  end
  return -1
end
for k = 3, #KEYS do
  local key, window, used = KEYS[k], tonumber(ARGV[2 * k - 2]), tonumber(ARGV[2 * k - 1])
  local amount, slot = string.match(added[key] or '0:0', '^(%d+):(%d+)$')
  amount, slot = tonumber(amount), tonumber(slot)
  if window > 0 then
    -- As though it had been known from the beginning, as long as that is in the window.
    local c = spending(key, window)
    local there = tonumber(redis.call('HGET', key, slot)) or 0
    local change = math.min(math.max(used - amount, -there), MOST - c.n)
    if slot >= c.first and change ~= 0 then
      redis.call('HINCRBY', key, slot, change)
      redis.call('HINCRBY', key, 'n', change)
    end
  elseif now < (KEPT - window) * 1000000 then
    if redis.call('HEXISTS', key, 'p') == 1 and redis.call('HINCRBY', key, 'p', -amount) <= 0 then
      redis.call('HDEL', key, 'p')
    end
    local c = spending(key, window)
    used = math.min(used, MOST - c.n)
    if used > 0 then spend(key, c, used) end
  end
end
return 1
