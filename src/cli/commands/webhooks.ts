// `waybill webhooks replay`: sends webhooks of an endpoint again.

import type { Command } from 'commander';
import * as acts from '../../acts/webhooks.ts';
import { quoted } from '../../console/command.ts';
import { webhookQueue } from '../../define/messages.ts';
import { textOfMoment } from '../../db/moment.ts';
import type { GroupState } from '../../operate/groups.ts';
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
    .requiredOption('--since <time>', 'those recorded since then: 5d, 2h, 2026-12-01T08:00Z', single)
    .option('--all', 'delivered ones too')
    .option('--new-ids', 'give delivered ones new ids, so that a receiver does not take them for old ones')
    .option('--dry-run', 'only counts')
    .action(async (endpoint: string, options: Options) => {
      const { all = false, newIds = false, dryRun = false } = options;
      const given = { endpoint, since: pastTime('since', options.since)!, all, newIds };
      const [done, state] = await withDatabase(async ({ db, config: { maxPayloadBytes, payloadKeys } }) => [
        await (dryRun
          ? acts.previewReplay(db, given)
          : acts.replay({ db, maxPayloadBytes, payloadKeys }, actorOf(options), given, (soFar) =>
              say(`${soFar.retried + soFar.hastened + soFar.recorded} so far`),
            )),
        await acts.endpointState(db, endpoint),
      ]);
      const { retried, hastened, recorded } = done;
      const isNone = retried + hastened + recorded === 0;
      print({ ...done, dryRun, endpoint: state }, options, () => [
        `${dryRun ? 'would be sent again' : 'sent again'}: ${retried} dead, ${hastened} that wait for a later attempt, ${recorded} delivered`,
        ...(isNone
          ? [
              `none of ${endpoint} fits; \`waybill queues groups webhooks\` lists endpoints with waiting webhooks`,
            ]
          : []),
        ...closedLines(endpoint, state),
      ]);
    });
}

/** Nothing is sent to an endpoint that is closed. */
function closedLines(endpoint: string, { state, until }: GroupState): string[] {
  if (state === 'open' || state === 'failing') return [];
  const when = until === null ? 'somebody resumes it' : `${textOfMoment(until)}, or somebody resumes it`;
  const resume = `waybill queues resume ${webhookQueue} --group ${quoted(endpoint)}`;
  return [`${endpoint} is ${state}: nothing is sent to it until ${when}: \`${resume}\``];
}
