// What an application does beside its definitions: it identifies callers and people, and makes and ends what its handlers need.

import type { Role } from '../config/admin-keys.ts';
import type { Invoker } from './context.ts';

/** A request before its body is read. Header names are in lower case. */
export type IncomingRequest = {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
};

/** How people sign in to the console. */
export type ConsoleOptions = {
  /** Identifies the person at a page of the console, such as by the application's own session. Null: nobody; the console asks for an admin key. */
  authenticate(request: IncomingRequest): Promise<ConsolePerson | null> | ConsolePerson | null;
};

/** A person who is signed in to the console. */
export type ConsolePerson = {
  /** For the audit; 1 to 100 characters. */
  readonly name: string;
  /** What the person may do: `read`, `operate` or `admin`. */
  readonly role: Role;
};

/** What an application does beside its definitions. */
export type Hooks = {
  /** Identifies the caller of a request without the API key. Return null for an anonymous caller. */
  authenticate?(request: IncomingRequest): Promise<Invoker | null> | Invoker | null;
  /**
   * With several databases (WAYBILL_DATABASES): the name of the one that holds the caller's rows, in which the action runs. Null: none, and the request
   * is refused. Without this hook, the header `Waybill-Database` names it.
   */
  databaseOf?(request: IncomingRequest): Promise<string | null> | string | null;
  /** The console's sign-in (docs/console.md). */
  readonly console?: ConsoleOptions;
  /** Runs once in each process before it takes work, to create what handlers need. When it throws, the process ends with its error. */
  setup?(): Promise<void> | void;
  /** Runs once after the last handler, also when `setup` failed. Its errors are logged. */
  teardown?(): Promise<void> | void;
};
