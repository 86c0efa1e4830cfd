\i test/setup.psql
-- The turns of the native dispatcher. (Its procedure commits: test/native has the tests of that.)
BEGIN;
SELECT plan(14);

\i test/fixtures/clock.sql
\i test/support/pg_net/pg_net.sql
\i test/fixtures/pg_net.sql

CREATE TEMPORARY TABLE turn (turn_id integer GENERATED ALWAYS AS IDENTITY, turn pgq.native_turn);
CREATE FUNCTION pg_temp.next_turn(run_seconds integer DEFAULT 60)
RETURNS pgq.native_turn
LANGUAGE sql
AS $$
    INSERT INTO turn (turn) SELECT pgq._native_turn((SELECT t.turn FROM turn AS t ORDER BY t.turn_id DESC LIMIT 1), run_seconds)
    RETURNING turn
$$;
SELECT is((pg_temp.next_turn()).ends_at - pgq._now(), interval '60 seconds', 'a run ends when its time is over');
SELECT is((SELECT e.fault FROM pgq.native_epoch AS e), NULL, 'nothing goes wrong');
SELECT is(
    (SELECT date_trunc('second', t.ends_at) - date_trunc('minute', pgq._now()) FROM pgq._native_begin(NULL) AS t), interval '59 seconds',
    'without a time it ends with the minute');
SET LOCAL statement_timeout = '20s';
SELECT is(
    (SELECT t.ends_at - pgq._now() FROM pgq._native_begin(55) AS t), interval '16 seconds', 'or well before a statement_timeout');
RESET statement_timeout;

CREATE TEMPORARY TABLE job AS SELECT pg_temp.add('mail') AS job_id;
SELECT is((pg_temp.next_turn()).pause_seconds, 0.05::double precision, 'a turn that had something to do is followed by the next at once');
SELECT isnt_empty($$ SELECT FROM net.http_request_queue AS q $$, 'it has handed a request over');
SELECT is(round((pg_temp.next_turn()).pause_seconds::numeric, 6), 0.075000, 'an idle one after a longer and longer pause');
DO $$ BEGIN FOR i IN 1..10 LOOP PERFORM pg_temp.next_turn(); END LOOP; END $$;
SELECT is((pg_temp.next_turn()).pause_seconds, 0.5::double precision, 'up to half a second');
DO $$
DECLARE
    v_job_id bigint := (SELECT j.job_id FROM job AS j);
BEGIN
    CALL pg_temp.answer(v_job_id, 200);
    PERFORM pg_temp.next_turn();
END
$$;
SELECT is((SELECT pg_temp.job(j.job_id) FROM job AS j), 'complete 1', 'a turn takes answers');

SELECT is((pg_temp.next_turn()).trouble, NULL, 'there is no trouble');
SET LOCAL application_name = 'gone';
DO $$ BEGIN PERFORM pg_stat_clear_snapshot(); END $$;
CALL pg_temp.pass('3 seconds');
SELECT is((pg_temp.next_turn()).trouble, 'the worker of pg_net is not running', 'each three seconds it looks whether there is');
DO $$ BEGIN PERFORM pg_temp.add('mail', 'two'); PERFORM pg_temp.next_turn(); END $$;
SELECT is_empty($$ SELECT FROM net.http_request_queue AS q $$, 'then nothing is handed over');
SELECT is((SELECT e.turn_at FROM pgq.native_epoch AS e), pgq._now(), 'a turn tells that it was there');
CALL pg_temp.pass('57 seconds');
SELECT is((pg_temp.next_turn()).is_over, true, 'the last turn says so');

SELECT * FROM finish();
ROLLBACK;
