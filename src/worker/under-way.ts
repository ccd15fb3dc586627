// Claims of the loop that are under way. Postgres answers one after milliseconds, and a backlog of short deliveries is worked off in less:
// so a second may be asked for meanwhile. Each counts what it may bring, until it has brought it.

export type UnderWay = {
  /** Messages that they may bring. */
  asked(): number;
  /** One more may begin beside them. */
  isOpen(): boolean;
  /** Counts a claim until it ends. Resolves with it, and never rejects. */
  begin(asked: number, claim: Promise<void>): Promise<void>;
  /** @throws what a claim failed with since the last time */
  check(): void;
  /** Resolves when none is under way. */
  end(): Promise<void>;
};

/** Two keep the database busy while this process is; more would only wait for a core. */
const most = 2;

export function createUnderWay(): UnderWay {
  const claims = new Set<Promise<void>>();
  const failures: unknown[] = [];
  let asked = 0;

  async function follow(messages: number, claim: Promise<void>): Promise<void> {
    try {
      await claim;
    } catch (error) {
      failures.push(error);
    }
    asked -= messages;
  }

  return {
    asked: () => asked,
    isOpen: () => claims.size < most,
    async begin(messages, claim) {
      asked += messages;
      const followed = follow(messages, claim);
      claims.add(followed);
      await followed;
      claims.delete(followed);
    },
    check() {
      const [first] = failures.splice(0);
      if (first !== undefined) throw first;
    },
    async end() {
      await Promise.all(claims);
    },
  };
}
