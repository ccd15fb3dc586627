// `waybill webhooks replay`: sends webhooks of an endpoint again.

import type { Command } from 'commander';
import * as acts from '../../acts/webhooks.ts';
import { pastTime } from '../../operate/time.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { single } from '../options.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type Options = Output &
  ActorOptions & {
    readonly since: string;
    readonly all?: boolean;
    readonly newIds?: boolean;
    readonly dryRun?: boolean;
  };

export function addWebhooks(program: Command): void {
  const webhooks = program.command('webhooks').description('operate on the endpoints of webhooks');
  addActor(webhooks.command('replay'))
    .description('sends webhooks of an endpoint again that are dead or wait for a later attempt')
    .argument('<endpoint>', 'name of the definition, with :ID where it stands for many: customer:c1')
    .requiredOption('--since <time>', 'those recorded since then: 2h, 3d, 2026-12-01T08:00Z', single)
    .option('--all', 'delivered ones too')
    .option('--new-ids', 'give delivered ones new ids, so that a receiver does not take them for old ones')
    .option('--dry-run', 'only counts')
    .action(async (endpoint: string, options: Options) => {
      const { all = false, newIds = false, dryRun = false } = options;
      const given = { endpoint, since: pastTime('since', options.since)!, all, newIds };
      const done = await withDatabase(({ db, config: { maxPayloadBytes, payloadKeys } }) =>
        dryRun
          ? acts.previewReplay(db, given)
          : acts.replay({ db, maxPayloadBytes, payloadKeys }, actorOf(options), given, (soFar) =>
              say(`${soFar.retried + soFar.hastened + soFar.recorded} so far`),
            ),
      );
      const { retried, hastened, recorded } = done;
      const isNone = retried + hastened + recorded === 0;
      print({ ...done, dryRun }, options, () => [
        `${dryRun ? 'would be sent again' : 'sent again'}: ${retried} dead, ${hastened} that wait for a later attempt, ${recorded} delivered`,
        ...(isNone
          ? [
              `none of ${endpoint} fits; \`waybill queues groups webhooks\` lists endpoints with waiting webhooks`,
            ]
          : []),
      ]);
    });
}
