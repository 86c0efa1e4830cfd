\i test/setup.psql
-- The answers that pg_net brings.
BEGIN;
SELECT plan(14);

\i test/fixtures/clock.sql
\i test/support/pg_net/pg_net.sql
\i test/fixtures/pg_net.sql

CREATE TEMPORARY TABLE job AS SELECT n AS name, pg_temp.add(n) AS job_id
FROM unnest(ARRAY['json', 'error', 'hang', 'old_hang', 'redirect', 'long']) AS n;
CREATE FUNCTION pg_temp.id(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT j.job_id FROM job AS j WHERE j.name = id.name $$;

SELECT is(pgq._native_reap(), 0, 'where nothing is under way there is nothing to take');
DO $$ BEGIN PERFORM pgq._native_claim(true); END $$;
SELECT is(pgq._native_reap(), 0, 'nor before an answer is there');

DO $$ BEGIN
    CALL pg_temp.answer(pg_temp.id('json'), 200, '{"a": 1}', '{"Content-Type": "application/json"}');
    CALL pg_temp.answer(pg_temp.id('error'), 500, 'oh no');
    CALL pg_temp.answer(pg_temp.id('hang'), NULL, error_msg => 'Timeout of 15000 ms reached. Total time: 1', timed_out => true);
    CALL pg_temp.answer(pg_temp.id('old_hang'), NULL, error_msg => 'Timeout was reached', headers => NULL);
    CALL pg_temp.answer(pg_temp.id('redirect'), 200, 'welcome', '{"LOCATION": "https://example.com/login"}');
    -- Somebody else's.
    INSERT INTO net._http_response (id, status_code) VALUES (-1, 200);
END $$;
SELECT is(pgq._native_reap(), 5, 'answers are taken');
SELECT is(pg_temp.job(pg_temp.id('json')), 'complete 1', '2xx completes a job');
SELECT is((pgq.get_job(pg_temp.id('json'))).output, '{"a": 1}'::jsonb, 'with its output');
SELECT is(pg_temp.job(pg_temp.id('error')), 'scheduled 1 HTTP 500: oh no', '500 fails an attempt');
SELECT is(pg_temp.job(pg_temp.id('hang')), 'scheduled 1 no answer within 15000 ms', 'so does a time-out');
SELECT is(pg_temp.job(pg_temp.id('old_hang')), 'scheduled 1 no answer within 15000 ms', 'also one that old versions do not call so');
SELECT matches(pg_temp.job(pg_temp.id('redirect')), '^scheduled 1 redirected', 'and a redirect, although pg_net has followed it');
SELECT results_eq($$ SELECT r.id FROM net._http_response AS r $$, ARRAY[-1::bigint], 'what was taken is deleted, and nothing else');
SELECT results_eq($$ SELECT n.job_id FROM pgq.native_request AS n $$, ARRAY[pg_temp.id('long')], 'the others stay under way');

SELECT is(pgq._native_text('grüß'), 'grüß', 'text is text');
SELECT is(
    pgq._native_answer(ROW(1, 2, 3, now(), now(), 1, 4, NULL, 0)::pgq.native_request, 200, '{"X": "y", "Retry-After": "7"}', 'abcdef', NULL, NULL),
    '{"job_id": 2, "lease_token": 3, "follows_redirects": true, "status_code": 200, "headers": {"retry-after": "7"}, "body": "abcdef",
      "body_is_cut": true, "timed_out": false}'::jsonb,
    'an answer tells what it is judged by');

-- What was there before the request was sent is not its answer.
DO $$ BEGIN
    CALL pg_temp.answer(pg_temp.id('long'), 200);
    UPDATE net._http_response AS r SET created = pgq._now() - interval '61 seconds' WHERE r.id > 0;
END $$;
SELECT is(pgq._native_reap(), 0, 'an answer that is older than the request is another''s');

SELECT * FROM finish();
ROLLBACK;
