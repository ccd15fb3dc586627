// The entry point `waybill/testing`, for users' tests.

/**
 * What tests of an application import: actions and drains without a database, a fleet in the test's process, a mail server that answers as told, and the
 * suite that an outbox of your own must pass.
 *
 * @module waybill/testing
 */

import './node-version.ts';
export { drainMemoryOutbox, type DrainMemoryOptions } from './testing/drain-memory.ts';
export { startTestFleet, type TestFleet, type TestFleetOptions } from './testing/fleet.ts';
export type { OutboxCase, OutboxHarness, SeenMessage } from './testing/outbox-case.ts';
export { outboxPortCases } from './testing/outbox-cases.ts';
export { runAction, type ResultOf, type RunActionOptions } from './testing/run-action.ts';
export {
  startFakeSmtpServer,
  type FakeMail,
  type FakeSmtpOptions,
  type FakeSmtpServer,
  type MailAddress,
  type MailAttachment,
  type SmtpAnswer,
  type SmtpRefusal,
  type SmtpReply,
  type SmtpStage,
} from './testing/smtp.ts';
export {
  startFakeWebhookReceiver,
  type FakeWebhookOptions,
  type FakeWebhookReceiver,
  type ReceivedWebhook,
  type WebhookAnswer,
} from './testing/webhook-receiver.ts';
