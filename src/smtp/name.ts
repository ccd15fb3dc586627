// The name by which this machine greets a mail server (EHLO). RFC 5321, 4.1.1.1 and 4.1.4: its full domain name, or its address in brackets if it has
// none. A container's host name is no domain, and the loopback address identifies no machine: relays refuse both.

import { isIPv4, isIPv6 } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { domainToASCII } from 'node:url';

const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const fullName = new RegExp(`^(?=.{1,253}$)(?:${label}\\.)+(?!\\d+$)${label}$`);

/** A domain with a dot, or an address in brackets. */
export function isSmtpName(name: string): boolean {
  const [, four, six] = /^\[(?:IPv6:([^\]]+)|([^\]]+))\]$/i.exec(name) ?? [];
  if (four !== undefined || six !== undefined) return isIPv6(four ?? '') || isIPv4(six ?? '');
  return fullName.test(name);
}

export type Machine = {
  readonly hostname: string;
  /** Of all network interfaces but the loopback. */
  readonly addresses: readonly { readonly address: string; readonly family: string }[];
};

function thisMachine(): Machine {
  const all = Object.values(networkInterfaces()).flatMap((ones = []) => ones);
  return { hostname: hostname(), addresses: all.filter(({ internal }) => !internal) };
}

/**
 * The configured name; else the host name if it is a full one; else the sender's domain, which servers can look up; else the machine's address.
 * @param sender `orders@shop.example` or `Orders <orders@shop.example>`
 */
export function smtpName(
  configured: string | null,
  sender: string | null,
  { hostname: host, addresses }: Machine = thisMachine(),
): string {
  if (configured !== null) return configured;
  if (isSmtpName(host) && !/\.(?:local|localdomain|localhost)$/i.test(host)) return host;
  const domain = domainToASCII(/@([^\s<>@"]+?)>?\s*$/.exec(sender ?? '')?.[1] ?? '');
  if (isSmtpName(domain)) return domain;
  const own = addresses.find(({ family }) => family === 'IPv4') ?? addresses[0];
  if (own === undefined) return 'localhost';
  return own.family === 'IPv4' ? `[${own.address}]` : `[IPv6:${own.address.split('%')[0]}]`;
}
