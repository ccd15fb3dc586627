// Sends several emails to Resend in one request (resend.com/docs/api-reference/emails/send-batch-emails).
// Validation is permissive, so a problem of one email is the answer for that email alone.

import { z } from 'zod';
import type { EmailError } from '../error.ts';
import type { EmailBatches, Receipt } from '../provider.ts';
import { partlyRefused, receiptOf } from '../addressees.ts';
import { isSuccess, jsonOf, unreadable, type Answer, type Failed } from '../api/answer.ts';
import type { Ask } from '../api/requests.ts';
import { resendRefusal, taken } from './answer.ts';
import { resendBody } from './body.ts';

/** Resend's limit for emails in one request. */
const size = 100;

/** Characters. Emails with longer texts are sent alone, so that a request stays within a few megabytes. */
const maxText = 50_000;

/** The ids of the accepted emails in their order, and the errors of the others by index in the request. */
const batchTaken = z.object({
  data: z.array(taken),
  errors: z.array(z.object({ index: z.int().min(0), message: z.string() })).default([]),
});

export function createResendBatches(ask: Ask, failed: Failed): EmailBatches {
  return {
    size,
    takes({ attachments = [], calendar, html = '', text = '' }) {
      return attachments.length === 0 && calendar === undefined && html.length + text.length <= maxText;
    },
    async send(mails, { idempotencyKey, signal }) {
      const bodies = mails.map(({ email, about }) => resendBody(email, about));
      const headers = {
        'content-type': 'application/json',
        'idempotency-key': idempotencyKey,
        'x-batch-validation': 'permissive',
      };
      const body = `[${bodies.map(({ json }) => json).join(',')}]`;
      const answer = await ask('/emails/batch', signal, { method: 'POST', headers, body });
      if (!isSuccess(answer)) throw failed(resendRefusal(answer));
      const ends = endsOf(answer, bodies.length, failed);
      if (ends === undefined) throw failed(unreadable(answer));
      return ends.map((end, i): Receipt | EmailError =>
        typeof end === 'string'
          ? receiptOf(bodies[i]!, answer.status, end)
          : (partlyRefused(bodies[i]!, end) ?? end),
      );
    },
  };
}

/** An id or an error for each email; undefined when the answer does not cover each email exactly once. */
function endsOf(answer: Answer, count: number, failed: Failed): (string | EmailError)[] | undefined {
  const { success, data: said } = batchTaken.safeParse(jsonOf(answer));
  if (!success) return undefined;
  const wrong = new Map(said.errors.map(({ index, message }) => [index, message]));
  const ids = said.data.map(({ id }) => id);
  if (wrong.size !== said.errors.length || ids.length + wrong.size !== count) return undefined;
  if (said.errors.some(({ index }) => index >= count)) return undefined;
  return Array.from({ length: count }, (_, i) => {
    const message = wrong.get(i);
    if (message === undefined) return ids.shift()!;
    return failed({ message: `refused in a batch: ${message}`, phase: 'answered', status: 422 });
  });
}
