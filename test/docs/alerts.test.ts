import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { gaugeFacts } from '../../src/metrics/gauges.ts';
import { alertNames, alertsText, dashboards, queries, recordingText, root } from '../support/dashboards.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { isMissing, promtool, promtoolPath } from '../support/promtool.ts';

const runbook = readFileSync(`${root}docs/runbook.md`, 'utf8');
const sections = runbook
  .split(/^## /m)
  .slice(1)
  .map((section) => {
    const [, name = '', body = ''] = /^(\S+)\n\n([\s\S]*)$/.exec(section) ?? [];
    const [, block = ''] = /^```\n([\s\S]*?)\n```\n/.exec(body) ?? [];
    return { name, body, commands: block === '' ? [] : block.split('\n') };
  });

/** Words of a command line; quotes hold one together. */
const words = (line: string): string[] =>
  [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);

/** Why `waybill` would not understand these words, or undefined. */
function objection([name, ...given]: readonly string[], at: Command): string | undefined {
  if (name === undefined) return at.options.length > 0 ? undefined : `${at.name()} alone does nothing`;
  const command = at.commands.find((one) => one.name() === name);
  if (!command) return at.commands.length > 0 ? `no command ${name} in ${at.name()}` : undefined;
  if (command.commands.length > 0) return objection(given, command);
  const options = given.filter((word) => word.startsWith('--'));
  const known = new Set(command.options.map((option) => option.long));
  return options.flatMap((word) => (known.has(word) ? [] : [`${name} has no ${word}`]))[0];
}

let database: TestDatabase;
beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());

describe('the runbook', () => {
  it('has a section for each alert and no other, and each alert names its own', () => {
    expect(sections.map(({ name }) => name).toSorted()).toEqual(alertNames.toSorted());
    const named = [
      ...alertsText.matchAll(/runbook_url: '\{\{ \$externalLabels\.docs \}\}docs\/runbook\.md#(\S+)'/g),
    ].map(([, anchor]) => anchor);
    expect(named).toEqual(alertNames.map((name) => name.toLowerCase()));
  });

  it.each(sections)('$name begins with a command that exists', async ({ commands }) => {
    expect(commands.length).toBeGreaterThan(0);
    for (const line of commands) {
      const [program, ...rest] = words(line);
      if (program === 'psql') await database.db.executeSql(rest.at(-1)!);
      else expect([program, objection(rest, await createProgram())]).toEqual(['waybill', undefined]);
    }
  });

  it('speaks only of commands that exist', async () => {
    const inline = [...runbook.matchAll(/`waybill ([^`]+)`/g)].map(([, line]) => words(line!));
    expect(inline.length).toBeGreaterThan(8);
    const objections = inline.map(async (line) => objection(line, await createProgram()));
    expect((await Promise.all(objections)).filter((one) => one !== undefined)).toEqual([]);
  });

  it('has no link to a section that is not there', () => {
    const anchors = [...runbook.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor]) => anchor!);
    for (const anchor of anchors) expect(alertNames.map((name) => name.toLowerCase())).toContain(anchor);
  });
});

describe('dashboards, rules and the catalogue', () => {
  const metrics = createMetrics({ version: 'x' });
  const counted = metrics.counted.map((metric) => metric as unknown as { name: string; type?: string });
  const names = [...counted, ...gaugeFacts].flatMap(({ name }) => [
    name,
    ...(name.endsWith('_seconds') ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : []),
  ]);
  const known = new Set([...names, 'waybill_scrape_stale']);

  it('ask only for metrics that exist', () => {
    const asked = [...queries.map(({ expr }) => expr), alertsText, recordingText].join('\n');
    const used = new Set([...asked.matchAll(/\bwaybill_\w+/g)].map(([name]) => name));
    expect([...used].filter((name) => !known.has(name))).toEqual([]);
  });

  it('alerts ask only for series that are recorded', () => {
    const recorded = new Set([...recordingText.matchAll(/record: (\S+)/g)].map(([, name]) => name));
    const used = [...`${alertsText}${recordingText}`.matchAll(/\bwaybill:[\w:]+/g)].map(([name]) => name);
    expect(used.filter((name) => !recorded.has(name))).toEqual([]);
  });

  it('never sum over web processes, which all tell the same: each selector stands in a max or a min', () => {
    const bare = queries.filter(({ expr }) =>
      /\bsum(?: by \([^)]*\))? ?\((?:rate|increase|waybill)/.test(expr),
    );
    expect(bare).toEqual([]);
    for (const { expr, where } of queries) {
      const selectors = expr.match(/waybill_\w+\{/g)?.length ?? 0;
      const held = expr.match(/\b(?:max|min)(?: by \([^)]*\))? ?\(/g)?.length ?? 0;
      expect(held, where).toBe(selectors);
    }
  });
});

describe('the dashboards', () => {
  it('are three, with different uids, and with variables for the data source, the fleet and its database', () => {
    expect(new Set(dashboards.map(({ uid }) => uid)).size).toBe(3);
    for (const { templating } of dashboards)
      expect(templating.list.map(({ name, type }) => [name, type])).toEqual([
        ['datasource', 'datasource'],
        ['job', 'query'],
        ['database', 'query'],
        ['docs', 'textbox'],
      ]);
  });

  it.each(dashboards)(
    '$title: every panel says what to do, asks the chosen data source and covers no other',
    ({ panels }) => {
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      for (const panel of panels.filter(({ type }) => type !== 'row')) {
        expect(panel.description?.length, panel.title).toBeGreaterThan(40);
        const sources = [panel.datasource, ...panel.targets!.map((target) => target.datasource)];
        expect(new Set(sources.map((source) => source?.uid)), panel.title).toEqual(
          new Set(['${datasource}']),
        );
      }
      const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, i) => `${x + (i % w)}/${y + Math.floor(i / w)}`),
      );
      expect(cells.length).toBe(new Set(cells).size);
      expect(Math.max(...panels.map(({ gridPos }) => gridPos.x + gridPos.w))).toBe(24);
    },
  );
});

describe('what leads on from a dashboard', () => {
  it('links of panels lead to sections of the runbook', () => {
    const urls = dashboards.flatMap(({ panels }) =>
      panels.flatMap(({ links = [] }) => links.map(({ url }) => url)),
    );
    expect(urls.length).toBeGreaterThan(15);
    const places = alertNames.map((name) => `\${docs}/runbook.md#${name.toLowerCase()}`);
    expect(urls.filter((url) => !places.includes(url))).toEqual([]);
  });

  it.each(dashboards)('$title marks deploys', ({ annotations }) => {
    expect(annotations.list.map(({ name }) => name)).toEqual(['Deploys']);
    expect(annotations.list[0]!.expr).toContain('waybill_build_info');
  });
});

describe.skipIf(isMissing(promtoolPath, 'promtool'))('promtool', () => {
  it('finds nothing wrong with the rules and the example of a configuration', async () => {
    const files = ['recording.yml', 'alerts.yml'].map((name) => `${root}prometheus/${name}`);
    expect(await promtool(['check', 'rules', ...files])).toMatchObject({ code: 0 });
    expect(await promtool(['check', 'config', `${root}prometheus/prometheus.yml`])).toMatchObject({
      code: 0,
    });
  });

  it('passes the tests of the rules, and there are two for each alert: firing and not firing', async () => {
    const { code, said } = await promtool(['test', 'rules', `${root}prometheus/alerts.test.yml`]);
    expect(code, said).toBe(0);
    const tests = readFileSync(`${root}prometheus/alerts.test.yml`, 'utf8')
      .split(/^ {2}- name: /m)
      .slice(1);
    for (const name of alertNames) {
      const its = tests.filter((test) => test.includes(`alertname: ${name}\n`));
      const silent = its.filter((test) => test.includes('exp_alerts: []'));
      expect(silent.length, name).toBeGreaterThan(0);
      expect(its.length - silent.length, name).toBeGreaterThan(0);
    }
  }, 300_000);
});
