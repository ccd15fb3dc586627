// pino: one JSON line per change of state. Payloads, bodies, keys and whole addresses never come here; what might be one is redacted.

import { pino, type Logger, type LoggerOptions } from 'pino';

export type Log = Logger;

const secrets = [
  'password',
  'authorization',
  'apiKey',
  'adminKey',
  'payload',
  'html',
  'text',
  'claimToken',
  'connectionString',
];

/**
 * @param options.level of pino: trace, debug, info, warn, error, fatal, silent
 * @param options.destination a file descriptor: 1 is stdout, the default; 2 is stderr, for commands whose result goes to stdout
 */
export function createLog(options: {
  readonly level: string;
  readonly role: string;
  readonly process?: string;
  readonly destination?: 1 | 2;
}): Log {
  const { level, role, process, destination = 1 } = options;
  const facts: LoggerOptions = {
    level,
    base: { role, ...(process === undefined ? {} : { process }) },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: secrets.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: errorFacts },
  };
  // Not a write for each line: what is logged while a write is under way goes with the next. The end of the process writes what is left.
  return pino(facts, pino.destination({ dest: destination, sync: false }));
}

/** Of an error only what says what happened: a driver's error carries its configuration, passwords included (FACTS 13). */
export function errorFacts(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: String(error) };
  const { name, message, stack } = error;
  const code = (error as { code?: unknown }).code;
  const cause = error.cause === undefined ? {} : { cause: errorFacts(error.cause) };
  return { name, message, ...(typeof code === 'string' ? { code } : {}), ...cause, stack };
}
