// Whether a person has quieted this process: its workers claim nothing more, and finish what they have. The heartbeat reads it from the process's row, and
// a NOTIFY is quicker.

export type Quiet = {
  is(): boolean;
  set(quiet: boolean): void;
  /** @param changed called after each change */
  watch(changed: () => void): void;
};

export function createQuiet(): Quiet {
  const watching: (() => void)[] = [];
  let isQuiet = false;
  return {
    is: () => isQuiet,
    set(quiet) {
      if (quiet === isQuiet) return;
      isQuiet = quiet;
      for (const changed of watching) changed();
    },
    watch: (changed) => void watching.push(changed),
  };
}
