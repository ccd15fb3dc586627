// Submits one email to a provider's HTTP API, or asks it whether it accepts us, and says what each end of the request means.

import { partlyRefused, receiptOf, type Addressed } from '../addressees.ts';
import type { Receipt } from '../provider.ts';
import { isSuccess, unreadable, type Answer, type Told } from './answer.ts';
import type { Api, Asked } from './requests.ts';

type Request = Asked & { readonly path: string; readonly signal: AbortSignal };

type Reading<T> = {
  /** What the provider says in a refusal. */
  readonly refusal: (answer: Answer) => Told;
  /** What a success says; undefined for an answer that is none of the provider's. */
  readonly success: (answer: Answer) => T | undefined;
};

/** @throws EmailError */
export async function asked<T>(
  { ask, failed }: Api,
  { path, signal, ...request }: Request,
  { refusal, success }: Reading<T>,
): Promise<{ readonly status: number; readonly said: T }> {
  const answer = await ask(path, signal, request);
  if (!isSuccess(answer)) throw failed(refusal(answer));
  const said = success(answer);
  if (said === undefined) throw failed(unreadable(answer));
  return { status: answer.status, said };
}

/**
 * @param reading `success`: the provider's id of the accepted email
 * @throws EmailError
 */
export async function submit(
  api: Api,
  mail: Addressed,
  request: Request,
  reading: Reading<string>,
): Promise<Receipt> {
  try {
    const { status, said } = await asked(api, request, reading);
    return receiptOf(mail, status, said);
  } catch (error) {
    const receipt = partlyRefused(mail, error);
    if (receipt === undefined) throw error;
    return receipt;
  }
}
