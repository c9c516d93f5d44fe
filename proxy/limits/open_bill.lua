-- Counts what a batch may use, until its bill is settled. KEYS[1] is the bill, the others are
-- counters. ARGV: the worker, the seconds for which the bill is kept, what is to be known when it
-- is settled, then for each counter its window and the amount. A bill that is there stays as it is.

if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'open', ARGV[3])
for k = 2, #KEYS do
  local key, window, amount = KEYS[k], tonumber(ARGV[2 * k]), tonumber(ARGV[2 * k + 1])
  local c = spending(key, window)
  amount = math.min(amount, MOST - c.n)
  if window < 0 then
    redis.call('HINCRBY', key, 'p', amount)
    redis.call('EXPIREAT', key, KEPT - window)
  elseif amount > 0 then
    spend(key, c, amount)
  end
  -- What was added, and in which slot of a sliding window.
  redis.call('HSET', KEYS[1], key, string.format('%.0f:%.0f', amount, c.slot or 0))
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
