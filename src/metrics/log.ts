// The log, by pino: one JSON line for each change of state. Payloads, bodies, keys and whole addresses are never logged; suspicious texts are
// redacted.

import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { chainOf, linkOf } from '../redaction/reason.ts';
import { cleanError, hideSecrets } from '../redaction/redact.ts';
import { stackOf } from '../redaction/stack.ts';
import { outputTo } from './output.ts';

/** A logger of pino. */
export type Log = Logger;

const secrets = [
  'password',
  'authorization',
  'apiKey',
  'adminKeys',
  'payloadKeys',
  'key',
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
  const { level, role, destination = 1 } = options;
  const facts: LoggerOptions = {
    level,
    base: { role, ...(options.process === undefined ? {} : { process: options.process }) },
    timestamp: createTimestamp(),
    redact: { paths: secrets.flatMap((key) => [key, `*.${key}`]), censor: '[redacted]' },
    formatters: {
      level: (label) => ({ level: label }),
      log: (told) => withoutSecrets(told, 0) as Record<string, unknown>,
    },
    hooks: {
      logMethod(given, method) {
        const shown = given.map((one: unknown) => (typeof one === 'string' ? hideSecrets(one) : one));
        method.apply(this, shown as Parameters<typeof method>);
      },
    },
    serializers: {
      err: errorFacts,
      error: (value: unknown) => (value instanceof Error ? errorFacts(value) : value),
    },
  };
  return pino(facts, outputTo(destination));
}

/** pino's state of a log, by the symbols that it exports: the texts of its levels, its bindings and the time, and its stream. */
type Inside = {
  readonly [pino.symbols.lsCacheSym]: Readonly<Record<number, string>>;
  readonly [pino.symbols.chindingsSym]: string;
  readonly [pino.symbols.timeSym]: () => string;
  readonly [pino.symbols.streamSym]: DestinationStream;
};

/**
 * Writes lines of one kind, at the level info, for events of each message. pino makes some eighty texts for a line, this a dozen.
 * @param shared fields of all lines; they are not searched for secrets
 * @returns writes one line; its own fields are JSON, `,"name":value` for each
 */
export function createLines(
  log: Log,
  shared: Readonly<Record<string, unknown>>,
  message: string,
): (fields: string) => void {
  const its = log.child(shared, { redact: [] });
  const info = its.levels.values['info']!;
  const inside = its as unknown as Inside;
  const { symbols } = pino;
  const begin = inside[symbols.lsCacheSym][info];
  const same = inside[symbols.chindingsSym];
  const end = `,"msg":${JSON.stringify(message)}}\n`;
  let time = ''; // lines of the same millisecond share their beginning
  let head = '';
  return (fields) => {
    if (its.levelVal > info) return;
    const now = inside[symbols.timeSym]();
    if (now !== time) [time, head] = [now, begin + now + same];
    inside[symbols.streamSym].write(head + fields + end);
  };
}

/** The text of the time, made once for all lines of the same millisecond: a worker writes tens in one. */
export function createTimestamp(): () => string {
  let at = Number.NaN;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== at) {
      at = now;
      text = `,"time":"${new Date(now).toISOString()}"`;
    }
    return text;
  };
}

/** Hides secrets in nested texts, as deep as the fields of a line are nested. Errors have their own serializer. */
function withoutSecrets(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.length < 4 ? value : hideSecrets(value);
  if (typeof value !== 'object' || value === null || depth > 4) return value;
  if (Array.isArray(value)) return value.map((one) => withoutSecrets(one, depth + 1));
  if (!isPlain(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, withoutSecrets(one, depth + 1)]),
  );
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Only the fields that describe an error: a driver's error contains its configuration, with passwords. */
export function errorFacts(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: cleanError(String(error)) };
  const { name } = error;
  const code = (error as { code?: unknown }).code;
  return {
    name,
    message: cleanError(chainOf(linkOf(error))),
    ...(typeof code === 'string' ? { code } : {}),
    stack: stackOf(error),
  };
}
