-- Says that this worker lives: what it holds counts on. ARGV[2] is 1 where the amounts replace what
-- is stored, after a lost connection; otherwise they are only for what is missing. Then an amount
-- for each key.

for i = 1, #KEYS do
  if ARGV[2] == '1' then
    redis.call('HSET', KEYS[i], worker, ARGV[i + 2])
  else
    redis.call('HSETNX', KEYS[i], worker, ARGV[i + 2])
  end
  renew(KEYS[i])
end
return 1
