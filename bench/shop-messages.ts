// The messages of a shop, a week of them, as the engine leaves their rows: eight of each order, and a mailing that is due tomorrow. Formulas decide
// what happened to each, so that every run makes the same. `offset 0` keeps Postgres from computing a value at each place that names it.

/** Messages of one order. */
const each = 8;

/** Of the messages, the part that the mailing has. */
const mailingPart = 100;

export const shares = (messages: number): { readonly orders: number; readonly mailing: number } => {
  const mailing = Math.floor(messages / mailingPart);
  return { orders: Math.ceil((messages - mailing) / each), mailing };
};

const week = `interval '7 days'`;

/** What happened at the shop: `o.ago` is the age of the order, `o.h` a number from 0 to 9,999 that looks random. */
const outage = `o.ago between interval '1 hour' and interval '3 hours' or o.ago between interval '50 hours' and interval '52 hours'
  or o.ago between interval '98 hours' and interval '99 hours'`;

const status = `case
  when k = 4 and o.h < 30 then 'dead'
  when k = 4 and o.ago < interval '1 hour' and o.h < 400 then 'failed'
  when k = 5 and o.h < 300 then 'cancelled'
  when k = 5 and o.ago < interval '1 day' then 'pending'
  when k = 6 and (${outage}) then 'dead'
  when k = 6 and o.n > $3 - 25 then 'sending'
  when k = 6 and o.ago < interval '30 minutes' then 'failed'
  when k = 7 and o.ago < interval '2 hours' then 'pending'
  when k = 8 and (o.h < 20) then 'dead'
  when k = 8 and o.ago < interval '5 seconds' then 'pending'
  else 'delivered' end`;

const error = `case
  when k = 4 and status = 'dead' then format('550 5.1.1 <c%s@customers.example>: no such user', customer)
  when k = 4 then '451 4.7.1 Greylisted, try again in 5 minutes'
  when k = 8 then 'Cannot read properties of undefined (reading ''total'')'
  when n % 3 = 0 then 'connect ECONNREFUSED 10.0.0.7:443'
  when n % 3 = 1 then format('the CRM answered 503 for customer %s', customer)
  else format('no answer within 30000 ms (request %s)', left(md5(n::text), 12)) end`;

const payload = `case
  when k in (1, 2, 3, 8) then jsonb_build_object('orderId', md5('order' || n)::uuid, 'customerEmail', format('c%s@customers.example', customer), 'totalCents', 900 + n % 40000)
  when k in (4, 5) then jsonb_build_object('from', jsonb_build_object('address', 'shop@shop.example', 'name', 'Shop'),
    'to', jsonb_build_array(jsonb_build_object('address', format('c%s@customers.example', customer))),
    'subject', case k when 4 then format('Your receipt for order %s', n) else format('How do you like order %s?', n) end,
    'html', format('<h1>Thank you, customer %s</h1><p>We received your order %s of %s cents. %s</p>', customer, n, 900 + n % 40000,
                   repeat('It will be on its way to you soon. ', 6)),
    'text', format('Thank you, customer %s. We received your order %s of %s cents.', customer, n, 900 + n % 40000))
  when k = 6 then jsonb_build_object('customer', jsonb_build_object('id', customer, 'tenant', tenant), 'order', n)
  else jsonb_build_object('invoice', n, 'tenant', tenant, 'lines', jsonb_build_array(jsonb_build_object('sku', n % 977, 'cents', 900 + n % 40000))) end`;

/** Values: first and last order of the part, orders in all. */
export const ordersSql = `
  insert into waybill.outbox_messages
    (id, kind, name, queue, payload, status, attempts, max_attempts, priority, available_at, relayed_at, claim_token, claimed_by, claimed_at,
     claimed_until, prefetched, delivered_at, dead_at, cancelled_at, dead_cause, last_error, delivery_key, group_key, order_key, order_position,
     tags, parent_id, request_id, traceparent, created_at, ends, revision)
  select (ms || '7' || lpad(to_hex(k), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid, kind, name, queue, ${payload}, status,
         attempts, most, case k when 4 then 10 else 0 end,
         case status when 'failed' then now() + interval '1 second' * (10 + h % 900) when 'pending' then case when k = 5 then at + interval '1 day' else at end
                     else coalesce(ended, at) end,
         case when status not in ('pending', 'failed', 'cancelled') then coalesce(ended, at) end,
         case when status = 'sending' then md5('claim' || n)::uuid end, case when status = 'sending' then 'shop-1:4711:a1b2c3' end,
         case when status = 'sending' then now() end, case when status = 'sending' then now() + interval '12 hours' end,
         case when status = 'sending' then false end,
         case when status = 'delivered' then ended end, case when status = 'dead' then ended end, case when status = 'cancelled' then ended end,
         case when status = 'dead' then case k when 4 then 'recipient' when 8 then 'permanent' else 'exhausted' end end,
         case when status in ('dead', 'failed') then ${error} end,
         case k when 4 then format('receipt-%s', n) when 7 then format('invoice-%s', n) when 6 then format('customer-%s-order-%s', customer, n) end,
         case when k in (6, 7) then format('tenant-%s', tenant) end,
         case when k = 3 and status = 'delivered' then format('sku-%s', n % 977) end, case when k = 3 and status = 'delivered' then n end,
         case when k in (4, 5) then array[format('order:%s', n), format('customer:%s', customer), format('shop:%s', n % 3)]
              when k = 7 then array[format('order:%s', n)] end,
         case when k > 1 then (first_ms || '7001' || '8' || lpad(to_hex(n), 15, '0'))::uuid end,
         format('req-%s', left(md5(n::text), 16)), format('00-%s-%s-01', md5('trace' || n), left(md5('span' || n || k), 16)), at,
         ends, ends + attempts
    from (
      select o.*, s.*, a.*, ends, lpad(to_hex((extract(epoch from placed) * 1000)::bigint), 12, '0') as first_ms,
             lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') as ms,
             case when status in ('delivered', 'dead', 'cancelled') then least(now(), at + interval '1 millisecond' * (40 + h % 300) * attempts * attempts) end as ended
        from (
          select n, k, kind, name, queue, most, placed, placed + (k - 1) * interval '15 ms' as at, now() - placed as ago, n * 7919 % 50000 as customer,
                 (n * 31 % 200) * (n * 17 % 200) / 200 as tenant, abs(hashint8(n * 16 + k)::bigint) % 10000 as h
            from (select n, now() - ${week} * (($3 - n)::float8 / $3) - interval '150 ms' as placed from generate_series($1::bigint, $2::bigint) n offset 0) g
           cross join (values (1, 'event', 'order.placed', 'events', 10), (2, 'listener', 'order-log', 'events', 10), (3, 'listener', 'update-stock', 'events', 10),
             (4, 'email', 'email', 'email', 53), (5, 'email', 'email', 'email', 53), (6, 'job', 'sync-customer', 'crm', 10),
             (7, 'job', 'make-invoice', 'invoices', 10), (8, 'job', 'count-order', 'jobs', 5)) as v(k, kind, name, queue, most) offset 0) o
       cross join lateral (select ${status} as status offset 0) s
       cross join lateral (select case status when 'pending' then 0 when 'cancelled' then 0 when 'sending' then 1
                                  when 'failed' then 1 + h % 4 when 'dead' then case when k = 6 then 10 else 1 end
                                  else case when h % 64 = 0 then 2 else 1 end end::int as attempts offset 0) a
       cross join lateral (select (case when status = 'sending' then 0 when status = 'cancelled' then 1 else attempts end)::int as ends offset 0) e offset 0) m
   order by at`;

/** Values: messages of the mailing. */
export const mailingSql = `
  insert into waybill.outbox_messages (id, kind, name, queue, payload, max_attempts, available_at, tags, group_key, request_id, created_at, revision)
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70098' || lpad(to_hex(n), 15, '0'))::uuid, 'email', 'email', 'email',
         jsonb_build_object('from', jsonb_build_object('address', 'shop@shop.example'),
           'to', jsonb_build_array(jsonb_build_object('address', format('c%s@customers.example', n))), 'subject', 'Autumn sale',
           'text', 'Everything is cheaper until Friday.'),
         53, now() + interval '1 day', array['campaign:autumn'], 'mailing', 'req-mailing', at, 0
    from (select n, now() - interval '50 minutes' + n * interval '2 ms' as at from generate_series(1, $1::bigint) n) g`;
