// A Postgres URL, read as pg reads it: a network host, or a socket in a folder, with settings as parameters. A problem names the wrong part of the
// URL and never its value, because the password may be anywhere in it.

export type PostgresUrl = {
  /** A name, an address, or the folder of a socket. */
  readonly host: string;
  readonly isSocket: boolean;
  /** On this machine: through a socket, or a loopback address. */
  readonly isLocal: boolean;
  /** From `sslmode` or `ssl`; undefined when the URL has neither. */
  readonly sslmode: string | undefined;
  readonly parameters: URLSearchParams;
};

export type UrlProblem = { readonly problem: string };

const example = 'postgres://user:password@host:5432/database';

/** The values that pg accepts. */
const sslmodes = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full', 'no-verify'];

/** Scheme, user and password (which may contain @), hosts, path, parameters. */
const shape = /^([a-z]+):\/\/(?:([^/?#]*)@)?([^/?#@]*)(\/[^?#]*)?(\?[^#]*)?$/i;

export function readPostgresUrl(text: string): PostgresUrl | UrlProblem {
  if (text.startsWith('/')) return folder(text);
  if (!/^(?:postgres|postgresql|socket):\/\//i.test(text))
    return { problem: `must be a URL like ${example}` };
  if (text.includes('#'))
    return { problem: 'has a #, which ends a URL: in user or password it must be written %23' };
  const parts = shape.exec(text);
  if (!parts) return { problem: atOutside(text) };
  const [, scheme = '', login = '', hosts = '', path = '', query = ''] = parts;
  const parameters = new URLSearchParams(query);
  const database = scheme.toLowerCase() === 'socket' ? (parameters.get('db') ?? '') : path.slice(1);
  const problem =
    loginProblem(login) ??
    hostProblem(scheme, hosts, parameters) ??
    databaseProblem(database) ??
    parameterProblem(parameters);
  if (problem !== undefined) return { problem };
  const host =
    scheme.toLowerCase() === 'socket' ? path : (parameters.get('host') ?? decodeURIComponent(hostOf(hosts)));
  return facts(host, parameters);
}

/** `/var/run/postgresql database`: a folder, a space and the name of the database. */
function folder(text: string): PostgresUrl | UrlProblem {
  const [host = '', database = ''] = text.split(' ');
  const problem = databaseProblem(database);
  return problem === undefined ? facts(host, new URLSearchParams()) : { problem };
}

function facts(host: string, parameters: URLSearchParams): PostgresUrl {
  const isSocket = host.startsWith('/');
  const isLoopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
  const sslmode = parameters.get('sslmode') ?? parameters.get('ssl') ?? undefined;
  return { host, isSocket, isLocal: isSocket || isLoopback, sslmode, parameters };
}

/** An @ outside of the authority: an earlier character of the password ended the authority. */
function atOutside(text: string): string {
  const ended = /[/?]/.exec(text.slice(text.indexOf('//') + 2))?.[0];
  return ended === undefined
    ? `must be a URL like ${example}`
    : `has a ${ended} in user or password that must be written ${ended === '/' ? '%2F' : '%3F'}`;
}

function loginProblem(login: string): string | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(login)) return 'has a % in user or password that must be written %25';
  if (/\s/.test(login)) return 'has a blank in user or password that must be written %20';
  return undefined;
}

function hostOf(hosts: string): string {
  return hosts.replace(/:[^:\]]*$/, '');
}

function hostProblem(scheme: string, hosts: string, parameters: URLSearchParams): string | undefined {
  if (scheme.toLowerCase() === 'socket') return undefined;
  if (hosts.includes(','))
    return 'names several hosts: only one can be given, such as that of a proxy which knows the primary';
  const port = parameters.get('port') ?? /:([^:\]]*)$/.exec(hosts)?.[1] ?? '5432';
  if (port === '0' || !/^\d{0,5}$/.test(port) || Number(port) > 65_535)
    return /^\d+$/.test(port)
      ? `names port ${port}; ports go from 1 to 65535`
      : 'has a port that is no number: is there a /, ? or @ in user or password? They must be written %2F, %3F and %40';
  const host = hostOf(hosts);
  if (host === '') return parameters.get('host') ? undefined : `names no host; it must be like ${example}`;
  return URL.canParse(`http://${host}`) || /^%2f/i.test(host)
    ? undefined
    : 'has a host that cannot be one: is there a / or an @ in the password that must be written %2F or %40?';
}

function databaseProblem(name: string): string | undefined {
  if (/[@/]/.test(name))
    return 'has an @ or a / in the name of the database: is there a / in the password that must be written %2F?';
  if (name === '') return `names no database; it must be like ${example}`;
  return /%(?![0-9A-Fa-f]{2})/.test(name)
    ? 'has a % in the name of the database that must be written %25'
    : undefined;
}

function parameterProblem(parameters: URLSearchParams): string | undefined {
  if ([...parameters.keys()].some((key) => key.includes('@')))
    return 'has an @ among its parameters: is there a ? in the password that must be written %3F?';
  const mode = parameters.get('sslmode');
  return mode === null || sslmodes.includes(mode)
    ? undefined
    : `has an sslmode that is none of ${sslmodes.join(', ')}`;
}

/** In production, a URL over a network must state its TLS mode. */
export function clearTextProblem(url: PostgresUrl): string | undefined {
  if (url.isLocal || url.sslmode !== undefined) return undefined;
  return 'says nothing of TLS, so that the password and every message would cross the network in clear: add ?sslmode=verify-full (with sslrootcert where the provider publishes its certificate), or write ?sslmode=disable where the network itself is closed';
}
