// The filters of the admin API as options of a command.

import type { Command } from 'commander';
import { WaybillError } from '../outbox/errors.ts';
import { parseFilter, type Filter } from '../outbox/filter.ts';
import { kinds, statuses } from '../outbox/message.ts';
import { UsageError } from './exit.ts';
import { collect, single } from './options.ts';

export type FilterOptions = {
  readonly status?: readonly string[];
  readonly kind?: readonly string[];
  readonly name?: readonly string[];
  readonly queue?: readonly string[];
  readonly deliveryKey?: readonly string[];
  readonly errorContains?: string;
  readonly since?: string;
  readonly until?: string;
};

export function addFilter(command: Command): Command {
  return command
    .option('--status <status>', `${statuses.join(', ')} (the first five filters may repeat)`, collect)
    .option('--kind <kind>', kinds.join(', '), collect)
    .option('--name <name>', 'name of a job, event, listener or action', collect)
    .option('--queue <queue>', 'queue', collect)
    .option('--delivery-key <key>', 'delivery key', collect)
    .option('--error-contains <text>', 'part of the last error', single)
    .option('--since <time>', 'recorded at or after this time: ISO 8601 with its zone', single)
    .option('--until <time>', 'recorded at or before this time', single);
}

type Paging = { readonly limit?: string; readonly cursor?: string };

/** @throws UsageError when a value does not fit */
export function readFilter(options: FilterOptions & Paging): Filter {
  const { status, kind, name, queue, deliveryKey, errorContains, since, until, limit, cursor } = options;
  try {
    return parseFilter({ status, kind, name, queue, deliveryKey, errorContains, since, until, limit, cursor });
  } catch (error) {
    if (error instanceof WaybillError) throw new UsageError(error.code, error.message);
    throw error;
  }
}
