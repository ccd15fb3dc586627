// What a run shows while it goes on, on standard error: a few lines that are redrawn in a terminal, plain lines elsewhere.

export type State = {
  readonly seconds: number;
  readonly ofSeconds: number;
  readonly placed: number;
  readonly delivered: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly now: string;
};

export type View = {
  /** A line that stays. */
  say(line: string): void;
  show(state: State): void;
  end(): void;
};

const plainEveryMs = 10_000;

export function createView(out: NodeJS.WriteStream): View {
  let drawn = 0;
  let last = Number.NEGATIVE_INFINITY;
  const clear = (): void => {
    if (drawn > 0) out.write(`\x1b[${drawn}A\x1b[0J`);
    drawn = 0;
  };
  return {
    say(line) {
      clear();
      out.write(`${line}\n`);
    },
    show(state) {
      const lines = linesOf(state);
      if (out.isTTY) {
        clear();
        out.write(`${lines.join('\n')}\n`);
        drawn = lines.length;
        return;
      }
      if (performance.now() - last < plainEveryMs) return;
      last = performance.now();
      out.write(`${lines.join('; ')}\n`);
    },
    end: clear,
  };
}

function linesOf({ seconds, ofSeconds, placed, delivered, faults, now }: State): string[] {
  const struck = Object.entries(faults).map(([name, n]) => `${name} ${n}`);
  return [
    `${Math.round(seconds)} of ${Math.round(ofSeconds)} s: ${now}`,
    `${placed} orders placed, ${delivered} deliveries`,
    `faults: ${struck.length === 0 ? 'none yet' : struck.join(', ')}`,
  ];
}
