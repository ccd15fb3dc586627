// The databases of WAYBILL_DATABASES as text in and values out: no database.

import { describe, expect, it } from 'vitest';
import { shown, variables } from '../../src/config/catalogue.ts';
import { ConfigError, readConfig } from '../../src/config/config.ts';
import { eachDatabase } from '../../src/config/databases.ts';
import { warningsOf } from '../../src/config/warnings.ts';
import { addressOf, withDatabase } from '../../src/console/addresses.ts';
import { joined } from '../../src/metrics/text.ts';

const [eu, us] = ['postgres://u:geheim@eu.test/shop', 'postgres://u:geheim@us.test/shop'];
const list = `eu=${eu},us=${us}`;

function problems(env: Record<string, string>): string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message).not.toContain('geheim');
    return error.problems.map(({ variable, message }) => `${variable} ${message}`);
  }
  return [];
}

describe('WAYBILL_DATABASES', () => {
  it('is one configuration for each, and WAYBILL_DATABASE chooses one', () => {
    const config = readConfig({ WAYBILL_DATABASES: `eu=${eu}, us=${us}`, WAYBILL_SMTP_CONNECTIONS: '5' });
    expect(eachDatabase(config).map((one) => [one.database, one.databaseUrl, one.queueDatabaseUrl])).toEqual([
      ['eu', eu, eu],
      ['us', us, us],
    ]);
    expect(eachDatabase(config).map((one) => one.smtpConnections)).toEqual([2, 2]);
    const chosen = readConfig({ WAYBILL_DATABASES: list, WAYBILL_DATABASE: 'us' });
    expect(eachDatabase(chosen)).toEqual([chosen]);
    expect([chosen.database, chosen.databaseUrl, chosen.smtpConnections]).toEqual(['us', us, 5]);
  });

  it('leaves a fleet with DATABASE_URL alone as it was', () => {
    const config = readConfig({ DATABASE_URL: eu });
    expect(eachDatabase(config)).toEqual([config]);
    expect([config.database, config.databases]).toEqual([null, []]);
  });

  it.each([
    ['eu', 'entry 1 must be name=url; a comma in user or password is written %2C'],
    [`=${eu}`, `entry 1 needs a name of 1 to 30 lower-case letters, digits or '-', such as eu or us-2`],
    [`EU=${eu}`, `entry 1 needs a name of 1 to 30 lower-case letters, digits or '-', such as eu or us-2`],
    [
      `${'a'.repeat(31)}=${eu}`,
      `entry 1 needs a name of 1 to 30 lower-case letters, digits or '-', such as eu or us-2`,
    ],
    [`eu=${eu},us`, 'entry 2 must be name=url; a comma in user or password is written %2C'],
    [`eu=${eu},`, 'entry 2 must be name=url; a comma in user or password is written %2C'],
    [`${eu}?a=b`, 'entry 1 must be name=url; a comma in user or password is written %2C'],
    [`eu=mysql://x/y`, 'entry 1 (eu) must be a URL like postgres://user:password@host:5432/database'],
    [`eu=${eu},eu=${us}`, 'names eu twice'],
    [`eu=${eu},us=${eu}`, 'has the same URL for eu and us: each needs its own database'],
  ])('refuses %s', (value, problem) => {
    expect(problems({ WAYBILL_DATABASES: value })).toEqual([`WAYBILL_DATABASES ${problem}`]);
  });

  it('refuses a database or a queue beside it that nothing would serve, and an unknown choice', () => {
    expect(problems({ WAYBILL_DATABASES: list, DATABASE_URL: us })).toEqual([]);
    expect(problems({ WAYBILL_DATABASES: list, DATABASE_URL: 'postgres://other.test/shop' })).toEqual([
      'DATABASE_URL names a database that is not in WAYBILL_DATABASES, so that nothing would serve it: add it there, or unset it',
    ]);
    expect(problems({ WAYBILL_DATABASES: list, QUEUE_DATABASE_URL: us })).toEqual([
      'QUEUE_DATABASE_URL is for one database: with WAYBILL_DATABASES each database has its own queue; unset it',
    ]);
    expect(problems({ WAYBILL_DATABASES: list, WAYBILL_DATABASE: 'use' })).toEqual([
      'WAYBILL_DATABASE there is no database "use"; there are eu, us; was us meant?',
    ]);
    expect(problems({ DATABASE_URL: eu, WAYBILL_DATABASE: 'eu' })).toEqual([
      'WAYBILL_DATABASES is required when WAYBILL_DATABASE is set',
    ]);
    expect(problems({})).toEqual([
      'DATABASE_URL is required: postgres://user:password@host:5432/database (or WAYBILL_DATABASES, for several)',
    ]);
  });

  it('says of each URL whether it is protected, and of a rate that each database keeps it', () => {
    expect(problems({ WAYBILL_DATABASES: list, NODE_ENV: 'production' })).toEqual([
      expect.stringContaining('WAYBILL_DATABASES (eu) says nothing of TLS'),
      expect.stringContaining('WAYBILL_DATABASES (us) says nothing of TLS'),
    ]);
    const rated = readConfig({ WAYBILL_DATABASES: list, WAYBILL_EMAIL_RATE: '10' });
    expect(warningsOf(rated).find(({ code }) => code === 'rate_of_each_database')?.message).toBe(
      'WAYBILL_EMAIL_RATE holds for each of the 2 databases: together they send up to 20 emails a second',
    );
  });

  it('says that each database has an SMTP connection, where there are fewer', () => {
    const smtp = {
      WAYBILL_EMAIL_PROVIDER: 'smtp',
      SMTP_URL: 'smtp://mail.test',
      WAYBILL_EMAIL_FROM: 'a@b.test',
    };
    const said = (env: Record<string, string>) =>
      warningsOf(readConfig({ WAYBILL_DATABASES: list, ...smtp, ...env }))
        .filter(({ variable }) => variable === 'WAYBILL_SMTP_CONNECTIONS')
        .map(({ message }) => message);
    expect(said({ WAYBILL_SMTP_CONNECTIONS: '1' })).toEqual([
      'WAYBILL_SMTP_CONNECTIONS is 1, and a process that serves 2 databases opens one connection for each: up to 2',
    ]);
    expect(said({ WAYBILL_SMTP_CONNECTIONS: '2' })).toEqual([]);
    expect(said({ WAYBILL_SMTP_CONNECTIONS: '1', WAYBILL_DATABASE: 'us' })).toEqual([]);
  });

  it('is shown without its passwords', () => {
    const variable = variables.find(({ name }) => name === 'WAYBILL_DATABASES')!;
    expect(shown(variable, list)).toBe('eu=postgres://u:***@eu.test/shop,us=postgres://u:***@us.test/shop');
    expect(shown(variable, `eu=postgres://u:ge,heim@eu.test/shop`)).not.toMatch(/ge|heim/);
  });
});

describe('the metrics of several databases', () => {
  const text = (n: number): string =>
    `# HELP waybill_a A\n# TYPE waybill_a gauge\nwaybill_a{queue="x}"} ${n}\n# HELP waybill_b B\n# TYPE waybill_b gauge\nwaybill_b ${n}\n`;
  it('are one text in which each sample has its database, and each metric stands once', () => {
    const all = joined([
      { database: 'eu', text: `${text(1)}# HELP process_c C\n# TYPE process_c gauge\nprocess_c 3\n` },
      { database: 'us', text: text(2) },
    ]);
    expect(all.split('\n')).toEqual([
      '# HELP waybill_a A',
      '# TYPE waybill_a gauge',
      'waybill_a{database="eu",queue="x}"} 1',
      'waybill_a{database="us",queue="x}"} 2',
      '',
      '# HELP waybill_b B',
      '# TYPE waybill_b gauge',
      'waybill_b{database="eu"} 1',
      'waybill_b{database="us"} 2',
      '',
      '# HELP process_c C',
      '# TYPE process_c gauge',
      'process_c 3',
      '',
    ]);
  });
  it('stay as they are where there is one', () => {
    expect(joined([{ database: null, text: text(1) }])).toBe(text(1));
  });
});

describe('the addresses of a page', () => {
  it.each([
    ['/console', '/console?database=us'],
    ['/console/messages?status=dead', '/console/messages?status=dead&database=us'],
    ['/console/messages?database=eu', '/console/messages?database=eu'],
    ['/console#main', '/console?database=us#main'],
  ])('%s leads to %s', (address, expected) => {
    expect(addressOf(address, 'us')).toBe(expected);
  });

  it('keep the database in links, forms and frames, and nothing else changes', () => {
    const page = `<link href="/console/assets/console-1.css" /><a href="/console/messages?q=a&amp;limit=2">x</a>
      <form action="/console/audit"><button formaction="/inbox">y</button></form><form method="post" action="/console/sign-out"></form>
      <tr data-href="/console/messages/1"></tr><a href="https://a.test/console">z</a><p>&quot;/console&quot; href=&quot;/console&quot;</p>`;
    expect(withDatabase(page, 'us')).toBe(
      `<link href="/console/assets/console-1.css" /><a href="/console/messages?q=a&amp;limit=2&amp;database=us">x</a>
      <form action="/console/audit?database=us"><input type="hidden" name="database" value="us" /><button formaction="/inbox?database=us">y</button></form><form method="post" action="/console/sign-out?database=us"></form>
      <tr data-href="/console/messages/1?database=us"></tr><a href="https://a.test/console">z</a><p>&quot;/console&quot; href=&quot;/console&quot;</p>`,
    );
  });
});
