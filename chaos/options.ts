// The command line of the harness. Whatever is wrong is said with the list of what there is, and ends it with exit code 2.

import { parseArgs } from 'node:util';
import { faultNames, type FaultName } from './fault.ts';
import { peerNames } from './peers/index.ts';

export type Options = {
  readonly minutes: number;
  readonly faults: readonly FaultName[];
  readonly seed: number;
  readonly rate: number;
  readonly json: boolean;
  /** Keep logs and journals although every promise held. */
  readonly logs: boolean;
  readonly soak: boolean;
  /** What is put under the faults. */
  readonly subject: string;
  /** Bugs to be put in and found; undefined: none. */
  readonly bugs: readonly string[] | undefined;
};

export const usage = `npm run chaos -- [--minutes 10] [--faults ${faultNames.join(',')}] [--seed N] [--rate ORDERS_A_SECOND] [--json] [--logs] [--peer ${peerNames.join('|')}]
npm run chaos -- --soak [--minutes 60]
npm run chaos -- --bugs | --bug NAME[,NAME] [--minutes 0.5]`;

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/**
 * @param bugNames the bugs that there are
 * @throws UsageError that names what is wrong, and what there is
 */
export function readOptions(args: readonly string[], bugNames: readonly string[]): Options {
  const { values } = parsed(args);
  const soak = values.soak === true;
  const given = values.faults?.split(',').filter((name) => name !== '');
  const faults = given === undefined || given.includes('none') ? [] : given;
  const stranger = faults.find((name) => !(faultNames as readonly string[]).includes(name));
  if (stranger !== undefined)
    throw new UsageError(`there is no fault ${stranger}; there are ${faultNames.join(', ')}, and none`);
  const named = values.bug?.split(',').filter((name) => name !== '');
  const unknown = named?.find((name) => !bugNames.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`there is no bug ${unknown}; there are ${bugNames.join(', ')}`);
  const subject = values.peer ?? 'waybill';
  if (subject !== 'waybill' && !peerNames.includes(subject))
    throw new UsageError(`there is no peer ${subject}; there are ${peerNames.join(', ')}`);
  const hunts = named !== undefined || values.bugs === true;
  return {
    minutes: positive('--minutes', values.minutes ?? (soak ? '60' : hunts ? '0.5' : '10'), 24 * 60),
    faults: given === undefined ? faultNames : (faults as FaultName[]),
    seed: seedOf(values.seed),
    rate: positive('--rate', values.rate ?? '6', 1_000),
    json: values.json === true,
    logs: values.logs === true,
    soak,
    subject,
    bugs: named ?? (values.bugs === true ? bugNames : undefined),
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string' },
        faults: { type: 'string' },
        seed: { type: 'string' },
        rate: { type: 'string' },
        json: { type: 'boolean' },
        logs: { type: 'boolean' },
        soak: { type: 'boolean' },
        peer: { type: 'string' },
        bugs: { type: 'boolean' },
        bug: { type: 'string' },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function positive(name: string, text: string, most: number): number {
  const value = Number(text);
  if (text.trim() === '' || !(value > 0) || value > most)
    throw new UsageError(
      `${name} is ${JSON.stringify(text)}, and must be a number above 0 and at most ${most}`,
    );
  return value;
}

function seedOf(text = 'random'): number {
  if (text === 'random') return Math.floor(Math.random() * 1e9);
  if (!/^\d{1,10}$/.test(text) || Number(text) > 0xffff_ffff)
    throw new UsageError(
      `--seed is ${JSON.stringify(text)}, and must be a whole number up to 4294967295, or random`,
    );
  return Number(text);
}
