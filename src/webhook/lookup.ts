// The addresses of a name, checked when the socket connects: the socket gets the addresses that were checked, so a name cannot have another address
// between check and connect (DNS rebinding).

import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { Resolver } from 'node:dns/promises';
import type { LookupFunction } from 'node:net';
import { callbackify } from 'node:util';
import { isAddressAllowed, isHostAllowed, type AllowList } from './allow-list.ts';
import { readAddress, whyNotPublic } from './public-address.ts';
import { refusal } from './target-url.ts';

/** A name whose address must not be called. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
}

/** All addresses of a name. Rejects when it has none. */
export type Resolve = (host: string) => Promise<readonly string[]>;

/**
 * Asks the name servers themselves. The system's own function would hold one of four threads for each name that does not answer, and names in
 * /etc/hosts are not public.
 * @param servers default: those of the system
 */
export function dnsResolve(servers?: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: 3_000, tries: 2 });
  if (servers) resolver.setServers(servers);
  return async (host) => {
    const answers = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const found = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (found.length > 0) return found;
    throw (
      (answers.find((answer) => answer.status === 'rejected')?.reason as Error | undefined) ??
      new Error('no address')
    );
  };
}

/** For `net.connect`. Every address of the name must be public: a name with one public and one private address is refused. */
export function guardedLookup(allow: AllowList, resolve: Resolve): LookupFunction {
  const guarded = callbackify(async (host: string, family: unknown): Promise<readonly LookupAddress[]> => {
    const addresses = (await resolve(host)).map((text) => checked(host, text, allow));
    const wanted = addresses.filter((one) => isFamily(family, one.family));
    if (wanted.length === 0) throw new Error(`${host} has no address`);
    return wanted;
  });
  return (host, options, done) => {
    if (isHostAllowed(allow, host.toLowerCase())) return systemLookup(host, options, done);
    guarded(host, options.family, (error, found) => {
      if (error) done(error, '');
      else if (options.all) done(null, [...found]);
      else done(null, found[0]!.address, found[0]!.family);
    });
  };
}

function isFamily(asked: unknown, family: number): boolean {
  return asked === undefined || asked === 0 || asked === family || asked === `IPv${family}`;
}

/** @throws AddressRefused */
function checked(host: string, text: string, allow: AllowList): LookupAddress {
  const address = readAddress(text);
  const why = address === undefined ? 'no address' : whyNotPublic(address);
  if (address === undefined || (why !== undefined && !isAddressAllowed(allow, address)))
    throw new AddressRefused(`${host} has the address ${text}: ${refusal(text, why ?? 'unknown')}`);
  return { address: text, family: address.kind() === 'ipv4' ? 4 : 6 };
}
