// The machine's monotonic clock in milliseconds. Every process of this machine reads the same one, also a process whose date is an hour off.

export const now = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;
