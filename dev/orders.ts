// Orders of made-up customers.

const customers = ['ann', 'bo', 'chen', 'dara', 'eve', 'finn', 'gus', 'hana'];
const shelf = [
  { sku: 'tea', unitPriceCents: 450 },
  { sku: 'coffee', unitPriceCents: 690 },
  { sku: 'cup', unitPriceCents: 1_200 },
  { sku: 'biscuits', unitPriceCents: 320 },
];

export type OrderBody = {
  readonly customerEmail: string;
  readonly items: readonly {
    readonly sku: string;
    readonly quantity: number;
    readonly unitPriceCents: number;
  }[];
};

export function orderBody(number: number): OrderBody {
  const count = 1 + (number % 3);
  const items = Array.from({ length: count }, (_, i) => shelf[(number + i) % shelf.length]).filter(
    (item) => item !== undefined,
  );
  return {
    customerEmail: `${customers[number % customers.length]}@customers.example`,
    items: items.map((item, i) => ({ ...item, quantity: 1 + ((number + i) % 4) })),
  };
}
