// The inspection of the way of an email: whether the provider lets us in. Nothing is sent.

import type { Executor } from '../db/executor.ts';
import type { App } from '../define/app.ts';
import { failureOf } from '../delivery/failure.ts';
import { createProvider } from '../email/choose.ts';
import type { Milliseconds } from '../ports.ts';
import type { Config } from '../process/config.ts';
import type { Finding } from '../scaffold/finding.ts';

const patience: Milliseconds = 10_000;

/** The inbox has nothing to verify. */
const unasked: Executor = {
  executeSql: () => Promise.reject(new Error('nothing is sent while it is inspected')),
};

export async function inspectMail(config: Config, app: App | null): Promise<Finding[]> {
  const notices: string[] = [];
  const hear = (_: object, message: string): void => void notices.push(message);
  const provider = createProvider(
    config,
    { log: { info: hear, warn: hear }, db: unasked },
    app?.email.provider,
  );
  const warnings = notices.map((message): Finding => ({
    code: 'email_not_sent',
    severity: 'warning',
    message,
  }));
  try {
    await provider.verify?.(AbortSignal.timeout(patience));
    return warnings;
  } catch (error) {
    const { type, message } = failureOf(error);
    const unsure = type === 'transient';
    return [
      ...warnings,
      {
        code: unsure ? 'email_provider_unreachable' : 'email_provider_refuses',
        severity: unsure ? 'warning' : 'problem',
        message,
        fix: 'the provider is tried again with `waybill email test ADDRESS`',
      },
    ];
  } finally {
    await provider.close?.();
  }
}
