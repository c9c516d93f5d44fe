-- Counts what calls used in place of what was held for them. A block for each tenant: the index of
-- the key with the number of this worker's last settlement, this one's number, how many counters
-- follow, and for each of them the indexes of its key and of what is held (0: nothing), its window,
-- how much is held no longer, and how much was used. A number that was seen is not counted again.

local a = 2
while a <= #ARGV do
  local seen, number, count = KEYS[tonumber(ARGV[a])], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  a = a + 3
  if number > tonumber(redis.call('GET', seen) or 0) then
    for i = a, a + 5 * count - 1, 5 do
      local key, held, freed = KEYS[tonumber(ARGV[i])], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 3])
      local used = tonumber(ARGV[i + 4])
      if held > 0 and freed > 0 then release(KEYS[held], freed) end
      if used > 0 then
        local c = spending(key, tonumber(ARGV[i + 2]))
        used = math.min(used, MOST - c.n)
        if used > 0 then spend(key, c, used) end
      end
    end
    redis.call('SET', seen, number, 'EX', 3600)
  end
  a = a + 5 * count
end
return 1
