// A person at the console without a browser: signs in once, opens pages, and sends their forms.

import type { InjectOptions } from 'fastify';
import { adminKey, type TestWeb } from './web.ts';

export type Shown = { readonly status: number; readonly body: string; readonly to: string | undefined };

export type Person = {
  open(url: string): Promise<Shown>;
  /** Sends a form, with the token of the session. */
  send(url: string, fields?: Record<string, string> | readonly [string, string][]): Promise<Shown>;
};

/** @param key default: that of the tests, whose role is admin */
export async function atConsole(web: TestWeb, name = 'ann', key = adminKey): Promise<Person> {
  const signIn = await web.server.inject({
    method: 'POST',
    url: '/console/sign-in',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams({ name, key }).toString(),
  });
  const cookie = String([signIn.headers['set-cookie']].flat()[0]).split(';')[0]!;
  const shown = async (request: InjectOptions): Promise<Shown> => {
    const { statusCode, body, headers } = await web.server.inject(request);
    return { status: statusCode, body, to: headers.location };
  };
  const open = (url: string): Promise<Shown> => shown({ method: 'GET', url, headers: { cookie } });
  const token = /name="_token" value="([^"]+)"/.exec((await open('/console/keys')).body)![1]!;
  return {
    open,
    send: (url, fields = {}) => {
      const pairs: readonly (readonly [string, string])[] =
        fields instanceof Array ? fields : Object.entries(fields);
      const form = new URLSearchParams(pairs.map(([field, value]): [string, string] => [field, value]));
      form.set('_token', token);
      const headers = { cookie, 'content-type': 'application/x-www-form-urlencoded' };
      return shown({ method: 'POST', url, headers, payload: form.toString() });
    },
  };
}
