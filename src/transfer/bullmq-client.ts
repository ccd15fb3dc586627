// The scripts that run in the Redis of BullMQ. BullMQ has no call that takes a waiting or delayed job from its workers and keeps it: `remove` also removes
// a job that a worker has completed meanwhile, and a fetched job is run again when its lock expires. A script in Redis is atomic, so the one that removes a
// job's id from its list or set decides who has the job. The names of the keys are those of BullMQ 5 and 6.

import { loadPackage } from '../packages.ts';
import { WaybillError } from '../errors.ts';
import { reasonOf } from '../redaction/reason.ts';
import { readRedisUrl } from './redis-url.ts';

/** The part of BullMQ's Queue that is used. */
type Queue = {
  readonly client?: Promise<Client>;
  getBackend?(): { readonly client: Promise<Client> };
  getJobSchedulers?(): Promise<readonly Scheduler[]>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  close(): Promise<void>;
  disconnect(): Promise<void>;
};
type Scheduler = {
  readonly key: string;
  readonly pattern?: string;
  readonly every?: number | string;
  readonly tz?: string;
};
type Script = { readonly numberOfKeys: number; readonly lua: string };
type Client = {
  defineCommand(name: string, script: Script): void;
  runCommand?(name: string, values: readonly unknown[]): Promise<unknown>;
};
type Bullmq = { readonly Queue: new (name: string, options: object) => Queue };

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

/** A parent keeps what its children returned, also when all of them have ended and it waits itself. */
const isParent = `
local function isParent(key)
  return redis.call('EXISTS', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful') > 0
end`;

const scripts = {
  /** KEYS: the prefix. ARGV: cursor, the prefix as a pattern. → cursor and names of queues. */
  waybillQueues: `
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2] .. ':*:meta', 'COUNT', 1000)
local names = {}
for _, key in ipairs(found[2]) do names[#names + 1] = string.sub(key, #KEYS[1] + 2, -6) end
return {found[1], names}`,
  /** KEYS: the queue with its colon. → counts of active, waiting for children, held; version. */
  waybillCounts: `
local base = KEYS[1]
return {redis.call('LLEN', base .. 'active'), redis.call('ZCARD', base .. 'waiting-children'),
        redis.call('HLEN', base .. 'waybill-import'), redis.call('HGET', base .. 'meta', 'version') or ''}`,
  /** KEYS: the queue with its colon. ARGV: state, start, count. → of each name: itself, jobs that can be imported, jobs of flows; and the number read. */
  waybillNames: `${idsOf}${isParent}
local base, names, counts = KEYS[1], {}, {}
local ids = idsOf(base, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
for _, id in ipairs(ids) do
  local key = base .. id
  local name, scheduler, parent = unpack(redis.call('HMGET', key, 'name', 'rjk', 'parentKey'))
  name = name or ''
  if not counts[name] then names[#names + 1] = name; counts[name] = {0, 0} end
  if parent or isParent(key) then counts[name][2] = counts[name][2] + 1
  elseif not scheduler and redis.call('HSTRLEN', key, 'data') > 0 then counts[name][1] = counts[name][1] + 1 end
end
local rows = {}
for i, name in ipairs(names) do rows[i] = {name, counts[name][1], counts[name][2]} end
return {rows, #ids}`,
  /** KEYS: the queue with its colon. ARGV: state, start, count, bytes of data after which it stops. → rows of id, score, the job's fields. */
  waybillRead: `${idsOf}${isParent}
local base, bytes = KEYS[1], 0
local ids, scores = idsOf(base, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
local rows = {}
for i, id in ipairs(ids) do
  local key = base .. id
  local job = redis.call('HMGET', key, 'name', 'data', 'opts', 'timestamp', 'delay', 'priority', 'atm', 'attemptsMade', 'deid', 'rjk', 'parentKey')
  job[11] = job[11] or (isParent(key) and 'children')
  rows[i] = {id, scores[i] or '', unpack(job)}
  for j = 1, 13 do rows[i][j] = rows[i][j] or '' end
  bytes = bytes + #rows[i][4]
  if bytes > tonumber(ARGV[4]) then break end
end
return rows`,
  /** KEYS: the queue with its colon. ARGV: state, then for each job its id, the digest of its data, and what is held. → ids that were taken. */
  waybillTake: `${isParent}
local base, state, taken = KEYS[1], ARGV[1], {}
for i = 2, #ARGV, 3 do
  local id = ARGV[i]
  local data = redis.call('HGET', base .. id, 'data')
  if data and redis.sha1hex(data) == ARGV[i + 1] and not isParent(base .. id) then
    local removed
    if state == 'wait' or state == 'paused' then removed = redis.call('LREM', base .. state, -1, id)
    else removed = redis.call('ZREM', base .. state, id) end
    if removed == 1 then
      redis.call('HSET', base .. 'waybill-import', id, ARGV[i + 2])
      taken[#taken + 1] = id
    end
  end
end
return taken`,
  /** KEYS: the queue with its colon. ARGV: cursor, count. → cursor, and ids each with what is held. */
  waybillHeld: `return redis.call('HSCAN', KEYS[1] .. 'waybill-import', ARGV[1], 'COUNT', ARGV[2])`,
  /**
   * KEYS: the queue with its colon. ARGV: ids. Deletes what BullMQ has of these jobs, as its own script removeJob does, and what is held of them. That script
   * looks for a job in each list, which took 12 ms for each of 75,000 jobs.
   */
  waybillForget: `
local base = KEYS[1]
local most = redis.call('HGET', base .. 'meta', 'opts.maxLenEvents') or 10000
for _, id in ipairs(ARGV) do
  local key = base .. id
  local deduplication = redis.call('HGET', key, 'deid')
  if deduplication and redis.call('GET', base .. 'de:' .. deduplication) == id then
    redis.call('DEL', base .. 'de:' .. deduplication, base .. 'dn:' .. deduplication)
  end
  if redis.call('DEL', key, key .. ':logs', key .. ':dependencies', key .. ':processed', key .. ':failed', key .. ':unsuccessful') > 0 then
    redis.call('XADD', base .. 'events', 'MAXLEN', '~', most, '*', 'event', 'removed', 'jobId', id, 'prev', 'waiting')
  end
  redis.call('HDEL', base .. 'waybill-import', id)
end`,
} as const;

export type BullmqClient = {
  run(script: keyof typeof scripts, values: readonly (string | number)[]): Promise<unknown>;
  schedulers(queue: string): Promise<readonly Scheduler[]>;
  close(): Promise<void>;
};

/** Any queue: the scripts name the keys of each. */
const first = 'waybill-import';

/**
 * @param url of Redis
 * @throws WaybillError `package_missing`, `invalid_from`, `source_unreachable`
 */
export async function openBullmq(url: string, prefix: string): Promise<BullmqClient> {
  const package_ = loadPackage<Bullmq>('bullmq');
  if (package_ === undefined)
    throw new WaybillError(
      'package_missing',
      'this import needs the package of your queue, in the version that your application has: npm install bullmq ioredis',
    );
  const queues = new Map<string, Queue>();
  let broken: Error | undefined;
  const queueOf = (name: string): Queue => {
    const known = queues.get(name);
    if (known) return known;
    const address = { url, ...readRedisUrl(url) };
    const connection = {
      ...address,
      retryStrategy: () => null,
      maxRetriesPerRequest: 1,
      connectTimeout: 5_000,
    };
    const made = new package_.Queue(name, {
      connection,
      prefix,
      skipMetasUpdate: true,
      skipVersionCheck: true,
    });
    made.on('error', (error) => (broken ??= error));
    queues.set(name, made);
    return made;
  };
  const reaching = async <T>(ask: () => Promise<T>): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      throw explained(error as Error, broken);
    }
  };
  const client = await reaching(async () => {
    const queue = queueOf(first);
    const opened = await (queue.client ?? queue.getBackend!().client);
    for (const [name, lua] of Object.entries(scripts)) opened.defineCommand(name, { numberOfKeys: 1, lua });
    return opened;
  });
  return {
    run: (script, values) => reaching(() => runOn(client, script, values)),
    schedulers: (queue) => reaching(async () => (await queueOf(queue).getJobSchedulers?.()) ?? []),
    close: async () => void (await Promise.all([...queues.values()].map((queue) => queue.close()))),
  };
}

/** BullMQ 5 adds a method for each script. */
function runOn(client: Client, script: string, values: readonly unknown[]): Promise<unknown> {
  if (client.runCommand) return client.runCommand(script, [...values]);
  const method = (client as unknown as Record<string, (...values: readonly unknown[]) => Promise<unknown>>)[
    script
  ]!;
  return method.apply(client, [...values]);
}

/** ioredis names the errors that Redis answers with, and those of a connection that is closed while it waits. */
function explained(error: Error, broken: Error | undefined): Error {
  if (error.name === 'ReplyError') {
    if (/^(?:NOAUTH|WRONGPASS|LOADING)/.test(error.message)) return unreachable(error);
    return new WaybillError(
      'source_refused',
      `Redis (--from) refused a command: ${reasonOf(error, { bare: true })}`,
      [],
      { cause: error },
    );
  }
  const isOfConnection =
    broken !== undefined ||
    'errno' in error ||
    error.name === 'MaxRetriesPerRequestError' ||
    /^Connection is closed|^connect |timed? ?out/i.test(error.message);
  return isOfConnection ? unreachable(broken ?? error) : error;
}

function unreachable(error: unknown): WaybillError {
  return new WaybillError(
    'source_unreachable',
    `Redis (--from) does not answer: ${reasonOf(error, { bare: true })}`,
    [],
    { cause: error },
  );
}
