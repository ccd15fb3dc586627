// WAYBILL_WEBHOOK_ALLOW: receivers that are called although their addresses are not public, such as one on this machine in development.

import { isIn, readAddress, readRange, type Address, type Range } from './public-address.ts';

export type AllowList = { readonly hosts: ReadonlySet<string>; readonly ranges: readonly Range[] };

export const allowNothing: AllowList = { hosts: new Set(), ranges: [] };

/** The rule for one item, as error messages state it. */
export const allowRule = 'names of hosts, addresses or ranges such as 10.0.0.0/8, with commas between them';

const hostName = /^(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,20}$/i;

/** @returns undefined when an item is none of these */
export function readAllowList(items: readonly string[]): AllowList | undefined {
  const [hosts, ranges] = [new Set<string>(), [] as Range[]];
  for (const item of items) {
    const range = readRange(item);
    if (range) ranges.push(range);
    else if (hostName.test(item) && !/^[\d.]+$/.test(item)) hosts.add(item.toLowerCase());
    else return undefined;
  }
  return { hosts, ranges };
}

export const isHostAllowed = ({ hosts }: AllowList, host: string): boolean => hosts.has(host);

export const isAddressAllowed = ({ ranges }: AllowList, address: Address): boolean =>
  ranges.some((range) => isIn(address, range));

/** Whether the list names the host of a URL: by its name, or by a range that has the address it is. */
export function names(list: AllowList, host: string): boolean {
  const address = readAddress(host);
  return isHostAllowed(list, host) || (address !== undefined && isAddressAllowed(list, address));
}
