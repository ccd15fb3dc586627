-- Where an attempt failed: the stack with its causes, redacted and bounded (src/redaction/stack.ts).

alter table waybill.outbox_attempts add column if not exists stack text;
