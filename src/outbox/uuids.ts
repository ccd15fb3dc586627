// Arrays of ids and tokens, as Postgres reads them: hundreds at a time, for each message. What is no UUID is refused there.

/** The driver would look for quotes in each. */
export const uuidsAsText = (all: readonly string[]): string => `{${all.join(',')}}`;

/** What array_recv reads: one dimension, no nulls, the type's oid, so many from 1 on; each with its length before it. It need not parse them. */
export function uuidsAsBinary(all: readonly string[]): Buffer {
  const head = `000000010000000000000b86${all.length.toString(16).padStart(8, '0')}00000001`;
  return Buffer.from([head, ...all].join('00000010').replaceAll('-', ''), 'hex');
}
