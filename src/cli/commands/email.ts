// `waybill email test ADDRESS`: sends one mail through the real path and prints the provider's answer.

import type { Command } from 'commander';
import { parseDuration } from '../../duration.ts';
import { loadApp } from '../../define/load.ts';
import { tryEmail, type Trial } from '../../fleet/trial.ts';
import { createLog } from '../../metrics/log.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { wayOfMail } from '../mail-inspection.ts';
import { single } from '../options.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { leaveLater } from './release.ts';

type Options = Output & { readonly timeout?: string };

export function addEmail(program: Command): void {
  const email = program.command('email').description('try the way of an email');
  email
    .command('test')
    .description("send one mail through the real path and print the provider's answer")
    .argument('<address>', 'who gets it')
    .option('--timeout <duration>', 'how long to wait for it (default: 60s)', single)
    .action(async (address: string, options: Options) => {
      const trial = await test(address, options);
      print(trial, options, lines);
      if (!trial.sent) process.exitCode = exitCodes.failed;
      leaveLater();
    });
}

/** Also says how this process would send the mail; the fleet's processes should have the same configuration. */
type Told = Trial & { readonly mail: string };

async function test(address: string, { timeout = '60s', json }: Options): Promise<Told> {
  const timeoutMs = parseDuration(timeout);
  if (timeoutMs === undefined || timeoutMs < 1_000)
    throw new UsageError('invalid_duration', '--timeout must be a duration such as 60s, at least 1s');
  return withDatabase(async ({ config, db }) => {
    const app = await loadApp(config.app);
    const log = createLog({ level: config.logLevel, role: 'email test', destination: 2 });
    const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    if (!json) say(`sending to ${address} …`);
    const trial = await tryEmail(address, { config, app, db, log, clock: performance, pause, timeoutMs });
    return { ...trial, mail: wayOfMail(config, app) };
  });
}

function lines({ id, by, sent, answer, seconds, mail }: Told): string[] {
  return [
    `${sent ? 'accepted' : 'not sent'} after ${seconds.toFixed(1)} s: ${answer}`,
    `message ${id}, delivered by ${by === 'fleet' ? 'the fleet' : 'this process, because no relay and email worker run'}`,
    mail,
  ];
}
