// Progress of a benchmark on standard error, because some benchmarks take many minutes.

const againMs = 30_000;

export function tell(text: string): void {
  console.error(`${(performance.now() / 1_000).toFixed(0).padStart(5)} s  ${text}`);
}

/** Prints the text at once, and again every half minute until the work is done. */
export async function during<T>(text: string, work: Promise<T>): Promise<T> {
  tell(text);
  const began = performance.now();
  const again = setInterval(
    () => tell(`${text}: for ${((performance.now() - began) / 1_000).toFixed(0)} s now`),
    againMs,
  );
  try {
    return await work;
  } finally {
    clearInterval(again);
  }
}

export const count = (n: number): string => n.toLocaleString('en-US');
