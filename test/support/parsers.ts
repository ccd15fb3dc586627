// Every parser of src that outside input reaches, for the test of their times (test/pure/linear.test.ts), and the files of src that
// read texts which nobody outside writes (test/pure/parsers.test.ts).

import { z } from 'zod';
import { parseArguments } from '../../src/action/arguments.ts';
import { readAddress } from '../../src/address/address.ts';
import { decodeWords } from '../../src/address/encoded-word.ts';
import { isEmailAddress, parseAddress, writeMailbox } from '../../src/address/mailbox.ts';
import { readAdminKey, readAdminKeys } from '../../src/config/admin-keys.ts';
import { choiceProblem, readDatabases } from '../../src/config/databases.ts';
import { namesIn, withoutVariable, withVariable } from '../../src/cli/env-file.ts';
import { table } from '../../src/cli/print.ts';
import { parseImportMap } from '../../src/transfer/import-map.ts';
import { jobOf as lineJob } from '../../src/transfer/ndjson.ts';
import { listRuns } from '../../src/cron/history.ts';
import { readScheduledAt } from '../../src/cron/manual.ts';
import { parseArray, parseTime } from '../../src/db/parsers.ts';
import { transactionStatement } from '../../src/db/statement.ts';
import { defineAction } from '../../src/define/action.ts';
import { argumentIssues } from '../../src/define/arguments.ts';
import { readExpression } from '../../src/define/cron/expression.ts';
import { zoneProblem } from '../../src/define/cron/zone.ts';
import { failureOf } from '../../src/delivery/failure.ts';
import { parseDuration } from '../../src/duration.ts';
import { decideEmail } from '../../src/email/decide.ts';
import { prepareEmail } from '../../src/email/email.ts';
import { EmailError } from '../../src/email/error.ts';
import { attachment, calendar, cidProblem } from '../../src/email/attachment.ts';
import { createGuard } from '../../src/email/guard.ts';
import { headers, lineProblem, unsubscribeUrl } from '../../src/email/header.ts';
import { createLogProvider } from '../../src/email/log.ts';
import { listEmails } from '../../src/email/mailbox.ts';
import { plainText } from '../../src/email/plain.ts';
import { refusalOf } from '../../src/email/api/answer.ts';
import { mailgunRefusal } from '../../src/email/mailgun/mailgun.ts';
import { parseMailgunReport } from '../../src/email/mailgun/report.ts';
import { parsePostmarkReport } from '../../src/email/postmark/report.ts';
import { parseSendgridReports } from '../../src/email/sendgrid/report.ts';
import { isFromMailgun, isFromPostmark, isFromSendgrid } from '../../src/webhook/provider.ts';
import { signedText } from '../../src/webhook/sns.ts';
import { postmarkRefusal, withoutInactive } from '../../src/email/postmark/postmark.ts';
import { resendRefusal } from '../../src/email/resend/answer.ts';
import { resendBody } from '../../src/email/resend/body.ts';
import { parseResendReport } from '../../src/email/resend/report.ts';
import { sendgridBody } from '../../src/email/sendgrid/body.ts';
import { sendgridRefusal } from '../../src/email/sendgrid/sendgrid.ts';
import { parseSesReport } from '../../src/email/ses/report.ts';
import { sesRefusal } from '../../src/email/ses/ses.ts';
import { suppress } from '../../src/email/suppression.ts';
import { checkInboxKey } from '../../src/http/auth.ts';
import { checkJson, parseBody } from '../../src/http/body.ts';
import { inputReader } from '../../src/http/inputs.ts';
import { linked, markup } from '../../src/console/markup.ts';
import { parsePayloadKeys } from '../../src/message/seal.ts';
import { nearest } from '../../src/nearest.ts';
import { readSearch } from '../../src/console/search.ts';
import { readSession } from '../../src/console/session.ts';
import { changesOf, typedOf } from '../../src/console/edit.ts';
import { mailSections } from '../../src/console/mail.ts';
import { headersOf } from '../../src/email/source.ts';
import { nextOf } from '../../src/console/sign-in.ts';
import { quoted } from '../../src/console/command.ts';
import { WaybillError } from '../../src/errors.ts';
import { endpointOf } from '../../src/define/messages.ts';
import { movedKey, readEndpointGroup } from '../../src/message/webhook.ts';
import { answerText, pathsOf } from '../../src/webhook/shown-answer.ts';
import { originOf } from '../../src/transfer/import-key.ts';
import { parseExactly, parseKeeping } from '../../src/transfer/exact-json.ts';
import { readMark } from '../../src/operate/replay.ts';
import { readPaths } from '../../src/operate/contents.ts';
import { parseFilter, whereOf } from '../../src/operate/filter.ts';
import { shaped } from '../../src/operate/texts.ts';
import { time } from '../../src/operate/time.ts';
import { readSnapshot } from '../../src/operate/changes.ts';
import { errorKey } from '../../src/operate/grouping.ts';
import { fromPlace, payloadOf, placesIn } from '../../src/outbox/notify.ts';
import {
  checkMessage,
  isDeliveryKey,
  isName,
  isQueueName,
  isTraceparent,
} from '../../src/message/message.ts';
import { isMessageId, listMessages } from '../../src/operate/read.ts';
import { readConfig } from '../../src/config/config.ts';
import { isBearer } from '../../src/process/health.ts';
import { maskAddresses } from '../../src/redaction/addresses.ts';
import { framesOf, placeOf } from '../../src/redaction/place.ts';
import { reasonOf } from '../../src/redaction/reason.ts';
import { cleanError, createRedactor, storable } from '../../src/redaction/redact.ts';
import { hideShapes } from '../../src/redaction/shapes.ts';
import { stackOf } from '../../src/redaction/stack.ts';
import { visibleJson, visibleLine, visibleText } from '../../src/redaction/visible.ts';
import { namingOf } from '../../src/scaffold/naming.ts';
import { traceIdOf } from '../../src/trace/trace.ts';
import { allowNothing, readAllowList } from '../../src/webhook/allow-list.ts';
import { readRange } from '../../src/webhook/public-address.ts';
import { secretsProblem, verifiedId } from '../../src/webhook/signature.ts';
import { readTarget } from '../../src/webhook/target-url.ts';
import { retryAfterOf } from '../../src/message/retry-after.ts';

export type Parser = { readonly name: string; readonly read: (text: string) => unknown };

const mail = { to: 'ann@b.test', subject: 'Hello', text: 'Hi' };
const from = { defaultFrom: 'Shop <shop@shop.test>' };
const email = (part: object) => prepareEmail({ ...mail, ...part }, from);
const about = { messageId: '<1@b.test>', idempotencyKey: '1', date: new Date(0), recipients: ['ann@b.test'] };

/** One that is asynchronous is measured until it first waits, which is after everything that it reads. */
const ignored = (promise: Promise<unknown>): void => void promise.catch(() => undefined);
const noDatabase = { executeSql: async () => ({ rows: [] }) };
const args = z.object({ to: z.string(), items: z.array(z.object({ sku: z.string() })).optional() });
const action = defineAction({ name: 'order', access: 'public', args, async handler() {} });
const answered = (text: string) => ({ status: 400, headers: new Headers(), text });
const variables = [
  'DATABASE_URL', 'QUEUE_DATABASE_URL', 'WAYBILL_APP', 'PORT', 'WAYBILL_API_KEY', 'WAYBILL_EMAIL_PROVIDER', 'WAYBILL_EMAIL_FROM', 'SMTP_URL',
  'RESEND_BASE_URL', 'RESEND_WEBHOOK_SECRET', 'RESEND_API_KEY', 'POSTMARK_SERVER_TOKEN', 'POSTMARK_STREAM', 'SENDGRID_API_KEY', 'MAILGUN_API_KEY', 'MAILGUN_DOMAIN', 'WAYBILL_EMAIL_RATE', 'WAYBILL_EMAIL_ALLOW', 'WAYBILL_QUEUES', 'WAYBILL_LEASE',
]; // prettier-ignore

/** A new parser gets a row here. */
export const parsers: readonly Parser[] = [
  // Bodies and what is in them
  { name: 'a body of HTTP', read: (text) => parseBody(Buffer.from(text), 'application/json') },
  { name: 'a text in a body', read: (text) => parseBody(Buffer.from(JSON.stringify({ text })), undefined) },
  { name: 'a key of a body', read: (text) => parseBody(Buffer.from(JSON.stringify({ [text]: 1 })), undefined) },
  { name: 'a Content-Type', read: (text) => parseBody(Buffer.from('{}'), text) },
  { name: 'values of a body', read: (text) => checkJson({ list: [text, { [text]: text }] }) },
  { name: 'unknown arguments', read: (text) => ignored(parseArguments(action, { to: 'a', [text]: 1 })) },
  {
    name: 'many unknown arguments',
    read: (text) => {
      const given = Object.fromEntries(Array.from({ length: text.length / 100 }, (_, i) => [text.slice(0, 60) + i, 1]));
      return argumentIssues(args, given, args.safeParse(given));
    },
  },
  { name: 'arguments of path and query', read: (text) => inputReader(action)({ params: {}, query: { to: text }, body: {} }) },
  { name: 'the nearest word', read: (text) => nearest(text, ['status', text.slice(1), 'queue']) },
  // Webhooks
  { name: 'the url of an endpoint', read: (text) => ['https://', 'https://a.test/', ''].map((start) => readTarget(`${start}${text}`, { allow: allowNothing, allowHttp: true })) },
  { name: 'receivers inside the network', read: (text) => [readAllowList([text]), readRange(text), readRange(`10.0.0.0/${text}`)] },
  { name: 'the secret of an endpoint', read: (text) => [secretsProblem([text]), secretsProblem([`whsec_${text}`])] },
  { name: 'Retry-After', read: (text) => [retryAfterOf(text, text, 0), retryAfterOf(`Mon, ${text}`, undefined, 0)] },
  // Addresses
  { name: 'a search of the console', read: (text) => readSearch(text) },
  { name: "the place after the console's sign-in", read: nextOf },
  { name: 'a session of the console', read: (text) => readSession(text, [{ variable: '', name: 'a', role: 'admin', key: 'k' }], 0) },
  { name: 'a word of a shell', read: quoted },
  { name: 'an address', read: readAddress },
  { name: 'an address or not', read: isEmailAddress },
  { name: 'a mailbox', read: parseAddress },
  { name: 'a mailbox in parts', read: (text) => [parseAddress({ name: text, address: 'a@b.test' }), parseAddress({ address: text })] },
  { name: 'a mailbox, written', read: (text) => writeMailbox({ name: text, address: 'a@b.test' }) },
  { name: 'encoded words', read: decodeWords },
  { name: 'masked addresses', read: maskAddresses },
  { name: 'an address of the suppression list', read: (text) => ignored(suppress(noDatabase as never, text, text)) },
  { name: 'the guard', read: (text) => [createGuard(['b.test'])(text), createGuard([text])('a@b.test')] },
  // Parts of emails
  { name: 'recipients', read: (text) => email({ to: Array.from({ length: text.length / 100 }, () => text.slice(0, 100)) }) },
  { name: 'a recipient, a sender, a reply address', read: (text) => email({ to: text, from: text, replyTo: text }) },
  { name: 'an invitation', read: (text) => calendar.safeParse({ method: 'REQUEST', content: `BEGIN:VCALENDAR\n${text}\nEND:VCALENDAR` }) },
  { name: 'images in html', read: (text) => [cidProblem(text, []), cidProblem(`<a src=cid:${text}`, [{ filename: 'a', content: 'a', cid: 'a' }])] },
  { name: 'a message in a message', read: (content) => attachment.safeParse({ filename: 'a', content, contentType: 'message/rfc822' }) },
  { name: 'the lines of a header', read: (text) => [lineProblem('X-A', text), headers.safeParse({ References: text })] },
  { name: 'a link in a header', read: (text) => unsubscribeUrl.safeParse(`https://b.test/${text}`) },
  { name: 'a subject', read: (text) => email({ subject: text }) },
  { name: 'a text', read: (text) => email({ text }) },
  { name: 'html', read: (text) => email({ html: text, text: undefined }) },
  { name: 'html in its elements', read: (text) => plainText(`<table><tr><td><pre>${text}</pre></td></tr></table>`) },
  { name: 'a header', read: (text) => email({ headers: { 'X-A': text, [text]: 'a' } }) },
  { name: 'unsubscribeUrl', read: (text) => [`https://b.test/${text}`, text].map((unsubscribeUrl) => email({ unsubscribeUrl })) },
  { name: 'the base64 of an attachment', read: (text) => email({ attachments: [{ filename: 'a', content: text, encoding: 'base64' }] }) },
  { name: "an attachment's name", read: (text) => email({ attachments: [{ filename: text, content: 'a' }] }) },
  { name: "an attachment's type", read: (text) => email({ attachments: [{ filename: 'a', content: 'a', contentType: `a/b; ${text}` }] }) },
  { name: 'an unknown field of an email', read: (text) => email({ [text]: 1 }) },
  { name: 'an email, shown', read: (text) => ignored(createLogProvider({ production: false, log: console, print: () => undefined }).send({ ...mail, from: { address: 'a@b.test' }, to: [{ address: 'a@b.test' }], text }, { ...about, signal: AbortSignal.timeout(1_000) })) },
  { name: 'a file for SendGrid', read: (text) => sendgridBody({ ...mail, from: { address: 'a@b.test' }, to: [{ address: 'ann@b.test' }], attachments: [{ filename: text, content: text, contentType: text }] }, about) },
  { name: 'an email for Resend', read: (text) => resendBody({ ...mail, from: { address: 'a@b.test', name: text }, to: [{ address: 'ann@b.test' }], text }, about) },
  // Messages
  { name: 'a message', read: (text) => checkMessage({ kind: 'job', name: 'a', queue: 'a', payload: { text, [text]: text } }, 1e8) },
  { name: 'the names of a message', read: (text) => [isName(text), isQueueName(text), isDeliveryKey(text)] },
  { name: 'a traceparent', read: (text) => [isTraceparent(text), isTraceparent(`00-${text}`), traceIdOf(text)] },
  { name: 'the payload of a NOTIFY', read: (text) => [placesIn(text)?.map(fromPlace), payloadOf([text]), payloadOf(text.split(' '))] },
  // Queries, cursors, ids
  { name: 'a filter', read: (text) => whereOf(parseFilter({ name: text, errorContains: text, deliveryKey: [text, text] })) },
  { name: 'the values of a filter in payloads', read: (text) => [`${text}=${text}`, text].map((one) => ignored((async () => readPaths([one]))())) },
  { name: 'the error of a group', read: errorKey },
  { name: 'an address, a trace or a parent in a filter', read: (text) => (['to', 'traceId', 'parentId'] as const).map((part) => ignored((async () => shaped(part, text))())) },
  { name: 'a status', read: (text) => parseFilter({ status: text }) },
  { name: 'a limit', read: (text) => parseFilter({ limit: text }) },
  { name: 'a time', read: (text) => time('since', text) },
  { name: 'an id', read: isMessageId },
  { name: 'a cursor', read: (text) => ignored(listMessages(noDatabase as never, { cursor: text })) },
  { name: 'the cursor and the search of the inbox', read: (text) => [ignored(listEmails(noDatabase as never, { cursor: text })), ignored(listEmails(noDatabase as never, { search: text }))] },
  { name: 'what a page has seen', read: readSnapshot },
  { name: 'a cursor of runs', read: (text) => ignored(listRuns(noDatabase as never, { cursor: text })) },
  { name: 'a password of HTTP', read: (text) => checkInboxKey({ headers: { authorization: `Basic ${text}` } } as never, [{ variable: 'v', name: 'n', role: 'admin', key: 'k' }]) },
  { name: 'the time of a run by hand', read: readScheduledAt },
  { name: 'keys of payloads', read: (text) => [parsePayloadKeys(text), parsePayloadKeys(`a:${text}`)] },
  { name: 'keys of people', read: (text) => [readAdminKey('v', text, 1, () => undefined), readAdminKeys('v', text, 1, () => undefined)] },
  { name: 'names of databases', read: (text) => [readDatabases('v', text, () => undefined), readDatabases('v', `a=postgres://a/b,${text}`, () => undefined), choiceProblem(text, ['eu', 'us'])] },
  { name: 'a bearer key', read: (text) => isBearer(text, 'k'.repeat(40)) },
  // What other servers say
  { name: 'a signature', read: (text) => verifiedId(Buffer.from('{}'), { 'webhook-id': text, 'webhook-timestamp': '1', 'webhook-signature': text }, 'whsec_aGVsbG8=') },
  { name: 'the body under a signature', read: (text) => verifiedId(Buffer.from(text), { 'webhook-id': 'a', 'webhook-timestamp': String(Math.floor(Date.now() / 1000)), 'webhook-signature': 'v1,a' }, 'whsec_aGVsbG8=') },
  { name: 'a report', read: (text) => parseResendReport(text, 'a') },
  { name: 'the recipients of a report', read: (text) => parseResendReport(JSON.stringify({ type: 'email.bounced', data: { email_id: 'a', to: [text, `${text} <a@b.test>`, `"${text}" <a@b.test>`], bounce: { message: text } } }), 'a') },
  { name: 'a report of Postmark', read: (text) => parsePostmarkReport(JSON.stringify({ RecordType: 'Bounce', MessageID: 'a', Email: text, Type: text, Description: text })) },
  { name: 'a report of SendGrid', read: (text) => parseSendgridReports(JSON.stringify([{ event: 'bounce', email: text, sg_event_id: 'a', sg_message_id: 'a', reason: text }, { event: 'bounce', sg_event_id: text, sg_message_id: text }])) },
  { name: 'a report of Mailgun', read: (text) => parseMailgunReport(JSON.stringify({ 'event-data': { event: 'failed', id: 'a', recipient: text, reason: text, message: { headers: { 'message-id': 'a' } } } })) },
  { name: 'a report of SES', read: (text) => [parseSesReport(JSON.stringify({ eventType: 'Bounce', mail: { messageId: 'a', tags: { waybill_message: [text] } }, bounce: { bounceType: text, bounceSubType: text, bouncedRecipients: [{ emailAddress: text, diagnosticCode: text }] } }), 'a'), parseSesReport(JSON.stringify({ eventType: text, mail: { messageId: 'a' } }), 'a')] },
  { name: 'an answer of an endpoint', read: (text) => answerText({ status: 200, text, location: undefined, retryAfter: undefined }, 1, ['whsec_aGVsbG8=', text || 'a', ...pathsOf(new URL(`https://a.test/${encodeURIComponent(text.slice(0, 200))}/${text.slice(0, 1_000)}`))]) },
  { name: 'numbers of a payload', read: (text) => [JSON.stringify({ text }), `{"n":[${text}]}`, `[${'1'.repeat(text.length / 100)}.${text.length}]`].map(parseExactly) },
  { name: 'a long number of a payload', read: (text) => parseExactly(`[1.${'0'.repeat(text.length)}1]`) },
  { name: 'a long number of a line', read: (text) => parseKeeping(`[1.${'0'.repeat(text.length)}1]`) },
  { name: 'a name of messages', read: (text) => endpointOf(`webhook:${text}`) },
  { name: 'a group that is an endpoint', read: (text) => [readEndpointGroup(text), movedKey(text, `a:${text}`, `a:${text}`)] },
  { name: 'the origin of a message', read: (text) => originOf({ deliveryKey: text, tags: [`import:pg-boss:${text}`] }) },
  { name: 'where a replay goes on', read: (text) => readMark(text) },
  { name: 'the text that SNS signs', read: (text) => signedText({ Type: 'Notification', MessageId: 'a', TopicArn: text, Message: text, Timestamp: text, SignatureVersion: '1', SigningCertURL: text }) },
  { name: 'proofs of providers', read: (text) => [isFromPostmark({ authorization: text }, 'a:b'), isFromMailgun({ timestamp: text, token: text, signature: text }, 'a', 0), isFromSendgrid(Buffer.from(text), { 'x-twilio-email-event-webhook-timestamp': text }, '', 0)] },
  { name: 'an answer of Resend', read: (text) => resendRefusal(answered(JSON.stringify({ name: text, message: text }))) },
  { name: 'an answer of Postmark', read: (text) => [postmarkRefusal(answered(JSON.stringify({ ErrorCode: 300, Message: text }))), withoutInactive({ accepted: ['ann@b.test'], rejected: [], response: '' }, `will not deliver to these inactive addresses: ${text}`)] },
  { name: 'an answer of SendGrid', read: (text) => sendgridRefusal(answered(JSON.stringify({ errors: [{ message: text, field: text }] }))) },
  { name: 'an answer of SES', read: (text) => [sesRefusal(answered(JSON.stringify({ __type: text, message: text }))), sesRefusal(answered(JSON.stringify({ __type: `a#${text}` })))] },
  { name: 'an answer of Mailgun', read: (text) => [mailgunRefusal(answered(text)), mailgunRefusal(answered(JSON.stringify({ message: `try again after ${text}` })))] },
  { name: 'a Retry-After', read: (text) => refusalOf({ ...answered(''), headers: { get: () => text } as never }, {}) },
  { name: 'the text of an error', read: (text) => failureOf(new Error(text)) },
  { name: 'the text of an error of ours', read: (text) => failureOf(new WaybillError('a', text, [{ path: text, message: text }])) },
  { name: 'an error that is kept', read: cleanError },
  { name: 'what looks like a secret', read: hideShapes },
  { name: 'secrets of the environment', read: (text) => createRedactor({ RESEND_API_KEY: 're_0123456789abcdef', DATABASE_URL: 'postgres://a:b%23cdefgh@h/d' }).text(`${text} a@b.test`) },
  { name: 'a text that is stored', read: storable },
  { name: 'a stack', read: (text) => [framesOf(text), placeOf(`Error: a\n    at ${text}`), stackOf(Object.assign(new Error(text), { stack: text }))] },
  { name: 'the reason of an error', read: (text) => reasonOf(new Error(text, { cause: new Error(text) })) },
  { name: 'what a terminal shows', read: (text) => [visibleLine(text), visibleText(text), visibleJson(text)] },
  { name: 'an answer of SMTP', read: (text) => decideEmail(new EmailError(text, { provider: 'smtp', phase: 'answered', responseCode: 550, command: 'DATA' })) },
  { name: 'a refusal of an HTTP API', read: (text) => ['resend', 'postmark', 'sendgrid', 'ses', 'mailgun'].map((provider) => decideEmail(new EmailError(text, { provider, phase: 'answered', status: 400, code: '300' }))) },
  { name: 'a statement', read: (text) => [transactionStatement(`commit ${text}`), transactionStatement(`${text} begin`)] },
  { name: 'a value of Postgres', read: (text) => [parseTime(text), parseArray(`{${text}}`), parseArray(`{"${text}`)] },
  { name: 'a mail in the inbox', read: (text) => [linked(text), markup`${text}`] },
  { name: 'an edited message', read: (text) => [ignored((async () => changesOf({ kind: 'email', payload: { to: [text] } }, { to: text, cc: text, bcc: text, subject: text, text, html: text, payload: text, deliveryKey: text }))()), typedOf({ kind: 'email', payload: { to: [{ name: text, address: text }] } })] },
  { name: 'the parts of a mail', read: (text) => [headersOf(text), mailSections({ from: 'a', recipients: [], subject: text, html: `${text} src = "${text}`, text, headers: headersOf(text), attachments: [] }, { html: 'a', source: 'a', attachment: String })] },
  // Configuration and commands
  { name: 'the variables', read: (text) => readConfig(Object.fromEntries(variables.map((name) => [name, text]))) },
  { name: 'the variables of AWS', read: (text) => readConfig({ WAYBILL_EMAIL_PROVIDER: 'ses', AWS_ACCESS_KEY_ID: text, AWS_SECRET_ACCESS_KEY: text, AWS_REGION: text, SES_CONFIGURATION_SET: text }) },
  { name: 'URLs', read: (text) => readConfig({ DATABASE_URL: `postgres://${text}`, SMTP_URL: `smtp://${text}`, RESEND_BASE_URL: `https://b.test/${text}` }) },
  { name: 'a variable of another name', read: (text) => readConfig({ [`WAYBILL_${text}`]: '1' }) },
  { name: 'a .env file', read: (text) => [namesIn(text), withVariable(text, 'A', text), withoutVariable(text, 'A')] },
  { name: 'a schedule', read: readExpression },
  { name: 'a time zone', read: zoneProblem },
  { name: 'a duration', read: parseDuration },
  { name: 'a route', read: (text) => defineAction({ name: 'a', access: 'public', args, http: `POST /${text}`, async handler() {} }) },
  { name: 'a name for make', read: (text) => namingOf('job', text) },
  { name: 'a line of an export', read: (text) => lineJob(JSON.stringify({ waybill: 1, id: 'a', payload: text, name: text }), 'f', 1) },
  { name: 'the map of an import', read: (text) => parseImportMap(JSON.stringify({ queues: { [text]: { kind: 'job', name: text, tags: [text] } } }), 'f') },
  { name: 'a table of a command', read: (text) => table(['a'], [[text]]) },
]; // prettier-ignore
