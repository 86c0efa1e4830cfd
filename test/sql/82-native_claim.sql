\i test/setup.psql
-- What the native dispatcher hands to pg_net.
BEGIN;
SELECT plan(12);

\i test/fixtures/clock.sql
\i test/support/pg_net/pg_net.sql
\i test/fixtures/pg_net.sql

SELECT is(pgq._native_claim(true), 0, 'where there is nothing to send nothing is handed over');
CREATE TEMPORARY TABLE job AS SELECT pg_temp.add('mail', 'one') AS job_id;
SELECT is(pgq._native_claim(true), 1, 'a job is handed over');
SELECT results_eq(
    $$ SELECT q.method::text, q.url, q.timeout_milliseconds, convert_from(q.body, 'UTF8')::jsonb ->> 'payload',
              q.headers ->> 'content-type' FROM net.http_request_queue AS q $$,
    $$ VALUES ('POST', 'https://example.com/mail', 15000, 'one', 'application/json') $$,
    'the request waits in pg_net as it is to be sent');
SELECT results_eq(
    $$ SELECT n.request_id, n.job_id, n.lease_token, n.seen_at FROM pgq.native_request AS n $$,
    $$ SELECT q.id, r.job_id, r.lease_token, pgq._now() FROM net.http_request_queue AS q, pgq.request AS r
       WHERE r.dispatcher = 'pg_net' $$,
    'its id is noted with its job');
SELECT is(current_setting('synchronous_commit'), 'off', 'a claim that stands alone need not be durable');

DO $$ BEGIN
    PERFORM pgq.set_endpoint('page', 'https://example.com/page?x=1', method => 'GET');
    PERFORM pgq.add_job('page', '"two"');
    PERFORM pgq._native_claim(true);
END $$;
SELECT matches(
    (SELECT q.url FROM net.http_request_queue AS q WHERE q.method = 'GET'),
    '^https://example\.com/page\?x=1&job=%7B', 'an endpoint may want a GET');

DO $$ BEGIN
    FOR i IN 1..12 LOOP PERFORM pg_temp.add('mail', i::text); END LOOP;
END $$;
SELECT is(pgq._native_claim(true), 8, 'no more are handed over than make two batches');
SELECT is(pgq._native_claim(true), 0, 'and none while so many are under way');

-- What pg_net refuses

DO $$ BEGIN
    DELETE FROM net.http_request_queue;
    DELETE FROM pgq.native_request;
    PERFORM pgq.drop_queue(s.queue_name, force => true) FROM pgq.queue_stats() AS s;
    PERFORM pg_temp.add('bad');
    PERFORM pg_temp.add('good');
END $$;
CREATE OR REPLACE FUNCTION net._encode_url_with_params_array(url text, params_array text[])
RETURNS text LANGUAGE plpgsql
AS $$ BEGIN IF url LIKE '%/bad' THEN RAISE EXCEPTION 'Bad scheme'; END IF; RETURN url; END $$;
SELECT is(pgq._native_claim(true), 1, 'a request that pg_net refuses does not keep the others back');
SELECT results_eq(
    $$ SELECT s.hold_reason FROM pgq.endpoint_status('bad') AS s $$,
    ARRAY['pg_net refuses its requests (SQLSTATE P0001)'], 'its endpoint is held, and says why');
SELECT results_eq(
    $$ SELECT j.state, j.attempt FROM pgq.list_jobs('bad') AS j $$, $$ VALUES ('ready', 0) $$, 'its job uses no attempt');

-- An id that is given out anew

DO $$ BEGIN
    DELETE FROM net.http_request_queue;
    PERFORM setval('net.http_request_queue_id_seq', (SELECT n.request_id FROM pgq.native_request AS n), false);
    PERFORM pg_temp.add('good', 'later');
    PERFORM pgq._native_claim(true);
END $$;
SELECT results_eq(
    $$ SELECT (pgq.get_job(n.job_id)).payload #>> '{}' FROM pgq.native_request AS n $$, ARRAY['later'],
    'an id that pg_net gives out anew belongs to the job that has it now');

SELECT * FROM finish();
ROLLBACK;
