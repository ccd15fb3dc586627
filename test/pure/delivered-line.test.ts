import fc from 'fast-check';
import { pino, type Logger } from 'pino';
import { describe, expect, it } from 'vitest';
import { tellDelivered, type DeliveredMessage } from '../../src/metrics/delivered.ts';

function written(level = 'info'): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const options = { level, base: { role: 'jobs' }, timestamp: () => ',"time":"now"' };
  return { log: pino(options, { write: (line: string) => void lines.push(line) }), lines };
}

const message: fc.Arbitrary<DeliveredMessage> = fc.record({
  id: fc.uuid(),
  kind: fc.constantFrom('job', 'email', 'event'),
  name: fc.string({ unit: 'binary' }),
  queue: fc.string({ unit: 'binary' }),
  attempt: fc.integer({ min: 1, max: 1_000 }),
  maxAttempts: fc.integer({ min: 1, max: 1_000 }),
  requestId: fc.option(fc.string({ unit: 'binary' })),
  traceparent: fc.option(fc.string().map((text) => `00-${text}-1-01`)),
});

describe('the line of a delivered message', () => {
  it('is what the log itself would write, whatever there is to be escaped, for as many definitions as there are', () => {
    const { log, lines } = written();
    const tell = tellDelivered(log);
    const all = fc.sample(message, 500); // more than are told apart
    for (const [i, one] of all.entries()) {
      const { id, kind, name, queue, attempt, maxAttempts, requestId, traceparent } = one;
      const [seconds, endToEndSeconds] = [i / 1_000, i / 7];
      const traceId = traceparent?.split('-')[1] ?? null;
      const rest = { attempt, maxAttempts, requestId, traceId, seconds, endToEndSeconds };
      tell(one, seconds, endToEndSeconds);
      log.info({ kind, name, queue, message: id, ...rest }, 'delivered');
      expect(lines.at(-2)).toBe(lines.at(-1));
    }
    expect(lines).toHaveLength(1_000);
  });

  it('is not written above the level of the log', () => {
    const { log, lines } = written('warn');
    const tell = tellDelivered(log);
    for (const one of fc.sample(message, 300)) tell(one, 0, 0);
    expect(lines).toEqual([]);
  });
});
