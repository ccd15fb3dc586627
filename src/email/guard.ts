// The guard limits the recipients of mail outside production, so that a copy of a production database sends nothing to customers.

import { domainToASCII } from 'node:url';

/** Whether mail may go to an address. */
export type Guard = (address: string) => boolean;

/** @param allowed addresses, or domains with or without an @ before them; null: every address */
export function createGuard(allowed: readonly string[] | null): Guard {
  if (allowed === null) return () => true;
  const entries = new Set(allowed.map((entry) => comparable(entry.replace(/^@/, ''))));
  return (address) => {
    const whole = comparable(address);
    return entries.has(whole) || entries.has(whole.slice(whole.lastIndexOf('@') + 1));
  };
}

function comparable(entry: string): string {
  const at = entry.lastIndexOf('@');
  const domain = entry.slice(at + 1);
  return `${entry.slice(0, at + 1)}${domainToASCII(domain) || domain}`.toLowerCase();
}
