// Which addresses are public: those of a server on the internet that everybody reaches. All others may belong to the network of the worker, and a
// customer who names one must not make the worker call it.
//
// ipaddr.js knows the ranges of IANA's registries of special purposes. Of IPv6, only 2000::/3 is given to anybody
// (www.iana.org/assignments/ipv6-address-space), so everything else is refused, whatever it is called: also the forms that hold an IPv4 address.

import ipaddr from 'ipaddr.js';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;
export type Range = readonly [Address, bits: number];

const given: Range = ipaddr.IPv6.parseCIDR('2000::/3');

/** Of 2000::/3, and not in the ranges of ipaddr.js 2.5. */
const also: readonly Range[] = [
  ipaddr.IPv6.parseCIDR('2001::/23'), // protocol assignments (RFC 2928)
  ipaddr.IPv6.parseCIDR('3fff::/20'), // documentation (RFC 9637)
  ipaddr.IPv6.parseCIDR('2620:4f:8000::/48'), // AS112 (RFC 7534)
];

/** Azure answers its virtual machines there (learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16). IANA's registries do not know it. */
const ofPlatform: Range = [ipaddr.IPv4.parse('168.63.129.16'), 32];

/** @returns undefined for any other text. Short forms such as `127.1` and octal digits are none: new URL() has written them out before. */
export function readAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  return text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text)
    ? ipaddr.IPv6.parse(text)
    : undefined;
}

/** @returns undefined for any text that is no address and no CIDR range */
export function readRange(text: string): Range | undefined {
  const address = readAddress(text);
  if (address) return [address, address.kind() === 'ipv4' ? 32 : 128];
  const [from = ''] = text.split('/', 1);
  if (readAddress(from) === undefined || !ipaddr.isValidCIDR(text)) return undefined;
  return ipaddr.parseCIDR(text);
}

export function isIn(address: Address, [from, bits]: Range): boolean {
  return address.kind() === from.kind() && address.match(from, bits);
}

/** What the address is instead of public, such as `loopback`; undefined: it is public. */
export function whyNotPublic(address: Address): string | undefined {
  const range = address.range();
  if (range !== 'unicast') return words[range] ?? range;
  if (address.kind() === 'ipv4') return isIn(address, ofPlatform) ? 'a service of the platform' : undefined;
  if (!isIn(address, given)) return 'reserved';
  return also.some((one) => isIn(address, one)) ? 'reserved' : undefined;
}

const words: Readonly<Record<string, string>> = {
  linkLocal: 'link-local',
  uniqueLocal: 'private',
  carrierGradeNat: 'shared by a carrier',
  ipv4Mapped: 'an IPv4 address in IPv6',
  rfc6145: 'an IPv4 address in IPv6',
  rfc6052: 'an IPv4 address in IPv6',
  '6to4': 'an IPv4 address in IPv6',
  teredo: 'an IPv4 address in IPv6',
  deprecatedSiteLocal: 'private',
};
