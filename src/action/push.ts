// ctx.push is a placeholder: its error names ctx.email.enqueue instead.

import type { ActionContext } from '../define/context.ts';
import { WaybillError } from '../errors.ts';

export const push: ActionContext['push'] = {
  enqueue: async () => {
    throw new WaybillError(
      'push_not_available',
      'push messages are not delivered by this version; ctx.email.enqueue is',
    );
  },
};
