// The filters of the admin API as options of a command.

import type { Command } from 'commander';
import { attemptOutcomes, parseFilter, type MessageFilter, type Paging } from '../operate/filter.ts';
import { kinds, statuses } from '../message/message.ts';
import { deadCauses } from '../message/outcome.ts';
import { collect, single } from './options.ts';

export type FilterOptions = {
  readonly status?: readonly string[];
  readonly kind?: readonly string[];
  readonly name?: readonly string[];
  readonly queue?: readonly string[];
  readonly deliveryKey?: readonly string[];
  readonly outcome?: readonly string[];
  readonly cause?: readonly string[];
  readonly errorContains?: string;
  readonly since?: string;
  readonly until?: string;
};

export function addFilter(command: Command): Command {
  return command
    .option('--status <status>', `${statuses.join(', ')} (the first seven filters may repeat)`, collect)
    .option('--kind <kind>', kinds.join(', '), collect)
    .option('--name <name>', 'name of a job, event, listener or action', collect)
    .option('--queue <queue>', 'queue', collect)
    .option('--delivery-key <key>', 'delivery key', collect)
    .option('--outcome <outcome>', `with an attempt that ended ${attemptOutcomes.join(' or ')}`, collect)
    .option('--cause <cause>', `why it is dead: ${deadCauses.join(', ')}`, collect)
    .option('--error-contains <text>', 'part of the last error', single)
    .option('--since <time>', 'recorded at this time or later: ISO 8601 with its zone', single)
    .option('--until <time>', 'recorded before this time', single);
}

export function isFiltered(options: FilterOptions): boolean {
  const { status, kind, name, queue, deliveryKey, outcome, cause, errorContains, since, until } = options;
  return [status, kind, name, queue, deliveryKey, outcome, cause, errorContains, since, until].some(
    (value) => value !== undefined,
  );
}

/** @throws WaybillError when a value is invalid */
export function readFilter(
  options: FilterOptions & { readonly limit?: string; readonly cursor?: string },
): MessageFilter & Paging {
  const { status, kind, name, queue, deliveryKey, outcome, cause, errorContains, since, until } = options;
  const { limit, cursor } = options;
  return parseFilter({
    status,
    kind,
    name,
    queue,
    deliveryKey,
    outcome,
    cause,
    errorContains,
    since,
    until,
    limit,
    cursor,
  });
}
