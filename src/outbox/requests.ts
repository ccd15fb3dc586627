// What is asked of an outbox beside messages: the known options of its methods.

import { checkOptions } from '../options.ts';

const ofClaim = ['limit', 'leaseMs', 'workerId', 'ids', 'queues', 'kinds', 'suspects', 'begins'];

/** @throws WaybillError `options_invalid` */
export function checkClaimRequest(request: unknown): void {
  checkOptions('claimBatch', request, ofClaim);
}

/** @throws WaybillError `options_invalid` */
export function checkFailOptions(options: unknown): void {
  checkOptions('markFailed', options, ['delayMs', 'permanent', 'ambiguous']);
}

/** @throws WaybillError `options_invalid` */
export function checkOnce(about: unknown): void {
  checkOptions('once', about, ['scope', 'key', 'fingerprint', 'maxAgeMs', 'noWait']);
}
