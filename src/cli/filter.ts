// The filters of the admin API as options of a command.

import type { Command } from 'commander';
import { attemptOutcomes } from '../operate/filter.ts';
import { kinds, statuses } from '../message/message.ts';
import { deadCauses } from '../message/outcome.ts';
import { collect, single } from './options.ts';

const filters = [
  ...(['status', 'kind', 'name', 'queue', 'deliveryKey', 'outcome', 'cause'] as const),
  ...(['errorContains', 'since', 'until'] as const),
] as const;

export type FilterOptions = { readonly [Name in (typeof filters)[number]]?: string | readonly string[] };

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
  return filters.some((name) => options[name] !== undefined);
}

/** The filters among the options of a command. */
export function filterOf(options: FilterOptions): FilterOptions {
  return Object.fromEntries(
    filters.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  );
}
