-- What take.lua and settle.lua share: how a counter is read and written (see contract.counters).
-- ARGV[1] is the calling worker. A window above 0 slides over so many seconds, 0 counts nothing
-- but what is held, one below 0 is a calendar period whose end, in Unix seconds, is its negative.

local LEASE, KEPT = 10000000, 172800
local MOST = 2 ^ 53 -- of what can be counted without loss
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local worker = ARGV[1]
local spendings, holdings = {}, {}

local function sliding(key, window)
  local width = window * 1000000 / 60
  local slot = math.floor(now / width)
  local state = redis.call('HMGET', key, 'n', 'f')
  local n, first = tonumber(state[1]) or 0, tonumber(state[2]) or slot
  if first > slot then
    -- The clock went back: as though all had been used now, so that it is free a window from now.
    redis.call('DEL', key)
    redis.call('HSET', key, 'n', n, 'f', slot, slot, n)
    redis.call('PEXPIRE', key, math.ceil(width * 62 / 1000))
    first = slot
  elseif first < slot - 60 then
    if first < slot - 180 then
      redis.call('DEL', key)
      n, first = 0, slot
    else
      local old = {}
      for s = first, slot - 61 do old[#old + 1] = s end
      local counts = redis.call('HMGET', key, unpack(old))
      for i = 1, #old do n = n - (tonumber(counts[i]) or 0) end
      redis.call('HDEL', key, unpack(old))
      first = slot - 60
      redis.call('HSET', key, 'n', n, 'f', first)
    end
  end
  return {n = n, first = first, slot = slot, width = width}
end

local function spending(key, window)
  local c = spendings[key]
  if c then return c end
  if window > 0 then
    c = sliding(key, window)
  else
    c = {n = 0}
    if window < 0 then
      local state = redis.call('HMGET', key, 'u', 'b', 'p')
      c.n = (tonumber(state[1]) or 0) + (tonumber(state[2]) or 0) + (tonumber(state[3]) or 0)
    end
  end
  c.taken, c.window = 0, window
  spendings[key] = c
  return c
end

local function spend(key, c, amount)
  if c.window > 0 then
    redis.call('HINCRBY', key, 'n', amount)
    if redis.call('HINCRBY', key, c.slot, amount) == amount then
      redis.call('HSETNX', key, 'f', c.first)
      redis.call('PEXPIRE', key, math.ceil(c.width * 62 / 1000))
    end
  elseif redis.call('HINCRBY', key, 'u', amount) == amount then
    redis.call('EXPIREAT', key, KEPT - c.window)
  end
end

-- What living workers hold; what dead ones held is dropped.
local function holding(key)
  local h = holdings[key]
  if h then return h end
  local flat, amounts, deadlines = redis.call('HGETALL', key), {}, {}
  for i = 1, #flat, 2 do
    if string.sub(flat[i], 1, 2) == 'd:' then
      deadlines[string.sub(flat[i], 3)] = tonumber(flat[i + 1])
    else
      amounts[flat[i]] = tonumber(flat[i + 1])
    end
  end
  h = {n = 0, taken = 0, deadline = deadlines[worker] or 0}
  for name, deadline in pairs(deadlines) do
    if deadline > now then
      h.n = h.n + (amounts[name] or 0)
      -- The clock went back.
      if deadline > now + LEASE then redis.call('HSET', key, 'd:' .. name, now + LEASE) end
    else
      redis.call('HDEL', key, name, 'd:' .. name)
    end
  end
  holdings[key] = h
  return h
end

local function renew(key)
  redis.call('HSET', key, 'd:' .. worker, now + LEASE)
  redis.call('PEXPIRE', key, LEASE / 500)
end

local function release(key, amount)
  if redis.call('HINCRBY', key, worker, -amount) <= 0 then redis.call('HDEL', key, worker) end
end
