-- Decides a batch of checks. Each is: how many calls want the same, how many limits there are, and
-- for each limit how many keys it has besides its counter's, the amount and the window. The second
-- key is that of what is held; without it the units are spent at once. The third must exist before
-- a calendar counter is believed. Where units are held, two more: the units of one call (-1: one
-- that is spent at once, and only the share is held), and how many more to hold for later calls (a
-- share; -1: none). The keys are in the order of the limits that have them.
--
-- Each is answered with: how many calls may go, the number of the limit that refuses for the
-- longest (0: none), the microseconds until it may grant one (-1: never, -2: its counter is not
-- known), what remains of each limit, and the share granted of each limit that asked for one.

local function wait(part, free)
  local c, need = part.c, part.unit - free
  if part.unknown then return -2 end
  if part.unit > part.limit then return -1 end
  if c.window < 0 and part.limit - c.n - c.taken < part.unit then
    return math.ceil(-c.window * 1000000 - now)
  end
  if c.window > 0 then
    local slots = {}
    for s = c.first, math.max(c.slot, c.first + 120) do slots[#slots + 1] = s end
    local counts = redis.call('HMGET', part.key, unpack(slots))
    for i = 1, #slots do
      need = need - (tonumber(counts[i]) or 0)
      if need <= 0 then return math.ceil((slots[i] + 61) * c.width - now) end
    end
    if c.taken >= need then return math.ceil(c.width * 61) end
  end
  return 1000000
end

-- Of the limits that cannot grant another call, the one that takes longest, and how long.
local function refusal(parts, granted)
  local tight, longest = 0, 0
  for p = 1, #parts do
    local part = parts[p]
    local free = math.max(0, part.free - granted * part.unit)
    if part.unknown or free < part.unit then
      local micros = wait(part, free)
      if micros < 0 then return p, micros end
      if micros > longest then tight, longest = p, micros end
    end
  end
  return tight, longest
end

local a, k = 2, 1

local function read_part()
  local key, more, limit = KEYS[k], tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  limit = math.min(limit, MOST)
  local part = {key = key, limit = limit, unit = 1, c = spending(key, tonumber(ARGV[a + 2]))}
  part.free = limit - part.c.n - part.c.taken
  if more > 0 then
    part.unit, part.share = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
    part.spent = part.unit < 0
    part.unit = math.abs(part.unit)
    part.h = holding(KEYS[k + 1])
    part.free = part.free - part.h.n - part.h.taken
    part.unknown = more > 1 and redis.call('EXISTS', KEYS[k + 2]) == 0
    a = a + 2
  end
  a, k = a + 3, k + 1 + more
  return part
end

local reply = {}
while a <= #ARGV do
  local wanted, count = tonumber(ARGV[a]), tonumber(ARGV[a + 1])
  a = a + 2
  local granted, parts = wanted, {}
  for p = 1, count do
    local part = read_part()
    parts[p] = part
    local fits = wanted
    if part.unknown then
      fits = 0
    elseif part.unit > 0 then
      fits = math.max(0, math.floor(part.free / part.unit))
    end
    granted = math.min(granted, fits)
  end
  local tight, micros = 0, 0
  if granted < wanted then tight, micros = refusal(parts, granted) end
  local group = {granted, tight, micros}
  local shares = {}
  for p = 1, count do
    local part = parts[p]
    local taken = granted * part.unit
    part.free = part.free - taken
    if part.h and not part.spent then
      part.h.taken = part.h.taken + taken
    else
      part.c.taken = part.c.taken + taken
    end
    if part.h and part.share >= 0 then
      local share = 0
      if granted > 0 then share = math.max(0, math.min(part.share, math.floor(part.free / 4))) end
      shares[#shares + 1] = share
      part.h.taken = part.h.taken + share
    end
    group[p + 3] = math.max(0, part.free)
  end
  for s = 1, #shares do group[#group + 1] = shares[s] end
  reply[#reply + 1] = group
end

for key, c in pairs(spendings) do
  if c.taken > 0 then spend(key, c, c.taken) end
end
for key, h in pairs(holdings) do
  if h.taken > 0 then
    redis.call('HINCRBY', key, worker, h.taken)
    if h.deadline < now + LEASE / 2 then renew(key) end
  end
end
return reply
