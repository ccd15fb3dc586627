// The keys of a development fleet: made once for a project, so that a saved command still works tomorrow.

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { devFolder } from './folder.ts';

const names = ['WAYBILL_API_KEY', 'WAYBILL_ADMIN_KEY'] as const;

export type Keys = Readonly<Record<(typeof names)[number], string>>;

/**
 * Reads the keys of `.waybill/keys.json`, and makes those that are missing there.
 * @param project the project's folder
 */
export function devKeys(project: string): Keys {
  const file = join(devFolder(project), 'keys.json');
  const kept = existsSync(file) ? parsed(readFileSync(file, 'utf8')) : {};
  const keys = Object.fromEntries(names.map((name) => [name, kept[name] ?? made()])) as Keys;
  if (names.some((name) => kept[name] === undefined))
    writeFileSync(file, `${JSON.stringify(keys, null, 2)}\n`, { mode: 0o600 });
  return keys;
}

const made = (): string => randomBytes(24).toString('base64url');

/** A key that was damaged by hand is made anew. */
function parsed(text: string): Partial<Keys> {
  try {
    const value = JSON.parse(text) as Record<string, unknown> | null;
    return Object.fromEntries(
      names.flatMap((name) => {
        const key = value?.[name];
        return typeof key === 'string' && /^[\w-]{16,}$/.test(key) ? [[name, key]] : [];
      }),
    );
  } catch {
    return {};
  }
}
