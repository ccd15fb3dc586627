// The scripts that run in the Redis of BullMQ. BullMQ has no call that takes a waiting or delayed job from its workers and keeps it: `remove` also removes
// a job that a worker has completed meanwhile, and a fetched job is run again when its lock expires. A script in Redis is atomic, so the one that removes a
// job's id from its list or set decides who has the job. The names of the keys are those of BullMQ 5 and 6.

/** Jobs of a state in the order in which workers would start them: the oldest of a list is its last. */
const idsOf = `
local function idsOf(base, state, start, count)
  local ids, scores = {}, {}
  if state == 'wait' or state == 'paused' then
    local length = redis.call('LLEN', base .. state)
    if start < length then
      local found = redis.call('LRANGE', base .. state, math.max(length - start - count, 0), length - start - 1)
      for i = #found, 1, -1 do ids[#ids + 1] = found[i] end
    end
  else
    local found = redis.call('ZRANGE', base .. state, start, start + count - 1, 'WITHSCORES')
    for i = 1, #found, 2 do ids[#ids + 1] = found[i]; scores[#ids] = found[i + 1] end
  end
  return ids, scores
end`;

/**
 * Why a job stays: it is of a flow, the next run of a scheduler, or without content. A parent keeps what its children returned, also when all of them have
 * ended and it waits itself. A job with `keepLastIfActive` is followed by the one in `dn:`, which BullMQ adds when the first one ends. A scheduler adds its
 * next run when a worker starts the one of its time; its earlier runs are jobs like others. BullMQ 4 has a digest in the ids of the runs.
 */
const staysAs = `
local function staysAs(base, state, id)
  local key = base .. id
  local scheduler, parent, deduplication = unpack(redis.call('HMGET', key, 'rjk', 'parentKey', 'deid'))
  if parent or redis.call('EXISTS', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful') > 0 then return 'flow' end
  if state ~= 'failed' then
    if deduplication and redis.call('EXISTS', base .. 'dn:' .. deduplication) == 1 then return 'flow' end
    local time = scheduler and redis.call('ZSCORE', base .. 'repeat', scheduler)
    if time and string.sub(id, 1, 7) == 'repeat:' and string.sub(id, -#time - 1) == ':' .. time then return 'next' end
  end
  return redis.call('HSTRLEN', key, 'data') == 0 and 'empty' or ''
end`;

/** What is read of a job, in the order of a `Row`. */
const fieldsOf = `
local function fieldsOf(base, id)
  local fields = redis.call('HMGET', base .. id, 'name', 'data', 'opts', 'timestamp', 'delay', 'priority', 'atm', 'attemptsMade', 'deid')
  for i = 1, 9 do fields[i] = fields[i] or '' end
  return fields
end`;

export const bullmqScripts = {
  /** KEYS: the prefix. ARGV: cursor, the prefix as a pattern. → cursor and names of queues. */
  waybillQueues: `
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2] .. ':*:meta', 'COUNT', 1000)
local names = {}
for _, key in ipairs(found[2]) do names[#names + 1] = string.sub(key, #KEYS[1] + 2, -6) end
return {found[1], names}`,
  /** KEYS: the queue with its colon. → counts of active, waiting for children, held; version; groups of BullMQ Pro, and the jobs in the first of them. */
  waybillCounts: `
local base, groups, grouped = KEYS[1], 0, 0
for _, kind in ipairs({'groups', 'groups:paused', 'groups:limit', 'groups:max'}) do
  if redis.call('TYPE', base .. kind).ok == 'zset' then
    groups = groups + redis.call('ZCARD', base .. kind)
    for _, id in ipairs(redis.call('ZRANGE', base .. kind, 0, 999)) do
      local key = base .. 'groups:' .. id
      if redis.call('TYPE', key).ok == 'list' then grouped = grouped + redis.call('LLEN', key) end
    end
  end
end
return {redis.call('LLEN', base .. 'active'), redis.call('ZCARD', base .. 'waiting-children'), redis.call('HLEN', base .. 'waybill-import'),
        redis.call('HGET', base .. 'meta', 'version') or '', groups, grouped}`,
  /** KEYS: the queue with its colon. ARGV: cursor. → cursor, and of each scheduler: its key, its pattern, its interval, its time zone. */
  waybillSchedules: `
local found = redis.call('ZSCAN', KEYS[1] .. 'repeat', ARGV[1], 'COUNT', 1000)
local rows = {}
for i = 1, #found[2], 2 do
  local its = redis.call('HMGET', KEYS[1] .. 'repeat:' .. found[2][i], 'pattern', 'every', 'tz')
  rows[#rows + 1] = {found[2][i], its[1] or '', its[2] or '', its[3] or ''}
end
return {found[1], rows}`,
  /** KEYS: the queue with its colon. ARGV: state, start, count. → of each name: itself, jobs that can be imported, jobs of flows; and the number read. */
  waybillNames: `${idsOf}${staysAs}
local base, state, names, counts = KEYS[1], ARGV[1], {}, {}
local ids = idsOf(base, state, tonumber(ARGV[2]), tonumber(ARGV[3]))
for _, id in ipairs(ids) do
  local name, stays = redis.call('HGET', base .. id, 'name') or '', staysAs(base, state, id)
  if not counts[name] then names[#names + 1] = name; counts[name] = {0, 0} end
  if stays == 'flow' then counts[name][2] = counts[name][2] + 1
  elseif stays == '' then counts[name][1] = counts[name][1] + 1 end
end
local rows = {}
for i, name in ipairs(names) do rows[i] = {name, counts[name][1], counts[name][2]} end
return {rows, #ids}`,
  /** KEYS: the queue with its colon. ARGV: state, start, count, bytes of data after which it stops. → rows of id, score, the job's fields, why it stays. */
  waybillRead: `${idsOf}${staysAs}${fieldsOf}
local base, state, bytes = KEYS[1], ARGV[1], 0
local ids, scores = idsOf(base, state, tonumber(ARGV[2]), tonumber(ARGV[3]))
local rows = {}
for i, id in ipairs(ids) do
  local row = {id, scores[i] or '', unpack(fieldsOf(base, id))}
  row[12] = staysAs(base, state, id)
  rows[i] = row
  bytes = bytes + #row[4]
  if bytes > tonumber(ARGV[4]) then break end
end
return rows`,
  /**
   * KEYS: the queue with its colon. ARGV: state, start and count of the page, then for each job its id, the digest of what was read of it, and what is held.
   * → ids that were taken. One scan of the list removes all of them: BullMQ's own LREM for each took 12 ms behind 75,000 jobs, and Redis does nothing else
   * meanwhile. Ids that moved by up to 1,000 places are found. The first LSET changes nothing: it is refused before a job is held, or not at all.
   */
  waybillTake: `${staysAs}${fieldsOf}
local base, state, start, count = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local isList, list, places, chosen, taken = state == 'wait' or state == 'paused', base .. state, {}, {}, {}
if isList then
  local length, around = redis.call('LLEN', list), math.max(count, 1000)
  local from, to = math.max(length - start - count - around, 0), length - math.max(start - around, 0) - 1
  if to >= from then
    for i, id in ipairs(redis.call('LRANGE', list, from, to)) do places[id] = from + i - 1 end
  end
end
for i = 4, #ARGV, 3 do
  local id = ARGV[i]
  local score = isList and (places[id] and '') or (not isList and redis.call('ZSCORE', list, id))
  if score and staysAs(base, state, id) == '' then
    local fields = fieldsOf(base, id)
    if redis.sha1hex(score .. '\\0' .. table.concat(fields, '\\0')) == ARGV[i + 1] then chosen[#chosen + 1] = i end
  end
end
if isList and #chosen > 0 then redis.call('LSET', list, places[ARGV[chosen[1]]], ARGV[chosen[1]]) end
for _, i in ipairs(chosen) do
  local id = ARGV[i]
  redis.call('HSET', base .. 'waybill-import', id, ARGV[i + 2])
  if isList then redis.call('LSET', list, places[id], '\\0') else redis.call('ZREM', list, id) end
  taken[#taken + 1] = id
end
if isList and #chosen > 0 then redis.call('LREM', list, -#chosen, '\\0') end
return taken`,
  /** KEYS: the queue with its colon. ARGV: cursor, count. → cursor, and ids each with what is held. */
  waybillHeld: `return redis.call('HSCAN', KEYS[1] .. 'waybill-import', ARGV[1], 'COUNT', ARGV[2])`,
  /**
   * KEYS: the queue with its colon. ARGV: ids. Deletes what BullMQ has of these jobs, and what is held of them. A deduplication that has a time of its own goes
   * on, as it does when a job ends. BullMQ's own script removeJob looks for a job in each list, which took 12 ms for each of 75,000 jobs.
   */
  waybillForget: `
local base = KEYS[1]
local most = redis.call('HGET', base .. 'meta', 'opts.maxLenEvents') or 10000
for _, id in ipairs(ARGV) do
  local key = base .. id
  local deduplication = redis.call('HGET', key, 'deid')
  local its = deduplication and base .. 'de:' .. deduplication
  if its and redis.call('GET', its) == id and redis.call('PTTL', its) == -1 then redis.call('DEL', its) end
  if redis.call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful') > 0 then
    redis.call('XADD', base .. 'events', 'MAXLEN', '~', most, '*', 'event', 'removed', 'jobId', id, 'prev', 'waiting')
  end
  redis.call('HDEL', base .. 'waybill-import', id)
end`,
} as const;
