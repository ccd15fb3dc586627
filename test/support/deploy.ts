// What the files of deploy/ say: on each platform the processes with their commands and grace periods, and the variables that are set.

import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { parse, parseAllDocuments } from 'yaml';

export type DeployedProcess = {
  readonly name: string;
  /** Of the command line `waybill`. */
  readonly args: readonly string[];
  /** Between SIGTERM and SIGKILL, in seconds. */
  readonly grace: number;
};

export type Variables = Readonly<Record<string, string | null>>;

export type Platform = {
  readonly name: string;
  readonly processes: readonly DeployedProcess[];
  /** Null: the platform or a person fills it in. */
  readonly variables: Variables;
};

const folder = new URL('../../deploy/', import.meta.url);
export const deployFile = (path: string): string => readFileSync(new URL(path, folder), 'utf8');

/** Every document of the manifests. */
export function manifests(): Manifest[] {
  return readdirSync(new URL('kubernetes/', folder))
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) =>
      parseAllDocuments(deployFile(`kubernetes/${name}`)).map((one) => one.toJS() as Manifest),
    );
}

export const platforms = (): Platform[] => [compose(), fly(), render(), railway(), heroku(), kubernetes()];

/** The arguments behind `node node_modules/waybill/dist/cli/main.js`. */
function argsOf(command: string): string[] {
  const start = 'node node_modules/waybill/dist/cli/main.js ';
  if (!command.startsWith(start)) throw new Error(`not started by node alone: ${command}`);
  return command.slice(start.length).split(' ');
}

const seconds = (text: string): number => Number(/^(\d+)s$/.exec(text)?.[1]);

type Service = {
  command?: string[];
  stop_grace_period?: string;
  environment?: Record<string, string>;
};

function compose(): Platform {
  const { services } = parse(deployFile('docker/compose.yaml'), { merge: true }) as {
    services: Record<string, Service>;
  };
  const ours = Object.entries(services).filter(([name]) => name !== 'postgres');
  return {
    name: 'compose',
    processes: ours.map(([name, { command, stop_grace_period }]) => ({
      name,
      args: command ?? [],
      grace: seconds(stop_grace_period ?? ''),
    })),
    variables: {
      NODE_ENV: 'production',
      ...substituted(ours.map(([, { environment }]) => environment ?? {})),
    },
  };
}

/** Compose's own substitution: `${NAME:-default}`, or `${NAME:?message}` for what has to be in .env. */
function substituted(environments: readonly Record<string, string>[]): Variables {
  const entries = environments.flatMap(Object.entries<string>).map(([name, text]) => {
    const value = text.replace(/\$\{\w+:-([^}]*)\}/g, '$1').replace(/\$\{\w+:\?[^}]*\}(?=.)/g, 'secret');
    return [name, value === '' || value.startsWith('${') ? null : value] as const;
  });
  return Object.fromEntries(entries);
}

type Fly = {
  deploy: { release_command: string };
  processes: Record<string, string>;
  env: Record<string, string>;
  kill_timeout: string;
};

function fly(): Platform {
  const file = parseToml(deployFile('fly/fly.toml')) as unknown as Fly;
  const commands = { release: file.deploy.release_command, ...file.processes };
  return {
    name: 'fly',
    processes: Object.entries(commands).map(([name, command]) => ({
      name,
      args: command.split(' '),
      grace: seconds(file.kill_timeout),
    })),
    variables: { NODE_ENV: 'production', ...file.env },
  };
}

type Variable = { key?: string; value?: string };
type Render = {
  envVarGroups: { envVars: Variable[] }[];
  services: {
    name: string;
    preDeployCommand?: string;
    startCommand: string;
    maxShutdownDelaySeconds: number;
    envVars: Variable[];
  }[];
};

function render(): Platform {
  const file = parse(deployFile('render/render.yaml')) as Render;
  return {
    name: 'render',
    processes: file.services.flatMap(({ name, preDeployCommand, startCommand, maxShutdownDelaySeconds }) => [
      ...(preDeployCommand
        ? [{ name: 'release', args: argsOf(preDeployCommand), grace: maxShutdownDelaySeconds }]
        : []),
      { name, args: argsOf(startCommand), grace: maxShutdownDelaySeconds },
    ]),
    variables: Object.fromEntries(
      [...file.envVarGroups, ...file.services].flatMap(({ envVars }) =>
        envVars.flatMap(({ key, value }) => (key === undefined ? [] : [[key, value ?? null] as const])),
      ),
    ),
  };
}

type Railway = { deploy: { preDeployCommand?: string[]; startCommand: string; drainingSeconds: number } };

function railway(): Platform {
  const processes = readdirSync(new URL('railway/', folder)).flatMap((name) => {
    const { deploy } = JSON.parse(deployFile(`railway/${name}`)) as Railway;
    const commands = [...(deploy.preDeployCommand ?? []), deploy.startCommand].map(argsOf);
    return commands.map((args) => ({
      name: args[0] === 'release' ? 'release' : basename(name, '.json'),
      args,
      grace: deploy.drainingSeconds,
    }));
  });
  return { name: 'railway', processes, variables: { NODE_ENV: 'production', PGSSLMODE: 'disable' } };
}

/** Heroku's grace period is 30 s and cannot be set. */
const herokuGrace = 30;

function heroku(): Platform {
  const { env } = JSON.parse(deployFile('heroku/app.json')) as { env: Record<string, { value?: string }> };
  const processes = deployFile('heroku/Procfile')
    .trim()
    .split('\n')
    .map((line) => {
      const [, name = '', command = ''] = /^(\w+): (.*)$/.exec(line) ?? [];
      return { name, args: argsOf(command), grace: herokuGrace };
    });
  const variables = Object.fromEntries(Object.entries(env).map(([name, { value }]) => [name, value ?? null]));
  return { name: 'heroku', processes, variables };
}

export type Manifest = {
  apiVersion: string;
  kind: string;
  metadata: { name: string };
  data?: Record<string, string>;
  stringData?: Record<string, string>;
  spec?: {
    template?: {
      spec: { terminationGracePeriodSeconds?: number; containers: { name: string; args: string[] }[] };
    };
  };
};

/** What Kubernetes takes when a pod says nothing. */
const podGrace = 30;

function kubernetes(): Platform {
  const all = manifests();
  const processes = all.flatMap(({ spec }) => {
    const pod = spec?.template?.spec;
    return (pod?.containers ?? []).map(({ name, args }) => ({
      name,
      args,
      grace: pod?.terminationGracePeriodSeconds ?? podGrace,
    }));
  });
  const variables = Object.assign({}, ...all.flatMap(({ data, stringData }) => [data, stringData])) as Record<
    string,
    string
  >;
  return { name: 'kubernetes', processes, variables };
}
