// The form that ends a running attempt.

import type { ActForm } from './act-form.ts';
import { markup } from './markup.ts';

export const endForm: Omit<ActForm, 'to'> = {
  label: 'End the attempt',
  key: 'e',
  look: 'danger',
  will: 'Its worker loses the claim and stops. What it did outside the database stays done.',
  fields: markup`<select name="then" aria-label="What becomes of the message"><option value="dead">then it is dead</option><option value="cancel">then it is cancelled</option><option value="retry">then it is due again</option></select>`,
};
