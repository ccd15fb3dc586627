import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decode } from '../../src/define/payload.ts';

const of = <S extends z.ZodType>(payload: S) => ({ kind: 'job', name: 'j', payload });
const refusal = {
  code: 'payload_invalid',
  message: expect.stringContaining('the payload of the job j') as string,
};

describe('a payload', () => {
  it('is decoded at once where its schema takes no time', () => {
    const schema = z.object({
      at: z.codec(z.iso.datetime(), z.date(), {
        decode: (text) => new Date(text),
        encode: (date) => date.toISOString(),
      }),
    });
    expect(decode(of(schema), { at: '2026-01-01T00:00:00.000Z' })).toEqual({
      at: new Date('2026-01-01T00:00:00.000Z'),
    });
  });

  it('is decoded later where it takes some, and what is not valid is refused in the same words either way', async () => {
    const later = z.object({ n: z.number() }).refine(async ({ n }) => Promise.resolve(n > 0), 'too small');
    expect(decode(of(later), { n: 1 })).toBeInstanceOf(Promise);
    expect(await decode(of(later), { n: 1 })).toEqual({ n: 1 });
    await expect(decode(of(later), { n: 0 })).rejects.toMatchObject(refusal);
    await expect(decode(of(later), { n: 'x' })).rejects.toMatchObject(refusal);
    await expect(decode(of(z.object({ n: z.number() })), { n: 'x' })).rejects.toMatchObject(refusal);
  });
});
