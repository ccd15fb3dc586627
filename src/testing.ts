// What users' tests import: `waybill/testing`.

export type { OutboxCase, OutboxHarness, SeenMessage } from './testing/outbox-case.ts';
export { outboxPortCases } from './testing/outbox-cases.ts';
