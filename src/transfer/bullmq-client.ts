// The connection to the Redis of BullMQ: the one that BullMQ's own package opens, whatever it has for a driver.

import { loadPackage } from '../packages.ts';
import { WaybillError } from '../errors.ts';
import { reasonOf } from '../redaction/reason.ts';
import { bullmqScripts } from './bullmq-scripts.ts';
import { readRedisUrl } from './redis-url.ts';

/** The part of BullMQ's Queue that is used. */
type Queue = {
  readonly client?: Promise<Client>;
  getBackend?(): { readonly client: Promise<Client> };
  on(event: 'error', listener: (error: Error) => void): unknown;
  close(): Promise<void>;
};
type Script = { readonly numberOfKeys: number; readonly lua: string };
type Client = {
  defineCommand(name: string, script: Script): void;
  runCommand?(name: string, values: readonly unknown[]): Promise<unknown>;
};
type Bullmq = { readonly Queue: new (name: string, options: object) => Queue };

export type BullmqClient = {
  run(script: keyof typeof bullmqScripts, values: readonly (string | number)[]): Promise<unknown>;
  close(): Promise<void>;
};

/** Any queue: the scripts name the keys of each. */
const anyQueue = 'waybill-import';

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
  let broken: Error | undefined;
  const address = { url, ...readRedisUrl(url) };
  const connection = {
    ...address,
    retryStrategy: () => null,
    maxRetriesPerRequest: 1,
    connectTimeout: 5_000,
  };
  const unchanging = { skipMetasUpdate: true, skipVersionCheck: true };
  const queue = new package_.Queue(anyQueue, { connection, prefix, ...unchanging });
  queue.on('error', (error) => (broken ??= error));
  const reaching = async <T>(ask: () => Promise<T>): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      throw explained(error as Error, broken);
    }
  };
  const client = await reaching(async () => {
    const opened = await (queue.client ?? queue.getBackend!().client);
    for (const [name, lua] of Object.entries(bullmqScripts))
      opened.defineCommand(name, { numberOfKeys: 1, lua });
    return opened;
  });
  return {
    run: (script, values) => reaching(() => runOn(client, script, values)),
    close: () => queue.close(),
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
