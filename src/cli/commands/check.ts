// `waybill check`: checks the application and the configuration without a database, for a build step.

import type { Command } from 'commander';
import type { App } from '../../define/app.ts';
import { horizonLine, horizonsOf, type Horizon } from '../../define/cron/horizon.ts';
import { loadApp } from '../../define/load.ts';
import { isWaybillError } from '../../errors.ts';
import { reasonOf } from '../../redaction/reason.ts';
import { problem, warning, type Finding } from '../../scaffold/finding.ts';
import { exitCodes } from '../exit.ts';
import { configOrFindings, inspectConfig, inspectCron, inspectKeys } from '../inspection.ts';
import { inspectPackages } from '../mail-inspection.ts';
import { counted, print, type Output } from '../print.ts';
import { leaveLater } from './release.ts';

type Report = {
  readonly ok: boolean;
  /** Definitions by kind; null when the application could not be loaded. */
  readonly counts: Readonly<Record<string, number>> | null;
  /** How long the messages of each definition are tried. */
  readonly horizons: readonly Horizon[];
  readonly findings: readonly Finding[];
};

export function addCheck(program: Command): void {
  program
    .command('check')
    .description(
      'check application and configuration without a database, for a build step; exit code 3 on a problem',
    )
    .action(async (options: Output) => {
      const report = await check();
      print(report, options, lines);
      if (!report.ok) process.exitCode = exitCodes.findings;
      leaveLater();
    });
}

async function check(): Promise<Report> {
  const loaded = await application();
  const app = 'app' in loaded ? loaded.app : null;
  const configured = configuration(app);
  const findings = [...configured, ...('findings' in loaded ? loaded.findings : warnings(loaded.app))];
  return {
    ok: !findings.some(({ severity }) => severity === 'problem'),
    counts: app && counts(app),
    horizons: app ? horizonsOf(app) : [],
    findings,
  };
}

/** A build has no database, so DATABASE_URL may be missing; every other problem is reported. */
function configuration(app: App | null): Finding[] {
  const { DATABASE_URL: url, WAYBILL_DATABASES: several } = process.env;
  const isNone = !url && !several;
  const configured = configOrFindings({
    ...process.env,
    ...(isNone && { DATABASE_URL: 'postgres://nobody@localhost/none' }),
  });
  if (Array.isArray(configured)) return configured;
  const ofApp = app ? [...inspectKeys(configured, app), ...inspectCron(configured, app)] : [];
  return [...inspectConfig(configured), ...inspectPackages(configured), ...ofApp];
}

async function application(): Promise<{ app: App } | { findings: Finding[] }> {
  try {
    return { app: await loadApp(process.env['WAYBILL_APP'] || 'app/index.ts') };
  } catch (error) {
    const code = isWaybillError(error) ? error.code : 'app_failed';
    const told =
      isWaybillError(error) && error.issues.length > 0
        ? error.issues.map(({ message }) => message)
        : [reasonOf(error, { bare: isWaybillError(error) })];
    return { findings: told.map((message) => problem(code, message)) };
  }
}

function warnings(app: App): Finding[] {
  const heard = new Set(app.listeners.map(({ event }) => event.name));
  const unheard = app.events.filter(({ name }) => !heard.has(name));
  return [
    ...unheard.map(({ name }) => warning('event_unheard', `nobody listens to the event ${name}`)),
    ...app.cron.notices.map((notice) => warning('cron_notice', notice)),
  ];
}

function counts({ actions, events, listeners, jobs, endpoints, cron }: App): Record<string, number> {
  return {
    actions: actions.length,
    events: events.length,
    listeners: listeners.length,
    jobs: jobs.length,
    endpoints: endpoints.length,
    cronJobs: cron.jobs.length,
  };
}

function lines({ ok, counts: found, horizons, findings }: Report): string[] {
  const all =
    found &&
    Object.entries(found).map(([what, n]) =>
      counted(n, what === 'cronJobs' ? 'cron job' : what.replace(/s$/, '')),
    );
  return [
    ...findings.map(({ severity, message, code }) => `${severity}: ${message} (${code})`),
    ...horizons.map(horizonLine),
    ...(ok && all ? [`the application is right: ${all.join(', ')}`] : []),
  ];
}
