// The text of a nudge: the names of the queues in which something was recorded, parted by spaces. Empty: any queue, which is also what a
// NOTIFY means that somebody sends by hand.

/** Postgres takes less than 8,000 bytes. */
const longest = 7_000;

/** Names of queues need no escape (src/outbox/message.ts); what has another name, put there by hand, is any queue. */
export function hintOf(queues: Iterable<string>): string {
  const names = [...queues];
  const text = names.join(' ');
  return names.every((name) => /^[A-Za-z0-9._-]+$/.test(name)) && text.length <= longest ? text : '';
}

/** The queues that a hint names; undefined: any. */
export function queuesIn(hint: string): readonly string[] | undefined {
  const names = hint.split(' ').filter((name) => name !== '');
  return names.length > 0 ? names : undefined;
}
