// The settings of a process as people compare them: those that change what it does, without any secret.

import type { Milliseconds } from '../ports.ts';
import { durationText } from '../duration.ts';
import type { Config } from './config.ts';

/** Name of the variable → value in words. */
export type SettingsInForce = Readonly<Record<string, string>>;

export function settingsInForce(config: Config): SettingsInForce {
  const time = (ms: Milliseconds): string => (ms < 1_000 ? `${ms}ms` : durationText(ms / 1_000));
  return {
    NODE_ENV: config.production ? 'production' : 'development',
    WAYBILL_EMAIL_PROVIDER: config.emailProviders.join(',') || 'of the application, or log',
    WAYBILL_EMAIL_RATE: config.emailRate === null ? 'none' : `${config.emailRate} a second`,
    WAYBILL_QUEUE_BACKEND: config.queueBackend,
    WAYBILL_WEBHOOK_CONCURRENCY: String(config.webhookConcurrency),
    WAYBILL_CONCURRENCY: String(config.concurrency),
    WAYBILL_POOL_MAX: config.poolMax === null ? 'by role' : String(config.poolMax),
    WAYBILL_LEASE: time(config.leaseMs),
    WAYBILL_POLL_INTERVAL: time(config.pollIntervalMs),
    WAYBILL_MAX_PAYLOAD_BYTES: String(config.maxPayloadBytes),
    WAYBILL_DELIVERED_RETENTION: time(config.deliveredRetentionMs),
    WAYBILL_DEAD_RETENTION: time(config.deadRetentionMs),
    WAYBILL_KEY_RETENTION: time(config.keyRetentionMs),
    WAYBILL_AUDIT_RETENTION: time(config.auditRetentionMs),
    WAYBILL_CRON_RETENTION: time(config.cronRetentionMs),
    WAYBILL_SHUTDOWN_GRACE: time(config.shutdownGraceMs),
    WAYBILL_STALL_LIMIT: time(config.stallLimitMs),
    LOG_LEVEL: config.logLevel,
  };
}
