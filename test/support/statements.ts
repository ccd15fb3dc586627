// Every statement that loops and callers run against the outbox (stats and verify are asked by people, what is unsettled by tests, and they count), with values to explain it with, and what its plan must and must not touch.

import { reportSql, scheduleJobsSql } from '../../src/cron/activation.ts';
import { stageSql } from '../../src/cron/manifest.ts';
import { findTickSql, recordRunsSql, succeedSql } from '../../src/cron/runs.ts';
import { moveOnSql, nextDueSql, takeDueJobsSql } from '../../src/cron/scheduler.ts';
import {
  bringBackSql,
  endOrphansSql,
  lookSql as cronLookSql,
  pruneManifestsSql,
  pruneRunsSql,
  skipStaleSql,
  tellSql,
} from '../../src/cron/sweep.ts';
import { countersSql } from '../../src/metrics/fleet.ts';
import { endUnfitIdsSql } from '../../src/operate/unfit.ts';
import { gaugesSql } from '../../src/metrics/gauges.ts';
import { standstillGaugesSql } from '../../src/metrics/standstills.ts';
import { standstillsSql } from '../../src/process/heartbeat.ts';
import { markBegunSql } from '../../src/outbox/begun.ts';
import {
  claimProbeSql,
  claimSomeSql,
  claimSql,
  claimSuspectProbeSql,
  claimSuspectSql,
} from '../../src/outbox/claim.ts';
import {
  findPlansSql,
  freePlanSql,
  keepAnswersSql,
  planAgainSql,
  writePlansSql,
} from '../../src/email/batch-plan.ts';
import {
  beginHandoverSql,
  freeHandoverSql,
  unsureHandoverSql,
  waitForProviderSql,
} from '../../src/email/handovers.ts';
import { storeEmailSql } from '../../src/email/inbox.ts';
import {
  emailAttachmentsSql,
  emailSourceSql,
  emptyInboxSql,
  listEmailsSql,
  showEmailSql,
} from '../../src/email/mailbox.ts';
import { suppressedSql, suppressionsSql, suppressSql, unsuppressSql } from '../../src/email/suppression.ts';
import { deadSql, forgetSql, parkedSql, providerParkedSql, skippedSql } from '../../src/notice/watch.ts';
import {
  answeredSql,
  countFailureSql,
  listProvidersSql,
  lookSql,
  parkProviderSql,
  providerProbeFailedSql,
  registerProvidersSql,
  reopenProviderSql,
} from '../../src/queues/providers.ts';
import { countDueSql, dueSql } from '../../src/outbox/waiting.ts';
import { exhaustSql, expireSql, oddSql, restampSql, stuckSql, extendSql } from '../../src/outbox/expire.ts';
import { lockQueuesSql } from '../../src/relay/relay.ts';
import { checkSql } from '../../src/relay/check.ts';
import { existingSql } from '../../src/outbox/existing.ts';
import { recordFlowSql, recordOne, recordSql, recordValues } from '../../src/outbox/record.ts';
import { endOlderSql, replaceSql, takeFreeKeysSql } from '../../src/outbox/replace.ts';
import { cancelSql, dismissSql, retrySql } from '../../src/operate/operate.ts';
import { changesSql } from '../../src/operate/changes.ts';
import { endSql } from '../../src/operate/end.ts';
import { rescheduleSql } from '../../src/operate/reschedule.ts';
import { freeOfProviderSql } from '../../src/operate/run-now.ts';
import { beforeCounts, stateCountsSql } from '../../src/operate/state-counts.ts';
import { failuresSql, versionsSql } from '../../src/operate/failures.ts';
import { muteSql, mutesSql } from '../../src/operate/mute.ts';
import { listBulkSql, moveBulkSql, pruneBulkSql, showBulkSql, startBulkSql } from '../../src/operate/bulk.ts';
import { batchSql, beginBatch, firstFloorSql, nextFloorSql } from '../../src/operate/bulk-batch.ts';
import { beginPreview, previewSql } from '../../src/operate/bulk-preview.ts';
import { taskOf, type BulkAction } from '../../src/operate/bulk-task.ts';
import {
  failedBatchSql,
  lockedIdsSql,
  nextBulkSql,
  noteLockedSql,
  progressSql,
  takeBulkSql,
  visitedSql,
} from '../../src/operate/bulk-work.ts';
import { startOfWalkSql } from '../../src/operate/retry-many.ts';
import { blockedKeysSql, unblockSql } from '../../src/operate/order.ts';
import { advanceOrdersSql } from '../../src/outbox/order.ts';
import {
  holdSql,
  blameSql,
  isOwnFaultSql,
  parkSql,
  probeFailedSql,
  probeGivenBackSql,
  reopenSql,
} from '../../src/queues/park.ts';
import { claimNamedSql } from '../../src/outbox/claim-named.ts';
import { claimGroupsSql } from '../../src/outbox/claim-groups.ts';
import { cancelGroupSql, groupsSql, pauseGroupSql, resumeGroupSql } from '../../src/operate/groups.ts';
import {
  failGroupSql,
  holdGroupSql,
  openGroupSql,
  parkGroupSql,
  resumeOneSql,
} from '../../src/queues/circuit.ts';
import { beforeDelivered, deliveredSql, hastenSql, retryDeadSql } from '../../src/operate/replay.ts';
import { oldestIdOf } from '../../src/operate/filter.ts';
import { limitSql } from '../../src/operate/limits.ts';
import { noteLimitedSql } from '../../src/queues/limited.ts';
import { knownQueuesSql, pauseSql, registerQueuesSql, resumeSql } from '../../src/queues/queues.ts';
import { pruneGroupsSql } from '../../src/queues/forgotten-groups.ts';
import { pruneActsSql } from '../../src/operate/audit.ts';
import {
  foldAuditSql,
  pruneCancelledSql,
  pruneDeadSql,
  pruneDeliveredSql,
  pruneKeysSql,
} from '../../src/relay/prune.ts';
import {
  keepAnswerSql,
  keptAnswerSql,
  lockKeySql,
  pruneAnswersSql,
  takeKeySql,
} from '../../src/outbox/once.ts';
import { arrayText } from '../../src/db/values.ts';
import { newId } from '../../src/message/id.ts';
import { notedSql, reportSql as noteReportSql } from '../../src/outbox/note.ts';
import {
  bookPermitsSql,
  lockPermitsSql,
  nextPermitSql,
  returnPermitsSql,
  makePermitsSql,
} from '../../src/queues/rate.ts';
import { adviceSql, decideSql, takeTurnSql } from '../../src/scale/decisions.ts';
import { settleStatement, settleText } from '../../src/outbox/settle.ts';
import { knownLinesSql } from '../../src/transfer/known-lines.ts';
import { noteLinesSql, tagsSql, usedKeysSql, usedTagsSql } from '../../src/transfer/recording.ts';
import { endExportedSql } from '../../src/transfer/waiting-messages.ts';
import { waitingNamesSql } from '../../src/operate/names.ts';
import type { Settlement } from '../../src/message/outcome.ts';
import { checkMessage } from '../../src/message/message.ts';

export type Statement = {
  readonly sql: string;
  readonly values: (ids: readonly string[]) => unknown[];
  /** Indexes that its plan must use. */
  readonly uses: readonly string[];
  /** The begin of its transaction, where that has settings for the planner. */
  readonly begin?: string;
};

const token = '00000000-0000-4000-8000-000000000000';
const message = {
  ...checkMessage({ kind: 'job', name: 'n', queue: 'q', payload: {}, deliveryKey: 'k' }),
  id: newId(),
};
const keyless = { ...message, deliveryKey: undefined };
const flow = { group: 'g', orderKey: 'o', tags: ['a', 'b'] };
function statementOf(row: typeof message | typeof keyless): Pick<Statement, 'sql' | 'values'> {
  const { sql, values } = recordOne(row);
  return { sql, values: () => values };
}
const settlement = (id: string) => ({
  id,
  claimToken: token,
  to: 'failed' as const,
  error: 'e',
  delay: 0,
  ambiguous: false,
});

/** The text depends on the batch alone, so some ids are as good as others. */
function settling(of: (id: string) => Settlement): Statement {
  let values: unknown[] | undefined;
  return {
    sql: settleStatement([of(newId()), of(newId())], []).sql,
    values: (ids) => (values ??= settleStatement([...ids, newId(), newId()].map(of), []).values), // messages to add have new ids each time
    uses: ['outbox_messages_pkey'],
  };
}

const lastId = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** The first batch of a bulk act. What they read is in test/postgres/bulk-plans.test.ts. */
function batchOf(action: BulkAction): Statement {
  const task = taskOf(action, { name: ['n1'] }, { due: new Date(0) });
  const walk = { newest: lastId, reached: null, since: '2026-01-01T00:00:00Z' };
  const { text, values } = batchSql(task, { walk, floor: token }, 500);
  return { sql: text, values: () => values, uses: ['outbox_messages_pkey'], begin: beginBatch };
}

function previewOf(action: BulkAction): Statement {
  const { text, values } = previewSql(taskOf(action, { name: ['n1'] }, { due: new Date(0) }));
  return { sql: text, values: () => values, uses: [], begin: beginPreview };
}

export const statements: Record<string, Statement> = {
  'record one': { ...statementOf(keyless), uses: [] },
  'record one with a key': { ...statementOf(message), uses: [] },
  'record one with a group, an order key and tags': { ...statementOf({ ...keyless, ...flow }), uses: [] },
  'record one with all three keys and tags': { ...statementOf({ ...message, ...flow }), uses: [] },
  record: { sql: recordSql, values: () => recordValues([message], false), uses: [] },
  'record with a group, an order key or tags': {
    sql: recordFlowSql,
    values: () => recordValues([{ ...message, ...flow, onDead: 'skip' }], true),
    uses: [],
  },
  holders: { sql: existingSql, values: () => ['{job}', '{n}', '{k}'], uses: ['outbox_delivery_key'] },
  'record with replace': {
    sql: replaceSql,
    values: () => [...recordValues([message], true), '{30000}', '{300000}'],
    uses: [],
  },
  'end older messages': {
    sql: endOlderSql,
    values: () => [500],
    uses: ['outbox_delivery_key', 'outbox_messages_pkey'],
  },
  'take free keys': {
    sql: takeFreeKeysSql,
    values: () => [500],
    uses: ['outbox_delivery_key', 'outbox_messages_pkey'],
  },
  'mark what begins': { sql: markBegunSql, values: () => ['w', 'q', '{1,2}'], uses: [] },
  claim: {
    sql: claimSql,
    values: () => [500, 'q1', 0, 15_000, 'w', 25, 1_700_000_000],
    uses: ['outbox_waiting'],
  },
  'claim of some': {
    sql: claimSomeSql,
    values: () => [25, 'q1', 0, 15_000, 'w', null, null, '{job}', null],
    uses: ['outbox_waiting'],
  },
  'claim of groups': {
    sql: claimGroupsSql,
    values: () => [25, 'q1', 0, 15_000, 'w', 'g7', null, null, null, true],
    uses: ['outbox_waiting', 'outbox_grouped'],
  },
  groups: { sql: groupsSql, values: () => ['q1', null, 100], uses: ['outbox_waiting', 'outbox_in_flight'] },
  'pause a group': {
    sql: pauseGroupSql,
    values: () => ['q1', 'g1', 'somebody', 'a reason', null, 60_000],
    uses: [],
  },
  'resume a group': { sql: resumeGroupSql, values: () => ['q1', 'g1'], uses: [] },
  'record a failure of a group': {
    sql: failGroupSql,
    values: () => [
      'q1',
      'g1',
      '00000000-0000-7000-8000-000000000001',
      'a reason',
      true,
      0,
      432_000_000,
      false,
    ],
    uses: [],
  },
  'hold a group': {
    sql: holdGroupSql,
    values: () => ['q1', 'g1', '00000000-0000-7000-8000-000000000001', 'a reason'],
    uses: [],
  },
  'park a group': { sql: parkGroupSql, values: () => ['q1', 'g1', 'a reason'], uses: [] },
  'open a group': { sql: openGroupSql, values: () => ['q1', 'g1'], uses: [] },
  'resume a group in a handler': { sql: resumeOneSql, values: () => ['q1', 'g1'], uses: [] },
  'replay dead webhooks': {
    sql: retryDeadSql,
    values: () => [
      'noop',
      'q1',
      'g1',
      new Date(Date.now() - 3_600_000).toISOString(),
      null,
      new Date().toISOString(),
      500,
    ],
    uses: ['outbox_dead'],
  },
  'replay waiting webhooks': {
    sql: hastenSql,
    values: () => [
      'noop',
      'q1',
      'g1',
      new Date(Date.now() - 3_600_000).toISOString(),
      null,
      new Date().toISOString(),
      500,
    ],
    uses: [],
  },
  'replay delivered webhooks': {
    sql: deliveredSql,
    values: () => [
      'noop',
      'q1',
      'g1',
      new Date().toISOString(),
      null,
      new Date().toISOString(),
      oldestIdOf({ since: new Date() }),
      500,
    ],
    uses: ['outbox_messages_pkey'],
    begin: `begin; ${beforeDelivered}`,
  },
  'cancel a group': { sql: cancelGroupSql, values: () => ['q1', 'g1', 1_000], uses: [] },
  'note limits': { sql: noteLimitedSql, values: () => [['q1', 'q2']], uses: ['outbox_in_flight'] },
  'limit a queue': {
    sql: limitSql,
    values: () => ['jobs', '{"concurrency":5}', 'somebody', 'a reason'],
    uses: [],
  },
  'claim a message that a person lets through': {
    sql: claimNamedSql,
    values: () => ['q1', 15_000, 'w', null],
    uses: ['outbox_messages_pkey'],
  },
  'claim a suspect': {
    sql: claimSuspectSql,
    values: () => ['q1', 15_000, 'w', null, null],
    uses: ['outbox_suspects'],
  },
  'claim a probe': {
    sql: claimProbeSql,
    values: () => ['q1', 15_000, 'w'],
    uses: ['outbox_waiting'],
  },
  'claim a suspect as the probe': {
    sql: claimSuspectProbeSql,
    values: () => ['q1', 15_000, 'w'],
    uses: ['outbox_suspects'],
  },
  due: { sql: dueSql, values: () => ['{q1,q2}'], uses: ['outbox_waiting', 'outbox_suspects'] },
  'count what is due': { sql: countDueSql, values: () => [1_000], uses: ['outbox_waiting'] },
  'lock queues': { sql: lockQueuesSql, values: () => [['q1']], uses: [] },
  settle: settling(settlement),
  'settle one that is delivered': {
    sql: settleText({ delivered: 'alone', adds: false, notes: false }),
    values: ([id]) => [id, token],
    uses: ['outbox_messages_pkey'],
  },
  'settle what is delivered': settling((id) => ({ id, claimToken: token, to: 'delivered', then: [] })),
  'settle what is delivered, of several claims': settling((id) => ({
    id,
    claimToken: id,
    to: 'delivered',
    then: [],
  })),
  'settle what is delivered, with messages and notes': settling((id) => ({
    id,
    claimToken: token,
    to: 'delivered',
    then: [{ kind: 'job', name: 'n', queue: 'q', payload: {} }],
    notes: [{ type: 'accepted' }],
  })),
  'settle what is delivered, with messages that have a group, an order key or tags': settling((id) => ({
    id,
    claimToken: token,
    to: 'delivered',
    then: [{ kind: 'job', name: 'n', queue: 'q', payload: {}, ...flow }],
  })),
  'store in the inbox': {
    sql: storeEmailSql,
    values: ([id]) => [id, 'a@b.test', ['c@b.test'], 's', null, 't', Buffer.from('s')],
    uses: [],
  },
  'emails of the inbox': { sql: listEmailsSql, values: () => [null, 'a', 51], uses: ['inbox_number'] },
  'email of the inbox': {
    sql: showEmailSql,
    values: ([id]) => [id],
    uses: ['inbox_emails_pkey', 'outbox_messages_pkey'],
  },
  'source in the inbox': { sql: emailSourceSql, values: ([id]) => [id], uses: ['inbox_emails_pkey'] },
  'attachments in the inbox': {
    sql: emailAttachmentsSql,
    values: ([id]) => [id],
    uses: ['inbox_emails_pkey', 'outbox_messages_pkey'],
  },
  'empty the inbox': { sql: emptyInboxSql, values: () => [], uses: [] },
  'tell dead letters': { sql: deadSql, values: () => ['waybill:notice', 100], uses: ['outbox_dead'] },
  'tell parked queues': { sql: parkedSql, values: () => [], uses: [] },
  'tell skipped ticks': { sql: skippedSql, values: () => [100], uses: ['cron_runs_pkey'] },
  'forget what was told': { sql: forgetSql, values: () => [], uses: [] },
  suppressed: { sql: suppressedSql, values: () => [['a@b.test']], uses: ['email_suppressions_pkey'] },
  suppress: { sql: suppressSql, values: () => ['a@b.test', 'bounced'], uses: [] },
  unsuppress: { sql: unsuppressSql, values: () => ['a@b.test'], uses: ['email_suppressions_pkey'] },
  suppressions: {
    sql: suppressionsSql,
    values: () => [null, null, 101],
    uses: ['email_suppressions_pkey'],
  },
  'batch: find plans': {
    sql: findPlansSql,
    values: (ids) => [ids, 'resend'],
    uses: [],
  },
  'batch: write plans': { sql: writePlansSql, values: () => ['[]', 'resend'], uses: [] },
  'handover: begin': {
    sql: beginHandoverSql,
    values: ([id]) => [[id], ['resend'], [2], ['resend', 'smtp']],
    uses: [],
  },
  'handover: free': {
    sql: freeHandoverSql,
    values: ([id]) => [id, 'resend', 'now'],
    uses: [],
  },
  'handover: wait': { sql: waitForProviderSql, values: ([id]) => [id, 'resend'], uses: [] },
  'handover: unsure': { sql: unsureHandoverSql, values: ([id]) => [[id], ['resend']], uses: [] },
  'free of a provider': { sql: freeOfProviderSql, values: ([id]) => [id], uses: [] },
  'look at providers': { sql: lookSql, values: () => [['resend', 'smtp'], false, 1_000], uses: [] },
  'count a failure of a provider': { sql: countFailureSql, values: () => ['resend', 'now'], uses: [] },
  'park a provider': {
    sql: parkProviderSql,
    values: () => ['resend', 'now', 'no key', 'worker', ['smtp'], 0],
    uses: [],
  },
  'provider: probe failed': { sql: providerProbeFailedSql, values: () => ['resend', 'no key'], uses: [] },
  'reopen a provider': { sql: reopenProviderSql, values: () => ['resend'], uses: [] },
  'provider answered': { sql: answeredSql, values: () => ['resend'], uses: [] },
  'register providers': { sql: registerProvidersSql, values: () => [['resend', 'smtp']], uses: [] },
  'list providers': { sql: listProvidersSql, values: () => [], uses: [] },
  'tell parked providers': { sql: providerParkedSql, values: () => [], uses: [] },
  'batch: plan again': { sql: planAgainSql, values: () => [token], uses: ['outbox_messages_pkey'] },
  'batch: free': { sql: freePlanSql, values: () => [token, false], uses: ['email_batches_batch'] },
  'batch: keep answers': { sql: keepAnswersSql, values: () => [token, '[]'], uses: [] },
  'note a report': {
    sql: noteReportSql,
    values: ([id]) => ['reference', id, 'bounced', 'a@b.test', 'mailbox full', 'event'],
    uses: ['outbox_messages_pkey', 'outbox_notes_reference'],
  },
  'whether a report is noted': { sql: notedSql, values: () => ['event'], uses: ['outbox_notes_source'] },
  extend: {
    sql: extendSql,
    values: (ids) => [arrayText(ids), arrayText(ids.map(() => token)), 15_000],
    uses: ['outbox_messages_pkey'],
  },
  check: { sql: checkSql, values: () => [], uses: ['outbox_waiting', 'outbox_in_flight'] },
  'expire leases': { sql: expireSql, values: () => [500], uses: ['outbox_in_flight'] },
  'kill exhausted': { sql: exhaustSql, values: (ids) => [ids], uses: ['outbox_messages_pkey'] },
  'find odd': { sql: oddSql, values: () => ['q1', 0], uses: ['outbox_waiting', 'outbox_in_flight'] },
  'find stuck': { sql: stuckSql, values: () => [500], uses: ['outbox_in_flight', 'outbox_suspects'] },
  'end unfit': { sql: endUnfitIdsSql, values: (ids) => [ids], uses: ['outbox_messages_pkey'] },
  restamp: { sql: restampSql, values: (ids) => [ids], uses: ['outbox_messages_pkey'] },
  'prune delivered': {
    sql: pruneDeliveredSql,
    values: () => [7 * 86_400_000, 1_000, 5_000, '00000000-0000-0000-0000-000000000000'],
    uses: ['outbox_messages_pkey'],
  },
  'prune cancelled': {
    sql: pruneCancelledSql,
    values: () => [30 * 86_400_000, 1_000],
    uses: ['outbox_cancelled'],
  },
  'prune dead': { sql: pruneDeadSql, values: () => [30 * 86_400_000, 1_000], uses: ['outbox_dead'] },
  'waiting names': {
    sql: waitingNamesSql,
    values: () => [1_000],
    uses: ['outbox_waiting', 'outbox_in_flight'],
  },
  retry: { sql: retrySql, values: ([id]) => [id], uses: ['outbox_messages_pkey'] },
  'end an attempt': {
    sql: endSql,
    values: ([id]) => [id, 'dead', 'e'],
    uses: ['outbox_messages_pkey'],
  },
  reschedule: {
    sql: rescheduleSql,
    values: ([id]) => [id, null, 60_000],
    uses: ['outbox_messages_pkey'],
  },
  cancel: { sql: cancelSql, values: ([id]) => [id], uses: ['outbox_messages_pkey'] },
  dismiss: { sql: dismissSql, values: ([id]) => [id], uses: ['outbox_messages_pkey'] },
  'bulk: start': {
    sql: startBulkSql,
    values: ([id]) => [id, 'cancel', '{}', '{}', null, null, 1, false, 'ann', 'cli', null],
    uses: ['outbox_messages_pkey'],
  },
  'bulk: take': { sql: takeBulkSql, values: () => [], uses: [] },
  'bulk: next': { sql: nextBulkSql, values: () => [], uses: [] },
  'bulk: start of a walk': { sql: startOfWalkSql, values: () => [], uses: ['outbox_messages_pkey'] },
  'bulk: first stretch': {
    sql: firstFloorSql,
    values: () => [lastId],
    uses: ['outbox_messages_pkey'],
    begin: beginBatch,
  },
  'bulk: next stretch': {
    sql: nextFloorSql,
    values: () => [lastId],
    uses: ['outbox_messages_pkey'],
    begin: beginBatch,
  },
  'bulk: batch of retry': batchOf('retry'),
  'bulk: batch of cancel': batchOf('cancel'),
  'bulk: batch of hold': batchOf('hold'),
  'bulk: preview of retry': previewOf('retry'),
  'bulk: preview of cancel': previewOf('cancel'),
  'bulk: note locked': { sql: noteLockedSql, values: (ids) => [token, ids], uses: [] },
  'bulk: locked': { sql: lockedIdsSql, values: () => [token, 500], uses: [] },
  'bulk: visited': { sql: visitedSql, values: (ids) => [token, ids, ids], uses: [] },
  'bulk: progress': {
    sql: progressSql,
    values: ([id]) => [token, 1, '{}', id, false, false, false, null],
    uses: [],
  },
  'bulk: failed': { sql: failedBatchSql, values: () => [token, 'e'], uses: [] },
  'bulk: show': { sql: showBulkSql, values: () => [token], uses: [] },
  'counts of the states': {
    sql: stateCountsSql,
    values: () => [],
    uses: ['outbox_waiting', 'outbox_in_flight', 'outbox_dead', 'outbox_cancelled'],
    begin: `begin; ${beforeCounts}`,
  },
  failures: {
    sql: failuresSql(['status = any($3::text[])']),
    values: () => [new Date(Date.now() - 3_600_000), 120_000, ['dead', 'failed']],
    uses: ['outbox_dead', 'outbox_messages_pkey'],
  },
  // There are no attempts here, so the plan may read the table whole; test/postgres/page-plans.test.ts has attempts.
  'versions of failures': { sql: versionsSql, values: (ids) => [ids], uses: [] },
  'mutes of failures': { sql: mutesSql, values: () => [], uses: [] },
  'mute failures': { sql: muteSql, values: () => ['0123456789ab', 'ann', null, '{}'], uses: [] },
  'bulk: list': { sql: listBulkSql, values: () => [null, null, 51], uses: [] },
  'bulk: move': { sql: moveBulkSql, values: () => [token, ['running'], 'paused', '{}'], uses: [] },
  'bulk: prune': { sql: pruneBulkSql, values: () => [30 * 86_400_000, 1_000], uses: [] },
  'blocked order keys': {
    sql: blockedKeysSql,
    values: () => ['q1', 50, null, null],
    uses: ['outbox_order'], // for the dead ones that of the dead, or this one where it is small
  },
  'unblock an order key': {
    sql: unblockSql,
    values: () => ['q1', 'k', 'by ann'],
    uses: ['outbox_messages_pkey'],
  },
  'advance order keys': { sql: advanceOrdersSql, values: () => [500], uses: [] },
  'prune acts': { sql: pruneActsSql, values: () => [365 * 86_400_000, 1_000], uses: [] },
  'prune keys': { sql: pruneKeysSql, values: () => [90 * 86_400_000, 1_000], uses: [] },
  'import: tags of the recorded': {
    sql: tagsSql,
    values: (ids) => [arrayText(ids)],
    uses: ['outbox_messages_pkey'],
  },
  'import: keys in use': { sql: usedKeysSql, values: () => [arrayText(['k1', 'k2'])], uses: [] },
  'import: tags in use': { sql: usedTagsSql, values: () => [arrayText(['t1', 't2'])], uses: ['outbox_tags'] },
  'import: lines that are known': {
    sql: knownLinesSql,
    values: (ids) => [arrayText(ids), arrayText(['k1', 'k2'])],
    uses: ['outbox_messages_pkey', 'outbox_notes_message'],
  },
  'import: note the lines': {
    sql: noteLinesSql,
    values: (ids) => [arrayText(ids), arrayText(ids.map(() => 'import:ndjson:job:1'))],
    uses: [],
  },
  'export: end': {
    sql: endExportedSql,
    values: (ids) => [ids, ids.map(() => 'to a file')],
    uses: ['outbox_messages_pkey'],
  },
  'prune groups': { sql: pruneGroupsSql, values: () => [1_000], uses: [] },
  'lock key': { sql: lockKeySql, values: () => ['k'], uses: [] },
  'take key': { sql: takeKeySql, values: () => ['s', 'k', null, null], uses: [] },
  'kept answer': { sql: keptAnswerSql, values: () => ['s', 'k'], uses: [] },
  'keep answer': { sql: keepAnswerSql, values: () => ['s', 'k', '1'], uses: [] },
  'prune answers': { sql: pruneAnswersSql, values: () => [1, 1, 1_000], uses: [] },
  'cron: stage': { sql: stageSql, values: () => ['hash', '[]'], uses: [] },
  'cron: report': { sql: reportSql, values: () => ['process', 'hash', true, 30_000], uses: [] },
  'cron: schedule jobs': {
    sql: scheduleJobsSql,
    values: () => [['n'], ['{}'], [new Date(0)], 'hash', new Date(0)],
    uses: [],
  },
  'cron: next due': { sql: nextDueSql, values: () => [null], uses: ['cron_jobs_next'] },
  'cron: take due jobs': {
    sql: takeDueJobsSql,
    values: () => [100, null],
    uses: ['cron_jobs_next', 'cron_runs_going'],
  },
  'cron: record runs': {
    sql: recordRunsSql,
    values: () => [...Array.from({ length: 11 }, () => []), null, ...recordValues([message], false)],
    uses: [],
  },
  'cron: move on': {
    sql: moveOnSql,
    values: () => [['n1'], [null], [new Date(0)]],
    uses: ['cron_jobs_pkey'],
  },
  'cron: find tick': { sql: findTickSql, values: ([id]) => [id], uses: ['cron_runs_message'] },
  'cron: succeed': { sql: succeedSql, values: ([id]) => [id, null], uses: ['cron_runs_pkey'] },
  'cron: skip stale': { sql: skipStaleSql, values: () => [60_000, 30_000, 500], uses: ['cron_runs_going'] },
  'cron: end orphans': {
    sql: endOrphansSql,
    values: () => [500],
    uses: ['cron_runs_going', 'outbox_messages_pkey'],
  },
  'cron: bring back': { sql: bringBackSql, values: () => [], uses: [] },
  'cron: tell': { sql: tellSql, values: () => [500], uses: ['cron_runs_untold'] },
  'cron: look': {
    sql: cronLookSql,
    values: () => [30 * 86_400_000, 60_000],
    uses: ['cron_runs_going', 'cron_runs_untold', 'cron_runs_pkey'],
  },
  'cron: prune manifests': { sql: pruneManifestsSql, values: () => [30 * 86_400_000], uses: [] },
  'cron: prune runs': { sql: pruneRunsSql, values: () => [30 * 86_400_000, 500], uses: ['cron_runs_pkey'] },
  'known queues': { sql: knownQueuesSql, values: () => [], uses: ['outbox_waiting', 'outbox_in_flight'] },
  'scrape: counters': { sql: countersSql, values: () => [], uses: [] },
  'fold audit counters': { sql: foldAuditSql, values: () => [100], uses: ['outbox_audit_pkey'] },
  'scrape: processes that stand still': { sql: standstillGaugesSql, values: () => [], uses: [] },
  'health: processes that stand still': { sql: standstillsSql, values: () => [], uses: [] },
  'scrape: gauges': { sql: gaugesSql, values: () => [], uses: ['outbox_waiting', 'outbox_in_flight'] },
  'autoscale: turn': { sql: takeTurnSql, values: () => [25], uses: ['outbox_waiting', 'outbox_in_flight'] },
  'autoscale: decide': {
    sql: decideSql,
    values: () => [['jobs'], [1], [0.5], ['{}'], ['{}'], '[]', '2026-01-01T00:00:00Z'],
    uses: [],
  },
  'autoscale: read': { sql: adviceSql, values: () => [], uses: [] },
  'what has changed': {
    sql: changesSql,
    values: () => [[]],
    uses: ['outbox_messages_pkey', 'outbox_in_flight'],
  },
  'register queues': { sql: registerQueuesSql, values: () => [['jobs'], ['{}']], uses: [] },
  pause: { sql: pauseSql, values: () => ['jobs', 'somebody', 'a reason', null, 60_000], uses: [] },
  resume: { sql: resumeSql, values: () => ['jobs'], uses: [] },
  park: {
    sql: parkSql,
    values: ([id]) => ['jobs', 'a reason', 'w', id, true],
    uses: ['outbox_messages_pkey'],
  },
  blame: { sql: blameSql, values: ([id]) => ['jobs', id, true], uses: [] },
  'is own fault': { sql: isOwnFaultSql, values: ([id]) => ['jobs', id], uses: [] },
  hold: { sql: holdSql, values: () => ['jobs', 1_000, 'a reason'], uses: [] },
  'probe failed': { sql: probeFailedSql, values: ([id]) => ['jobs', id, 'a reason', true], uses: [] },
  'probe given back': { sql: probeGivenBackSql, values: ([id]) => ['jobs', id], uses: [] },
  reopen: { sql: reopenSql, values: ([id]) => ['jobs', id], uses: [] },
  'make permits': { sql: makePermitsSql, values: () => ['email', 10], uses: [] },
  'lock permits': { sql: lockPermitsSql, values: () => ['email', 10, 400, 4, null], uses: [] },
  'next permit': { sql: nextPermitSql, values: () => ['email', 10, 400], uses: [] },
  'book permits': {
    sql: bookPermitsSql,
    values: () => ['email', [1, 2], [0, 100], '2026-01-01T00:00:00Z', 7_040],
    uses: [],
  },
  'return permits': {
    sql: returnPermitsSql,
    values: () => ['email', [1], ['2026-01-01T00:00:00Z'], [1_040]],
    uses: [],
  },
};
