// The job that tells a notice: one POST, signed as Standard Webhooks has it, again until the receiver takes it.

import type { App } from '../define/app.ts';
import { defineJob, type Job } from '../define/job.ts';
import { PermanentError, RetryAfter } from '../delivery/failure.ts';
import { signedHeaders } from '../webhook/signature.ts';
import { noticeSchema } from './notice.ts';

/** Not a name that an application would give. What becomes of these messages is itself not told. */
export const noticeJobName = 'waybill:notice';

/** The same for the job and for its messages, which are recorded without it. */
export const noticeAttempts = 12;

export type NoticeTarget = { readonly url: string; readonly secret: string };

export function noticeJob({ url, secret }: NoticeTarget): Job {
  return defineJob({
    name: noticeJobName,
    payload: noticeSchema,
    timeout: '10s',
    retry: { maxAttempts: noticeAttempts, backoff: { initial: '5s', factor: 2, max: '30m' } },
    async handler({ message, signal }, notice) {
      const now = new Date(); // of the signature, which its reader compares with a clock of its own
      const body = JSON.stringify({ type: notice.type, timestamp: now.toISOString(), data: notice.data });
      const headers = { 'content-type': 'application/json', ...signedHeaders(message.id, body, secret, now) };
      const response = await fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal });
      await response.body?.cancel();
      judge(response);
    },
  }) as Job;
}

function judge({ ok, status, headers }: Response): void {
  if (ok) return;
  const answered = `the webhook of WAYBILL_NOTICE_URL answered ${status}`;
  if (status === 410) throw new PermanentError(`${answered}: it wants no more`);
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  if (seconds > 0) throw new RetryAfter(Math.min(seconds, 3_600) * 1000, answered);
  throw new Error(answered);
}

/** The application with the job that tells notices, where there is somebody to tell. */
export function withNotices(app: App, target: NoticeTarget | null): App {
  return target === null
    ? app
    : Object.freeze({ ...app, jobs: Object.freeze([...app.jobs, noticeJob(target)]) });
}
