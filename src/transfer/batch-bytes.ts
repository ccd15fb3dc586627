// The bytes of one batch. Its payloads are in memory several times, and the statement that reads or records them must not take too long.

/** Of payloads, in one batch. */
export const batchBytes = 8 * 1_048_576;

/** How many of the first have not too many bytes together: one at least, if there is one. */
export function countWithin(sizes: readonly number[]): number {
  let bytes = 0;
  const end = sizes.findIndex((size) => (bytes += size) > batchBytes);
  return end === -1 ? sizes.length : Math.max(1, end);
}
