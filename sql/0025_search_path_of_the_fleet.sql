-- As 0024_search_path.sql, for what an outbox without a fleet does not have.

alter function waybill.outbox_refuse(text, text) set search_path = pg_catalog, pg_temp;
alter function waybill.outbox_new_id() set search_path = pg_catalog, pg_temp;
alter function waybill.outbox_check(text, text, jsonb, text, text, timestamptz, int, int, text, text) set search_path = pg_catalog, pg_temp;
alter function waybill.enqueue(text, text, jsonb, text, text, timestamptz, int, int, text, text, uuid) set search_path = pg_catalog, pg_temp;
alter function waybill.cron_end_run() set search_path = pg_catalog, pg_temp;
alter function waybill.workers_recommended(text[]) set search_path = pg_catalog, pg_temp;
alter function waybill.outbox_claim_next(text[], int, int, float8, text) set search_path = pg_catalog, pg_temp;
