// The console without a browser: a person signs in, reads pages, and sends their forms.

import { expect } from 'vitest';
import type { TestWeb } from './web.ts';

/** Keys of the persons ann (admin), oscar (operate) and rita (read). */
export const consoleKeys = 'ann:admin:key-of-ann,oscar:operate:key-of-oscar,rita:read:key-of-rita';
export const consoleEnv = { WAYBILL_ADMIN_KEY: undefined, WAYBILL_ADMIN_KEYS: consoleKeys };

export type Answer = {
  readonly status: number;
  readonly body: string;
  readonly headers: Record<string, unknown>;
};

type Sending = { cookie?: string; form?: string; headers?: object; to?: TestWeb };

export const cookieFrom = ({ headers }: Answer): string =>
  String([headers['set-cookie']].flat()[0]).split(';')[0]!;

export const tokenIn = (body: string): string => /name="_token" value="([^"]+)"/.exec(body)![1]!;

/** @param web the server, where a call names no other */
export function consoleOf(web: () => TestWeb) {
  async function send(
    method: 'GET' | 'POST' | 'HEAD',
    url: string,
    { cookie = '', form, headers = {}, to = web() }: Sending = {},
  ): Promise<Answer> {
    const type = form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await to.server.inject({
      method,
      url,
      headers: { cookie, ...type, ...headers },
      ...(form !== undefined && { payload: form }),
    });
    return { status: response.statusCode, body: response.body, headers: response.headers };
  }

  async function signIn(person: string, to = web()): Promise<string> {
    const answer = await send('POST', '/console/sign-in', {
      form: `name=${person}+Example&key=key-of-${person}`,
      to,
    });
    expect(answer.status).toBe(303);
    return cookieFrom(answer);
  }

  /** Sends a form of a page, as a browser would. */
  async function act(cookie: string, url: string, fields: Record<string, string> = {}): Promise<Answer> {
    const { body } = await send('GET', '/console', { cookie });
    const form = new URLSearchParams({ _token: tokenIn(body), ...fields }).toString();
    return send('POST', url, { cookie, form });
  }
  return { send, signIn, act };
}
