// The text of a receipt. Customers' input is escaped in the HTML.

type Item = { readonly sku: string; readonly quantity: number; readonly unitPriceCents: number };

export function receipt(orderId: string, items: readonly Item[], totalCents: number) {
  const lines = items.map(
    ({ sku, quantity, unitPriceCents }) => `${quantity} × ${sku}: ${euros(quantity * unitPriceCents)}`,
  );
  const list = lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('');
  return {
    from: { name: 'Orders', address: 'orders@shop.example' },
    subject: `Your order ${orderId.slice(0, 8)}`,
    text: `Thank you for your order.\n\n${lines.join('\n')}\n\nTotal: ${euros(totalCents)}\n`,
    html: `<h1>Thank you for your order</h1><ul>${list}</ul><p>Total: <strong>${euros(totalCents)}</strong></p>`,
  };
}

function euros(cents: number): string {
  return `${(cents / 100).toFixed(2)} €`;
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
