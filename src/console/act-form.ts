// The form of an act: a button that opens what the act will do, a field for the reason, and the button that does it. It works without script, and a
// key opens the form but never sends it.

import { markup, type Markup } from './markup.ts';
import type { Session } from './session.ts';

export type ActForm = {
  readonly to: string;
  readonly label: string;
  /** What will happen, in one sentence. */
  readonly will: Markup | string;
  /** Opens it. */
  readonly key?: string;
  /** True: the key is not shown. */
  readonly quiet?: boolean;
  readonly look?: 'main' | 'danger';
  readonly fields?: Markup;
  /** True: there is no field for a reason. */
  readonly withoutReason?: boolean;
};

export function hiddenToken({ csrf }: Session): Markup {
  return markup`<input type="hidden" name="_token" value="${csrf}" />`;
}

export function actForm(
  session: Session,
  { to, label, will, key, quiet = false, look, fields, withoutReason = false }: ActForm,
): Markup {
  const reason = markup`<input name="reason" maxlength="1000" placeholder="Reason, for the audit" aria-label="Reason" />`;
  return markup`<details class="act ${look === 'main' ? 'main' : ''}"${key ? markup` data-key="${key}"` : null}>
    <summary>${label}${key && !quiet ? markup` <kbd>${key}</kbd>` : null}</summary>
    <form method="post" action="${to}">${hiddenToken(session)}<p>${will}</p>${fields ?? null}${withoutReason ? null : reason}
      <button class="${look ?? 'main'}">${label}</button></form></details>`;
}

/** Whether the session's role may act. */
export function mayAct({ role }: Session): boolean {
  return role !== 'read';
}
