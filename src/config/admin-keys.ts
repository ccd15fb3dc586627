// Reads the keys of people and programs that may call /admin: a name, a role and a key for each.

import { nearest } from '../nearest.ts';

export type Report = (variable: string, message: string) => void;

/** From the fewest rights to the most: `read` sees all but payloads, `operate` also acts, `admin` also sees payloads and erases. */
export const roles = ['read', 'operate', 'admin'] as const;
/** What a holder of an admin key may do. */
export type Role = (typeof roles)[number];

export type AdminKey = {
  readonly variable: string;
  /** Of the person or program, for the audit. */
  readonly name: string;
  readonly role: Role;
  readonly key: string;
};

export const isKey = (value: string, least: number): boolean =>
  /^[\x21-\x7e]{1,256}$/.test(value) && value.length >= least;

/** Keys with all rights, with commas between them. */
export function readAdminKey(
  variable: string,
  value: string | undefined,
  least: number,
  report: Report,
): readonly AdminKey[] {
  const keys = value?.split(',') ?? [];
  if (keys.every((key) => isKey(key, least)))
    return keys.map((key) => ({ variable, name: 'admin', role: 'admin', key }));
  report(
    variable,
    `must have ${least} to 256 printable characters without spaces; commas separate several keys`,
  );
  return [];
}

/** `name:role:key`, with commas between them. */
export function readAdminKeys(
  variable: string,
  value: string | undefined,
  least: number,
  report: Report,
): readonly AdminKey[] {
  return (value?.split(',') ?? []).flatMap((entry, i) => {
    const [, name = '', word = '', key = ''] = /^([^:]*):([^:]*):(.*)$/s.exec(entry) ?? [];
    const role = roles.find((one) => one === word);
    const at = `entry ${i + 1}`;
    if (!/^[A-Za-z0-9._@-]{1,50}$/.test(name))
      report(variable, `${at} must be name:role:key, with a name of letters, digits, '.', '_', '@' or '-'`);
    else if (role === undefined) {
      const meant = nearest(word, roles);
      const hint = meant ? `; was ${meant} meant?` : '';
      report(variable, `${at} (${name}) needs one of the roles ${roles.join(', ')}${hint}`);
    } else if (!isKey(key, least))
      report(
        variable,
        `${at} (${name}) needs a key of ${least} to 256 printable characters without spaces or commas`,
      );
    else return [{ variable, name, role, key }];
    return [];
  });
}

/** The bearer keys of a configuration; null: not set. */
type BearerKeys = Readonly<Record<'apiKey' | 'metricsKey' | 'cronSecret', string | null>> & {
  readonly adminKeys: readonly AdminKey[];
};

/** Whoever has one key must not have the rights of another. */
export function reportEqualKeys(
  { adminKeys, apiKey, metricsKey, cronSecret }: BearerKeys,
  report: Report,
): void {
  const seen = new Map<string, string>();
  for (const [variable, key] of [
    ['WAYBILL_API_KEY', apiKey],
    ['WAYBILL_METRICS_KEY', metricsKey],
    ['WAYBILL_CRON_SECRET', cronSecret],
    ...adminKeys.map(({ variable, key }) => [variable, key] as const),
  ] as const) {
    if (key === null) continue;
    const other = seen.get(key);
    if (other !== undefined)
      report(
        variable,
        other === variable ? 'has the same key twice' : `has the key of ${other}: each needs its own`,
      );
    seen.set(key, variable);
  }
}
