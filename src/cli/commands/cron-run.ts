// `waybill cron run NAME`: runs a job by hand, through the database or, for a project elsewhere, over HTTP.

import type { Command } from 'commander';
import { readScheduledAt } from '../../cron/manual.ts';
import type { RunView } from '../../cron/history.ts';
import { outboxChannel } from '../../outbox/notify.ts';
import { RemoteError, UsageError } from '../exit.ts';
import type { Actor } from '../../operate/audit.ts';
import { runCron } from '../../acts/cron.ts';
import { actorOf, addActor, userName, type ActorOptions } from '../actor.ts';
import { single } from '../options.ts';
import { print, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type Dispatched = Pick<RunView, 'id' | 'messageId'>;
type Options = Output &
  ActorOptions & { readonly scheduledAt?: string; readonly projectUrl?: string; readonly database?: string };

export function addCronRun(cron: Command): void {
  addActor(cron.command('run'))
    .description('run a job now; asked for twice, it runs twice')
    .argument('<name>', 'name of a job')
    .option(
      '--scheduled-at <time>',
      'the tick to stand for: milliseconds since 1970, or ISO 8601 (default: now)',
      single,
    )
    .option('--project-url <url>', 'over HTTP, with the key of WAYBILL_ADMIN_KEY', single)
    .action(async (name: string, { scheduledAt, projectUrl, ...options }: Options) => {
      const at = scheduledAt === undefined ? null : readScheduledAt(scheduledAt);
      const run =
        projectUrl === undefined
          ? await runHere(name, at, actorOf(options))
          : await runThere(projectUrl, name, at, actorOf(options), options.database);
      print(run, options, ({ id, messageId }) => [`run ${id} is dispatched as message ${messageId}`]);
    });
}

async function runHere(name: string, at: number | null, actor: Actor): Promise<Dispatched> {
  return withDatabase(async ({ db }) => {
    const run = await runCron(db, actor, name, at);
    await db.executeSql(`notify ${outboxChannel}`);
    return run;
  });
}

async function runThere(
  url: string,
  name: string,
  at: number | null,
  { by, reason }: Actor,
  database: string | undefined,
): Promise<Dispatched> {
  const base = projectUrl(url);
  const which = database === undefined ? '' : `?database=${encodeURIComponent(database)}`;
  const key = process.env['WAYBILL_ADMIN_KEY'];
  if (!key)
    throw new RemoteError(
      'unauthorized',
      'set WAYBILL_ADMIN_KEY to the key of the project: it is sent as the bearer key',
    );
  const response = await ask(new URL(`admin/cron/${encodeURIComponent(name)}/run${which}`, base), key, {
    ...(at !== null && { scheduledAt: at }),
    by,
    ...(reason !== null && { reason }),
  });
  const body = (await response.json().catch(() => null)) as Record<string, unknown> | null;
  if (response.ok && typeof body?.['id'] === 'string') return body as Dispatched;
  if (body === null || typeof body['code'] !== 'string')
    throw new RemoteError(
      'not_waybill',
      `${base.origin} answered ${response.status} as no web process of a project does`,
    );
  const { code, detail } = body;
  const hint = response.status === 401 ? ' (WAYBILL_ADMIN_KEY here and there must be the same)' : '';
  throw new RemoteError(code, `${base.origin} answered ${response.status}: ${String(detail)}${hint}`);
}

/** @throws UsageError `invalid_url`; a URL with an @ is not repeated, because it may hold a password */
function projectUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text.endsWith('/') ? text : `${text}/`) : undefined;
  if (text.includes('@'))
    throw new UsageError(
      'invalid_url',
      '--project-url must hold no user and no password: the project is asked with the key of WAYBILL_ADMIN_KEY',
    );
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '') return url;
  throw new UsageError(
    'invalid_url',
    `--project-url must be like https://shop.example or http://localhost:3000, not ${JSON.stringify(text.slice(0, 80))}`,
  );
}

async function ask(url: URL, key: string, body: object): Promise<Response> {
  try {
    return await fetch(url, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'x-waybill-operator': encodeURIComponent(userName('unknown')), // the server writes it to its log
      },
      body: JSON.stringify(body),
      redirect: 'error', // the key goes only to the host that was named
      signal: AbortSignal.timeout(15_000),
    });
  } catch (error) {
    const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
    throw new RemoteError(
      'unreachable',
      `${url.origin} cannot be reached: ${cause?.code ?? cause?.message ?? message}`,
      { cause: error },
    );
  }
}
