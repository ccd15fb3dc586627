// Signs requests to Amazon SES (AWS Signature Version 4) with the package aws4fetch, which only this provider needs.

import type { AwsV4Signer } from 'aws4fetch';
import { WaybillError } from '../../errors.ts';
import { loadPackage } from '../../packages.ts';
import type { ApiOptions } from '../api/requests.ts';

export type Credentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Of temporary credentials; null: they are not temporary. */
  readonly sessionToken: string | null;
  /** Such as `eu-west-1`. */
  readonly region: string;
};

type Aws4fetch = { readonly AwsV4Signer: typeof AwsV4Signer };

/** @returns what to do when the package that signs is not installed; undefined: it is */
export const signingProblem = (): string | undefined =>
  loadPackage<Aws4fetch>('aws4fetch')?.AwsV4Signer === undefined
    ? 'the provider ses signs its requests with the package aws4fetch: npm install aws4fetch'
    : undefined;

/** @throws WaybillError `email_package_missing` */
export function createSigning({ sessionToken, ...keys }: Credentials): ApiOptions['authorize'] {
  const problem = signingProblem();
  if (problem !== undefined) throw new WaybillError('email_package_missing', problem);
  const Signer = loadPackage<Aws4fetch>('aws4fetch')!.AwsV4Signer;
  const cache = new Map<string, ArrayBuffer>(); // of the day's signing key
  return async (url, { method, headers = {}, body }) => {
    const signed = await new Signer({
      ...keys,
      ...(sessionToken !== null && { sessionToken }),
      service: 'ses',
      cache,
      url,
      method,
      headers,
      body: body as string, // each request to SES is JSON
    }).sign();
    return Object.fromEntries(signed.headers);
  };
}
