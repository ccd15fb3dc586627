// The filters of the admin API as options of a command.

import type { Command } from 'commander';
import { attemptOutcomes } from '../operate/filter.ts';
import { kinds, statuses } from '../message/message.ts';
import { deadCauses } from '../message/outcome.ts';
import { collect, single } from './options.ts';

const filters = [
  ...([
    'status',
    'kind',
    'name',
    'queue',
    'deliveryKey',
    'to',
    'tag',
    'group',
    'orderKey',
    'requestId',
  ] as const),
  ...([
    'traceId',
    'parentId',
    'claimedBy',
    'payload',
    'outcome',
    'cause',
    'keyPrefix',
    'errorContains',
  ] as const),
  ...(['since', 'until', 'availableSince', 'availableUntil', 'deadSince'] as const),
] as const;

export type FilterOptions = { readonly [Name in (typeof filters)[number]]?: string | readonly string[] };

export function addFilter(command: Command): Command {
  return command
    .option(
      '--status <status>',
      `${statuses.join(', ')} (may repeat, as may the filters up to --cause)`,
      collect,
    )
    .option('--kind <kind>', kinds.join(', '), collect)
    .option('--name <name>', 'name of a job, event, listener or action', collect)
    .option('--queue <queue>', 'queue', collect)
    .option('--delivery-key <key>', 'delivery key', collect)
    .option('--to <address>', 'recipient of an email', collect)
    .option('--tag <tag>', 'tag; of several, messages with all of them', collect)
    .option('--group <group>', 'group', collect)
    .option('--order-key <key>', 'order key', collect)
    .option('--request-id <id>', 'request in which it was recorded', collect)
    .option('--trace-id <id>', 'trace, 32 hex digits', collect)
    .option('--parent-id <id>', 'message whose delivery recorded it', collect)
    .option('--claimed-by <worker>', 'worker that has it now', collect)
    .option('--payload <path=value>', 'value in the payload, such as customer.id=7', collect)
    .option('--outcome <outcome>', `with an attempt that ended ${attemptOutcomes.join(' or ')}`, collect)
    .option('--cause <cause>', `why it is dead: ${deadCauses.join(', ')}`, collect)
    .option('--key-prefix <text>', 'beginning of the delivery key', single)
    .option('--error-contains <text>', 'part of the last error', single)
    .option(
      '--since <time>',
      'recorded at this time or later: ISO 8601 with its zone, or before now: 1h',
      single,
    )
    .option('--until <time>', 'recorded before this time; 1h: an hour ago', single)
    .option('--available-since <time>', 'due at this time or later; now: later than now', single)
    .option('--available-until <time>', 'due before this time', single)
    .option('--dead-since <time>', 'dead since this time or later; 1h: in the last hour', single);
}

export function isFiltered(options: FilterOptions): boolean {
  return filters.some((name) => options[name] !== undefined);
}

/** The filters among the options of a command. */
export function filterOf(options: FilterOptions): FilterOptions {
  return Object.fromEntries(
    filters.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
}
