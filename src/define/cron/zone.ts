// Checks that a time zone is a name of the IANA database, such as Europe/Berlin.
// Abbreviations (CET, EST5EDT) and offsets (+02:00) are refused, because they do not determine the rules of daylight saving.

import { nearest } from '../../nearest.ts';

/** @returns what is wrong; undefined for a valid zone */
export function zoneProblem(zone: unknown): string | undefined {
  if (zone === 'UTC' || (typeof zone === 'string' && isListed(zone))) return undefined;
  const meant = typeof zone === 'string' ? near(zone) : [];
  const hint =
    meant.length > 0 ? `was ${meant.join(' or ')} meant?` : 'take a name such as Europe/Berlin, or UTC';
  return `unknown time zone ${JSON.stringify(zone)?.slice(0, 60) ?? 'undefined'}: ${hint}`;
}

/** Intl accepts names in any case, and old names that supportedValuesOf does not list. */
function isListed(zone: string): boolean {
  if (zone.length > longest || !/^[A-Z][A-Za-z_]+(\/[A-Z][A-Za-z0-9_+-]+)+$/.test(zone)) return false;
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: zone }).resolvedOptions().timeZone !== '';
  } catch {
    return false; // Intl throws a RangeError for an unknown zone
  }
}

/** The longest name in the IANA database has 32 characters. */
const longest = 64;

function near(zone: string): readonly string[] {
  if (zone.length > longest) return [];
  if (/^(UCT|GMT|Z|ZULU|UTC)$/i.test(zone)) return ['UTC'];
  const all = Intl.supportedValuesOf('timeZone');
  const wanted = zone.trim().toLowerCase();
  const city = all.filter((name) => name.split('/').at(-1)?.toLowerCase() === wanted);
  return city.length > 0 ? city : [nearest(zone, all) ?? []].flat();
}
