// A parcel: ids of messages that travel together as one job of pg-boss. The messages themselves stay in the outbox.

export type Parcel = {
  readonly queue: string;
  /** For a worker that runs nothing else meanwhile: a worker died while it held this message. */
  readonly alone?: boolean;
  /** Higher is fetched first. */
  readonly priority: number;
  readonly ids: readonly string[];
  /** Open: it names no message and stands for so many of those that are next in its lane. */
  readonly any?: number;
};

/** Parcels that want a worker for themselves wait in a queue beside their own; no queue of a user's can have its name. */
export function bossQueue(queue: string, alone: boolean): string {
  return alone ? `${queue}/alone` : queue;
}

/** The other way round. */
export function fromBossQueue(name: string): { readonly queue: string; readonly alone: boolean } {
  const alone = name.endsWith('/alone');
  return { queue: alone ? name.slice(0, -'/alone'.length) : name, alone };
}

export type ParcelData = { readonly ids: readonly string[] } | { readonly any: number };

export function dataOf({ ids, any }: Parcel): ParcelData {
  return any === undefined ? { ids } : { any };
}

/** For an open parcel, how many messages it stands for. */
export function anyOf(data: unknown): number | undefined {
  const { any } = (data ?? {}) as { any?: unknown };
  return typeof any === 'number' && Number.isSafeInteger(any) && any > 0 ? any : undefined;
}

/** Whoever wrote the job: what is no list of ids is an empty parcel, and the sweep finds the messages again. */
export function idsOf(data: unknown): readonly string[] {
  const { ids } = (data ?? {}) as { ids?: unknown };
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string' && uuid.test(id)) : [];
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function idsIn(parcels: readonly Parcel[]): string[] {
  return parcels.flatMap((parcel) => parcel.ids);
}

/** Messages that parcels stand for. */
export function messagesIn(parcels: readonly Parcel[]): number {
  return parcels.reduce((sum, { ids, any = 0 }) => sum + ids.length + any, 0);
}

/** What is left of open parcels of one lane when so many messages were taken, in parcels of at most `size`. */
export function openRemainder(parcels: readonly Parcel[], taken: number, size: number): Parcel[] {
  let rest = taken;
  return parcels.flatMap((parcel) => {
    const used = Math.min(rest, parcel.any ?? 0);
    rest -= used;
    const any = (parcel.any ?? 0) - used;
    return Array.from({ length: Math.ceil(any / size) }, (_, i) => ({
      ...parcel,
      any: Math.min(size, any - i * size),
    }));
  });
}

/** What is left of parcels without these messages. */
export function remainder(parcels: readonly Parcel[], taken: ReadonlySet<string>): Parcel[] {
  return parcels
    .map((parcel) => ({ ...parcel, ids: parcel.ids.filter((id) => !taken.has(id)) }))
    .filter((parcel) => parcel.ids.length > 0);
}
