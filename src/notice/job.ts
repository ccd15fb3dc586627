// The job that delivers a notice: one POST, signed as Standard Webhooks defines it, retried until the receiver accepts it.

import type { App } from '../define/app.ts';
import { defineJob, type Job } from '../define/job.ts';
import { PermanentError, RetryAfter } from '../delivery/failure.ts';
import { retryAfterOf } from '../message/retry-after.ts';
import type { Milliseconds } from '../ports.ts';
import { signedHeaders } from '../webhook/signature.ts';
import { noticeSchema } from './notice.ts';

/** A name that no application would use. A failure of this job causes no notice. */
export const noticeJobName = 'waybill:notice';

/** For the job and for its messages, which are recorded without the job's definition. */
export const noticeAttempts = 12;

export type NoticeTarget = { readonly url: string; readonly secret: string };

export function noticeJob({ url, secret }: NoticeTarget): Job {
  return defineJob({
    name: noticeJobName,
    payload: noticeSchema,
    timeout: '10s',
    retry: { maxAttempts: noticeAttempts, backoff: { initial: '5s', factor: 2, max: '30m' } },
    async handler({ message, signal }, notice) {
      const now = new Date(); // for the signature, which the receiver compares with its own clock
      const body = JSON.stringify({ type: notice.type, timestamp: now.toISOString(), data: notice.data });
      const headers = {
        'content-type': 'application/json',
        ...signedHeaders(message.id, body, [secret], now),
      };
      const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
      await response.body?.cancel();
      judge(response);
    },
  }) as Job;
}

/** A notice that comes later tells nobody in time. */
const longestWait: Milliseconds = 3_600_000;

function judge({ ok, status, headers }: Response): void {
  if (ok) return;
  const answered = `the webhook of WAYBILL_NOTICE_URL answered ${status}`;
  if (status === 410) throw new PermanentError(`${answered}: it wants no more`);
  const wait = retryAfterOf(headers.get('retry-after'), headers.get('date'), Date.now());
  if (wait !== undefined && wait > 0) throw new RetryAfter(Math.min(wait, longestWait), answered);
  throw new Error(answered);
}

/** Adds the job that delivers notices, if there is a receiver. */
export function withNotices(app: App, target: NoticeTarget | null): App {
  return target === null
    ? app
    : Object.freeze({ ...app, jobs: Object.freeze([...app.jobs, noticeJob(target)]) });
}
