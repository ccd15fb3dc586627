// `waybill outbox failures|mute|unmute`: failures of the same error, name and cause, and those that nobody needs to see until they change.

import type { Command } from 'commander';
import { muteFailures, unmuteFailures } from '../../acts/failures.ts';
import { textOfMoment } from '../../db/moment.ts';
import { parseFilter } from '../../operate/filter.ts';
import { groupFailures, type Failures } from '../../operate/failures.ts';
import { readWindow, windows } from '../../operate/grouping.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { addFilter, type FilterOptions } from '../filter.ts';
import { single } from '../options.ts';
import { print, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type Options = Output & FilterOptions & { readonly window?: string; readonly limit?: string };

export function addOutboxFailures(outbox: Command): void {
  addFilter(outbox.command('failures').description('failures of the same error, name and cause'))
    .option('--window <span>', `${windows.join(', ')} (default: 24h)`, single)
    .option('--limit <count>', 'groups at most, 1 to 500 (default: 50)', single)
    .action(failures);
  for (const [name, act, what] of [
    ['mute', muteFailures, 'folds a group of failures away until it changes'],
    ['unmute', unmuteFailures, 'shows a muted group of failures again'],
  ] as const)
    addActor(outbox.command(name))
      .description(what)
      .argument('<key>', 'key of the group, as `outbox failures` shows it')
      .action(async (key: string, options: Output & ActorOptions) =>
        print(await withDatabase(({ db }) => act(db, actorOf(options), key)), options, ({ isMuted }) => [
          isMuted ? `muted ${key} until it changes` : `${key} is shown again`,
        ]),
      );
}

async function failures(options: Options): Promise<void> {
  const { window, limit, ...rest } = options;
  const asked = readWindow(window);
  const { limit: most, ...filter } = parseFilter({ ...rest, limit });
  print(await withDatabase(({ db }) => groupFailures(db, asked, filter, most)), options, lines);
}

function lines({ groups, rest, bound, since }: Failures): string[] {
  if (groups.length === 0) return [`nothing has failed since ${since.toISOString()}`];
  return [
    ...table(
      ['KEY', 'COUNT', 'DEAD', 'FIRST SEEN', 'LAST SEEN', 'NAME', 'CAUSE', 'VERSIONS', 'SAMPLE', 'ERROR'],
      groups.map((group) => [
        group.isMuted ? `${group.key} (muted)` : group.key,
        String(group.count),
        String(group.dead),
        textOfMoment(group.firstSeen),
        textOfMoment(group.lastSeen),
        group.name,
        group.cause ?? '–',
        group.versions.join(' ') || '–',
        group.sampleIds[0] ?? '',
        short(group.error || '–', 100),
      ]),
    ),
    ...(rest.count > 0 ? [`and ${rest.count} more in ${rest.groups} other groups`] : []),
    ...(bound.reached ? [`note: only the newest ${bound.messages} of the window were read`] : []),
  ];
}
