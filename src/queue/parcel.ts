// A parcel: ids of messages that travel together as one job of pg-boss. The messages themselves stay in the outbox.

export type Parcel = {
  readonly queue: string;
  /** For a worker that runs nothing else meanwhile: a worker died while it held this message. */
  readonly alone?: boolean;
  /** Higher is fetched first. */
  readonly priority: number;
  readonly ids: readonly string[];
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

export type ParcelData = { readonly ids: readonly string[] };

/** Whoever wrote the job: what is no list of ids is an empty parcel, and the sweep finds the messages again. */
export function idsOf(data: unknown): readonly string[] {
  const ids = (data as Partial<ParcelData> | null)?.ids;
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string' && uuid.test(id)) : [];
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function idsIn(parcels: readonly Parcel[]): string[] {
  return parcels.flatMap((parcel) => parcel.ids);
}

/** What is left of parcels without these messages. */
export function remainder(parcels: readonly Parcel[], taken: ReadonlySet<string>): Parcel[] {
  return parcels
    .map((parcel) => ({ ...parcel, ids: parcel.ids.filter((id) => !taken.has(id)) }))
    .filter((parcel) => parcel.ids.length > 0);
}
