// Every file of src that takes texts apart with patterns or by splitting is in the table of parsers (test/support/parsers.ts), whose times
// test/pure/linear.test.ts measures, or stands here with the reason why no outside input reaches it.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What reads texts: a pattern with a quantifier, or a split. */
const reads =
  /\/(?![/*\s])(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])*[*+}](?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])*\/[gimsuvy]*[.,;)\s]|new RegExp\(|\.split\(/;

/** Files whose texts are our own, or the developer's, or bounded before they are read. */
const exempt: Readonly<Record<string, string>> = {
  'src/cli/application.ts': "paths of the application's files",
  'src/cli/options.ts': 'a number of at most nine digits, anchored, and names, split once',
  'src/cli/commands/outbox-drain.ts': 'an argument of the command line, anchored and bounded',
  'src/cli/commands/dev.ts': 'the name of this machine, anchored',
  'src/cli/exit.ts': 'codes of our own errors',
  'src/cron/zones.ts': 'what Intl wrote',
  'src/db/migrate.ts': 'names of files of migrations',
  'src/action/submittable.ts': "the author's own statement, its first words",
  'src/db/diagnosis.ts': 'what Postgres says of a connection',
  'src/db/qualified.ts': 'statements of our own',
  'src/db/script.ts': "files of the application's migrations",
  'src/db/url.ts': 'a URL of the configuration, read once',
  'src/config/connections.ts': 'roles of our own',
  'src/db/session-pool.ts': 'a URL of the configuration, read once',
  'src/db/settings.ts': 'settings of a session, as Postgres says them',
  'src/email/error.ts': 'an answer of which 2,000 characters are looked at',
  'src/email/report.ts': 'through the reports of the providers',
  'src/email/smtp/rules.ts': 'through decideEmail',
  'src/email/sendgrid/rules.ts': 'through decideEmail',
  'src/metrics/output.ts': 'lines of our own log',
  'src/node-version.ts': "Node's own version",
  'src/message/flow.ts': 'a key of at most 200 characters, anchored',
  'src/message/id.ts': 'a pattern of a fixed length',
  'src/cli/commands/outbox-read.ts': 'a stack that was stored, of at most 16,000 characters',
  'src/db/moment.ts': 'a time as Postgres writes it, anchored',
  'src/console/bulk-new.ts': 'a count and a search of at most 1,000 characters, without a repetition',
  'src/console/frame.ts': 'keys of our own',
  'src/operate/failures.ts': 'a group of errors of at most 300 characters, split at single characters',
  'src/console/cron-act.ts': 'a count of at most seven digits, anchored',
  'src/console/cron-form.ts': 'a field of at most 40 characters, anchored',
  'src/console/queue-groups.ts': 'the name of a queue or a group, of at most 200 characters',
  'src/http/console-session.ts': 'a header, which Node bounds to 16 kB, and a name of at most 100 characters',
  'src/http/origin.ts': 'a header or a path, which Node bounds to 16 kB',
  'src/operate/cursor.ts': 'through listMessages',
  'src/operate/order.ts': 'the place of a cursor, anchored and of a bounded length',
  'src/operate/search.ts': 'conditions of our own',
  'src/operate/person-needle.ts': 'an address of at most 1,000 characters',
  'src/operate/limits.ts': 'a number of at most nine digits, anchored',
  'src/queues/limits.ts': 'a rate of at most a dozen characters, anchored',
  'src/cli/commands/queue-flow.ts': 'an argument of the command line, anchored and bounded',
  'src/smtp/name.ts': 'the name of this machine, and a sender that was read before',
  'src/smtp/server.ts': 'through readConfig',
  'src/redaction/secrets.ts': 'through createRedactor',
  'src/define/action-error.ts': "a code in the author's sources",
  'src/define/typescript.ts': 'paths and sources of the application',
  'src/define/endpoint.ts': "the author's names, and an id of at most 130 characters, anchored",
  'src/webhook/response.ts': 'headers of an answer, which Node bounds to 16 kB',
  'src/define/app.ts': "names in the author's sources",
  'src/define/caller.ts': 'a stack of our own, made on the spot',
  'src/define/cron/schedule.ts': 'an expression that readExpression made, of a bounded length',
  'src/delivery/handover.ts': 'an address that was read before, of at most 254 characters',
  'src/drain/instrumentation.ts': 'a traceparent of a row, which a constraint bounds',
  'src/http/drain.ts': 'a header, which Node bounds to 16 kB; anchored',
  'src/http/inbox.ts': 'a search of at most 1,000 characters',
  'src/http/mail-parts.ts':
    'an index, anchored and bounded, and the name of a file, of at most 255 characters',
  'src/http/admin-openapi.ts': 'our own routes',
  'src/http/openapi.ts': "routes of the author's actions",
  'src/http/bare.ts': 'a request id of at most 128 characters',
  'src/http/front.ts': 'an address, which Node bounds to 16 kB; anchored',
  'src/http/server.ts': 'the path, split once',
  'src/console/addresses.ts': 'pages of our own, in which values are escaped',
  'src/config/catalogue.ts': 'the environment, which the operator sets',
  'src/metrics/text.ts': 'names of our own metrics',
  'src/outbox/sealing.ts': 'mailboxes of a payload of bounded size, each in one pass',
  'src/outbox/table.ts': 'files of sql/, and the name of a table in the sources',
  'src/process/heap.ts': 'flags of our own',
  'src/config/email-apis.ts': 'through readConfig',
  'src/config/provider-list.ts': 'through readConfig',
  'src/config/variables.ts': 'through readConfig',
  'src/dev/': "the developer's own machine and project",
  'src/transfer/bullmq-job.ts': 'the id of a job, anchored',
  'src/transfer/bullmq-survey.ts': 'the version that BullMQ wrote, anchored',
  'src/transfer/into-pg-boss.ts': 'a delivery key of at most 255 characters, anchored',
  'src/scaffold/': "the developer's own sources",
  'src/testing/': 'for tests alone',
};

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file));
}

const code = (file: string): string =>
  readFileSync(join(root, file), 'utf8').replaceAll(/^\s*(?:\/\/|\*|\/\*\*).*$/gm, '');
const readers = filesOf('src').filter((file) => reads.test(code(file)));
const inTable = new Set(
  [...code('test/support/parsers.ts').matchAll(/from '\.\.\/\.\.\/(src\/[^']+)'/g)].map(([, file]) => file!),
);
const isExempt = (file: string): boolean =>
  Object.keys(exempt).some((one) => (one.endsWith('/') ? file.startsWith(one) : one === file));

it('every file that reads texts has a row in test/support/parsers.ts, or a reason here', () => {
  expect(readers.filter((file) => !inTable.has(file) && !isExempt(file))).toEqual([]);
});

it('no reason outlives its file', () => {
  const superfluous = Object.keys(exempt).filter(
    (one) => !readers.some((file) => (one.endsWith('/') ? file.startsWith(one) : one === file)),
  );
  expect(superfluous).toEqual([]);
  expect(readers.length).toBeGreaterThan(30);
});
