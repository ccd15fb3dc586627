// When a process counts as silent or gone, by its heartbeat in waybill.processes. All that show, count or advise processes agree on this.

/** Three heartbeats. */
export const silentAfterSeconds = 6;
/** From then on the process is considered dead. */
export const goneAfterSeconds = 30;
/** From then on nobody is alarmed about it any more. */
export const forgottenAfterSeconds = 600;

const within = (seconds: number): string => `heartbeat_at > now() - interval '${seconds} seconds'`;

/** Conditions on a row of waybill.processes. */
export const isAlive = within(silentAfterSeconds);
/** Alive or silent. */
export const isNotGone = within(goneAfterSeconds);
/** Stopped, blocked, cut off, or dead and not replaced. */
export const isSilent = `(not ${isAlive} and ${within(forgottenAfterSeconds)})`;
/** One of its loops is stalled. */
export const isStalled = `(stalled <> '{}' and ${isAlive})`;
