-- Sessions of the console that were signed out, and sign-in links that were used (src/console/ended.ts): their signatures are still valid, so they
-- are refused by their ids until they would have ended.

create table waybill.ended_sessions (
  id    text        primary key,
  until timestamptz not null
);
