\i test/setup.psql
-- Answers: what each means for its job, and that one never harms another.
BEGIN;
SELECT plan(67);

\i test/fixtures/clock.sql
\i test/fixtures/requests.sql

CREATE PROCEDURE pg_temp.restart(settings text DEFAULT '')
LANGUAGE plpgsql
AS $$ BEGIN
    PERFORM pgq.set_queue_config(q), pgq.drop_queue(q, force => true) FROM unnest(ARRAY['mail', 'next']) AS q;
    PERFORM pgq.set_queue_config('mail', retry_backoff => 'fixed', pause_between_retries_milliseconds => 5000, max_attempts => 5,
        timeout_milliseconds => 100000);
    EXECUTE format('SELECT pgq.set_endpoint(''mail'', ''https://example.com/hook''%s)', settings);
    DELETE FROM sent;
END $$;
-- What an answer does to a job at this attempt: outcome, state, error; attempt afterwards; when it starts; its output.
CREATE FUNCTION pg_temp.judged(answer jsonb, settings text DEFAULT '', attempt integer DEFAULT 1)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_outcome text;
    v_job pgq.job_status;
BEGIN
    CALL pg_temp.restart(settings);
    CALL pg_temp.add('mail', 'job');
    FOR v_attempt IN 2..attempt LOOP
        PERFORM pg_temp.send();
        PERFORM pg_temp.answer('job', '500');
        CALL pg_temp.pass('1 minute');
        PERFORM pgq.set_endpoint_active('mail', true);
    END LOOP;
    PERFORM pg_temp.send();
    v_outcome := pg_temp.answer('job', answer);
    v_job := pg_temp.job('job');
    RETURN concat_ws(', ', v_outcome, 'attempt ' || v_job.attempt,
        'in ' || NULLIF(GREATEST(EXTRACT(epoch FROM v_job.start_after - pgq._now()), 0)::double precision, 0) || ' s',
        'output ' || v_job.output::text, CASE WHEN v_job.state <> split_part(v_outcome, ', ', 2) THEN 'is ' || v_job.state END);
END
$$;
CREATE FUNCTION pg_temp.with_body(body text, content_type text DEFAULT 'application/json')
RETURNS jsonb
LANGUAGE sql
AS $$ SELECT jsonb_build_object('status_code', 200, 'headers', jsonb_build_object('Content-Type', content_type), 'body', body) $$;

-- Success

SELECT results_eq(
    format($$ SELECT a.answer, pg_temp.judged(a.answer) FROM unnest(%L::jsonb[]) AS a (answer) $$, ARRAY[
        '200', '{"status_code": 200, "body": "{\"a\": 1}"}', '{"status_code": 201, "headers": {"location": "/x", "content-type": "application/problem+json"}, "body": "[1]"}',
        '{"status_code": 204, "headers": {"Location": "/x"}}', '{"status_code": "200", "headers": {"CONTENT-TYPE": "Application/JSON; charset=utf-8"}, "body": "null"}',
        '{"status_code": 200, "headers": {"content-type": "text/plain"}, "body": "7"}', '{"status_code": 200, "headers": {"content-type": "text/html"}, "body": "<p>"}',
        '{"status_code": 200, "headers": {"content-type": "application/json"}, "body": "{\"a\":"}', '{"status_code": 200, "body": "{\"a\": \"\\u0000\"}"}',
        '{"status_code": 200, "body": "1e999999"}', '{"status_code": 200, "body": "7", "body_is_cut": true}', '{"status_code": 200, "body": ""}',
        '{"status_code": 200, "headers": [1], "body": "7"}', '{"status_code": 299, "headers": null, "body": "7"}']::jsonb[]),
    $$ VALUES
        ('200'::jsonb, 'complete, complete, attempt 1'),
        ('{"status_code": 200, "body": "{\"a\": 1}"}', 'complete, complete, attempt 1, output {"a": 1}'),
        ('{"status_code": 201, "headers": {"location": "/x", "content-type": "application/problem+json"}, "body": "[1]"}', 'complete, complete, attempt 1, output [1]'),
        ('{"status_code": 204, "headers": {"Location": "/x"}}', 'complete, complete, attempt 1'),
        ('{"status_code": "200", "headers": {"CONTENT-TYPE": "Application/JSON; charset=utf-8"}, "body": "null"}', 'complete, complete, attempt 1, output null'),
        ('{"status_code": 200, "headers": {"content-type": "text/plain"}, "body": "7"}', 'complete, complete, attempt 1'),
        ('{"status_code": 200, "headers": {"content-type": "text/html"}, "body": "<p>"}', 'complete, complete, attempt 1'),
        ('{"status_code": 200, "headers": {"content-type": "application/json"}, "body": "{\"a\":"}', 'complete, complete, attempt 1'),
        ('{"status_code": 200, "body": "{\"a\": \"\\u0000\"}"}', 'complete, complete, attempt 1'),
        ('{"status_code": 200, "body": "1e999999"}', 'complete, complete, attempt 1'),
        ('{"status_code": 200, "body": "7", "body_is_cut": true}', 'complete, complete, attempt 1'),
        ('{"status_code": 200, "body": ""}', 'complete, complete, attempt 1'),
        ('{"status_code": 200, "headers": [1], "body": "7"}', 'complete, complete, attempt 1, output 7'),
        ('{"status_code": 299, "headers": null, "body": "7"}', 'complete, complete, attempt 1, output 7')
    $$, 'a 2xx completes the job; a json body is its output');
SELECT is(
    pg_temp.judged('{"status_code": 200, "body": "[\"0123456789\"]"}', ', max_response_bytes => 10'), 'complete, complete, attempt 1',
    'a body above max_response_bytes is no output');
SELECT is(pg_temp.judged('{"status_code": 202, "body": "1"}'), 'accepted, running, attempt 1', 'a 202 leaves the job running');
SELECT is((pg_temp.job('job')).lease_until - pgq._now(), interval '100 seconds', 'with a full lease of its queue');
SELECT is(pg_temp.answer('job', '200'), 'ignored', 'a second answer is not heard');
SELECT is(pgq.release_job((s.request).job_id, 'complete', (s.request).lease_token), 'complete', 'its handler releases it') FROM sent AS s;
SELECT is(pg_temp.judged('200', ', manual_release => true'), 'accepted, running, attempt 1', 'so does each 2xx with manual release');
SELECT is(
    pg_temp.judged('{"timed_out": true}', ', manual_release => true'), 'accepted, running, no answer within 15000 ms, attempt 1',
    'and a time-out: the handler may still be at work');
SELECT is((SELECT s.consecutive_failures FROM pgq.endpoint_status('mail') AS s), 0, 'which is no failure');
SELECT is(pg_temp.judged('500', ', manual_release => true'), 'failed, scheduled, HTTP 500, attempt 1, in 5 s', 'a failure fails the job all the same');

-- Failures

SELECT results_eq(
    format($$ SELECT a.answer, pg_temp.judged(a.answer) FROM unnest(%L::jsonb[]) AS a (answer) $$, ARRAY[
        '500', '{"status_code": 500, "body": "  it\n\tbroke  "}', '599', '408', '425', '{"timed_out": true}', '{"error": "connect ECONNREFUSED 1.2.3.4:443"}',
        '{"status_code": null}', '{"status_code": "x"}', '{"status_code": 99}', '100', '600', '301', '304', '400', '404', '422', '499']::jsonb[]),
    $$ VALUES
        ('500'::jsonb, 'failed, scheduled, HTTP 500, attempt 1, in 5 s'),
        ('{"status_code": 500, "body": "  it\n\tbroke  "}', 'failed, scheduled, HTTP 500: it broke, attempt 1, in 5 s'),
        ('599', 'failed, scheduled, HTTP 599, attempt 1, in 5 s'),
        ('408', 'failed, scheduled, HTTP 408, attempt 1, in 5 s'),
        ('425', 'failed, scheduled, HTTP 425, attempt 1, in 5 s'),
        ('{"timed_out": true}', 'failed, scheduled, no answer within 15000 ms, attempt 1, in 5 s'),
        ('{"error": "connect ECONNREFUSED 1.2.3.4:443"}', 'failed, scheduled, no answer: connect ECONNREFUSED 1.2.3.4:443, attempt 1, in 5 s'),
        ('{"status_code": null}', 'failed, scheduled, no answer: unknown error, attempt 1, in 5 s'),
        ('{"status_code": "x"}', 'failed, scheduled, no answer: unknown error, attempt 1, in 5 s'),
        ('{"status_code": 99}', 'failed, scheduled, no answer: unknown error, attempt 1, in 5 s'),
        ('100', 'failed, scheduled, HTTP 100, attempt 1, in 5 s'),
        ('600', 'failed, scheduled, HTTP 600, attempt 1, in 5 s'),
        ('301', 'failed, scheduled, redirected (HTTP 301): the url of the endpoint must be the final one, attempt 1, in 5 s'),
        ('304', 'failed, scheduled, redirected (HTTP 304): the url of the endpoint must be the final one, attempt 1, in 5 s'),
        ('400', 'failed, scheduled, HTTP 400, attempt 1, in 5 s'),
        ('404', 'failed, scheduled, HTTP 404, attempt 1, in 5 s'),
        ('422', 'failed, scheduled, HTTP 422, attempt 1, in 5 s'),
        ('499', 'failed, scheduled, HTTP 499, attempt 1, in 5 s')
    $$, 'any other answer, and none, fails the attempt');
SELECT is((pg_temp.job('job')).attempts #>> '{0,error}', 'HTTP 499', 'the error is in the history of the job');
SELECT is(
    pg_temp.judged(jsonb_build_object('status_code', 500, 'body', repeat('x', 50000))),
    format('failed, scheduled, HTTP 500: %s, attempt 1, in 5 s', repeat('x', 200)), 'and short');
SELECT is(pg_temp.judged('404', attempt => 2), 'failed, scheduled, HTTP 404, attempt 2, in 5 s', 'a client error may be tried');
SELECT is(pg_temp.judged('404', attempt => 3), 'failed, dead, HTTP 404, attempt 3', 'as often as client_error_attempts says');
SELECT is(pg_temp.judged('404', ', client_error_attempts => 1'), 'failed, dead, HTTP 404, attempt 1', 'or not at all');
SELECT is(pg_temp.judged('500', attempt => 4), 'failed, scheduled, HTTP 500, attempt 4, in 5 s', 'other failures');
SELECT is(pg_temp.judged('500', attempt => 5), 'failed, dead, HTTP 500, attempt 5', 'as often as the queue says');
SELECT is(
    pg_temp.judged('{"status_code": 200, "headers": {"Location": "https://evil.example/"}, "follows_redirects": true}'),
    'failed, scheduled, redirected (HTTP 200): the url of the endpoint must be the final one, attempt 1, in 5 s',
    'from a transport that follows redirects, a 200 with a location was one');
SELECT is(
    pg_temp.judged('{"status_code": 201, "headers": {"Location": "/jobs/1"}, "follows_redirects": true}'), 'complete, complete, attempt 1',
    'a 201 with a location was none');
SELECT is(pg_temp.judged('410'), 'failed, scheduled, HTTP 410, attempt 1, in 5 s', 'a 410 fails');
SELECT is((SELECT c.pause_reason FROM pgq.get_queue_config('mail') AS c), 'its endpoint answered HTTP 410 (gone)', 'and pauses the queue');

-- Back-pressure

SELECT is(
    pg_temp.judged('{"status_code": 429, "headers": {"retry-after": "7"}}'), 'paused, scheduled, HTTP 429, attempt 0, in 7 s',
    'a 429 with Retry-After uses no attempt and waits as long as it says');
SELECT results_eq(
    $$ SELECT s.held_until - pgq._now(), s.hold_reason, s.breaker FROM pgq.endpoint_status('mail') AS s $$,
    $$ VALUES (interval '7 seconds', 'it answered with Retry-After', 'closed') $$, 'so does the whole endpoint');
SELECT is(
    pg_temp.judged('{"status_code": 503, "headers": {"Retry-After": "Tue, 01 Jan 2030 00:40:00 GMT"}}', attempt => 1) LIKE 'paused, scheduled, HTTP 503, attempt 0, in % s', true,
    'a 503 with a date too');
SELECT is(pg_temp.judged('503'), 'failed, scheduled, HTTP 503, attempt 1, in 5 s', 'a 503 without is a failure');
SELECT is(pg_temp.judged('429'), 'paused, scheduled, HTTP 429, attempt 0, in 5 s', 'a 429 without uses no attempt and backs off');
SELECT is(pg_temp.judged('{"status_code": 500, "headers": {"retry-after": "7"}}'), 'failed, scheduled, HTTP 500, attempt 1, in 5 s', 'others do not hold the endpoint');
SELECT is_empty($$
    SELECT r.value, pgq._retry_after(r.value, '2030-01-01 00:00:00+00')
    FROM (VALUES ('7', 7000), (' 7 ', 7000), ('0', 1000), ('3600', 3600000), ('999999', 3600000), ('99999999999999999', 3600000),
        ('Tue, 01 Jan 2030 00:00:30 GMT', 30000), ('Tuesday, 01-Jan-30 00:00:30 GMT', 30000), ('Tue Jan  1 00:00:30 2030', 30000),
        ('Mon, 31 Dec 2029 23:59:59 GMT', 1000), ('Tue, 01 Jan 2030 05:00:00 GMT', 3600000),
        (NULL, NULL), ('', NULL), ('-7', NULL), ('7.5', NULL), ('soon', NULL), ('infinity', NULL), ('now', NULL), ('tomorrow', NULL),
        ('Tue, 99 Jan 2030 00:00:30 GMT', NULL), ('2030-01-01', NULL), (repeat('9', 100), NULL)) AS r (value, milliseconds)
    WHERE pgq._retry_after(r.value, '2030-01-01 00:00:00+00') IS DISTINCT FROM r.milliseconds
$$, 'Retry-After is read in seconds and as a date in its three forms, from a second to an hour');
SET LOCAL timezone = 'Asia/Tokyo';
SET LOCAL datestyle = 'SQL, MDY';
SELECT is(pgq._retry_after('Tue Jan  1 00:00:30 2030', '2030-01-01 00:00:00+00'), 30000::bigint, 'whatever the settings of the session');
RESET timezone;
RESET datestyle;

-- What the dispatcher says of itself

SELECT is(pg_temp.judged('{"given_back": true}'), 'paused, ready, attempt 0', 'a request that was not sent uses no attempt');
SELECT is(pg_temp.judged('{"lost": true}'), 'failed, ready, the request was lost on its way, attempt 1', 'one that was lost does, and is sent again at once');
SELECT is((SELECT s.consecutive_failures FROM pgq.endpoint_status('mail') AS s), 0, 'neither is the fault of the endpoint');

-- Documents

SELECT results_eq(
    $$ SELECT d.body, pg_temp.judged(pg_temp.with_body(d.body, 'application/vnd.pgq+json')) FROM unnest(ARRAY[
        '{}', '{"output": {"n": 1}}', '{"output": null}', '{"result": "failed", "error": "no paper"}', '{"result": "failed", "delay_milliseconds": 9000}',
        '{"result": "failed", "retry": false, "error": "never"}', '{"result": "paused", "delay_milliseconds": 60000}', '{"result": "paused"}',
        '{"result": "cancelled", "error": "not wanted"}', '{"jobs": []}', '{"jobs": null}', '[]', '7', '{', '', '{"result": "done"}', '{"reslut": "complete"}',
        '{"result": "complete", "delay_milliseconds": 5}', '{"delay_milliseconds": "x"}', '{"result": "paused", "delay_milliseconds": -1}', '{"result": "paused", "retry": false}',
        '{"retry": {}}', '{"jobs": {}}', '{"result": "failed", "jobs": [1]}']) AS d (body) $$,
    $$ VALUES
        ('{}', 'complete, complete, attempt 1'),
        ('{"output": {"n": 1}}', 'complete, complete, attempt 1, output {"n": 1}'),
        ('{"output": null}', 'complete, complete, attempt 1, output null'),
        ('{"result": "failed", "error": "no paper"}', 'failed, scheduled, no paper, attempt 1, in 5 s'),
        ('{"result": "failed", "delay_milliseconds": 9000}', 'failed, scheduled, attempt 1, in 9 s'),
        ('{"result": "failed", "retry": false, "error": "never"}', 'failed, dead, never, attempt 1'),
        ('{"result": "paused", "delay_milliseconds": 60000}', 'paused, scheduled, attempt 0, in 60 s'),
        ('{"result": "paused"}', 'paused, ready, attempt 0'),
        ('{"result": "cancelled", "error": "not wanted"}', 'cancelled, cancelled, not wanted, attempt 1'),
        ('{"jobs": []}', 'complete, complete, attempt 1'),
        ('{"jobs": null}', 'complete, complete, attempt 1'),
        ('[]', 'failed, scheduled, bad answer document: expected a json object, got ''[]'', attempt 1, in 5 s'),
        ('7', 'failed, scheduled, bad answer document: expected a json object, got ''7'', attempt 1, in 5 s'),
        ('{', 'failed, scheduled, bad answer document: expected a json object, got ''{'', attempt 1, in 5 s'),
        ('', 'failed, scheduled, bad answer document: expected a json object, got '''', attempt 1, in 5 s'),
        ('{"result": "done"}', 'failed, scheduled, bad answer document: expected result to be one of complete, failed, paused, cancelled, got ''done'', attempt 1, in 5 s'),
        ('{"reslut": "complete"}', 'failed, scheduled, bad answer document: expected nothing but result, output, error, delay_milliseconds, retry, jobs, next, got ''reslut'', attempt 1, in 5 s'),
        ('{"result": "complete", "delay_milliseconds": 5}', 'failed, scheduled, bad answer document: expected no delay_milliseconds with result complete, got ''5'', attempt 1, in 5 s'),
        ('{"delay_milliseconds": "x"}', 'failed, scheduled, bad answer document: invalid input syntax for type bigint: "x", attempt 1, in 5 s'),
        ('{"result": "paused", "delay_milliseconds": -1}', 'failed, scheduled, bad answer document: expected delay_milliseconds to be between 0 and 31536000000, got ''-1'', attempt 1, in 5 s'),
        ('{"result": "paused", "retry": false}', 'failed, scheduled, bad answer document: expected retry to be true with result paused, got ''false'', attempt 1, in 5 s'),
        ('{"retry": {}}', 'failed, scheduled, bad answer document: invalid input syntax for type boolean: "{}", attempt 1, in 5 s'),
        ('{"jobs": {}}', 'failed, scheduled, bad answer document: expected jobs to be an array, got ''{}'', attempt 1, in 5 s'),
        ('{"result": "failed", "jobs": [1]}', 'failed, scheduled, bad answer document: expected no jobs with result failed, got ''[1]'', attempt 1, in 5 s')
    $$, 'a document says itself what becomes of its job');
SELECT is((SELECT s.consecutive_failures FROM pgq.endpoint_status('mail') AS s), 0, 'an endpoint that answers with one works');
SELECT is(
    pg_temp.judged(pg_temp.with_body('{"result": "failed"}', 'application/vnd.pgq+json'), ', manual_release => true'),
    'failed, scheduled, attempt 1, in 5 s', 'with manual release too: it is a release');
SELECT is(
    pg_temp.judged(pg_temp.with_body('{"result": "failed"}', 'application/vnd.pgq+json'), ', max_response_bytes => 10'),
    'failed, scheduled, bad answer document: it is longer than 10 bytes, attempt 1, in 5 s', 'one that is cut says nothing');

-- Jobs to follow

SELECT is(
    pg_temp.judged(pg_temp.with_body($${"output": 1, "jobs": [{"queue_name": "next", "payload": {"n": 1}},
        {"queue_name": "next", "payload": null, "priority": 3, "max_attempts": 2, "unique_key": "k", "start_after": "2031-01-01T00:00:00Z", "headers": {"a": 1}}]}$$,
        'application/vnd.pgq+json; charset=utf-8')),
    'complete, complete, attempt 1, output 1', 'an answer may add jobs');
SELECT results_eq(
    $$ SELECT l.payload, l.priority, l.max_attempts, l.unique_key, l.start_after, l.headers FROM pgq.list_jobs('next') AS l ORDER BY l.job_id $$,
    $$ VALUES ('{"n": 1}'::jsonb, 0, 10, NULL, pgq._now(), NULL::jsonb), ('null', 3, 2, 'k', '2031-01-01 00:00:00+00', '{"a": 1}') $$,
    'with all options of add_job');
SELECT is_empty($$
    SELECT j.jobs, j.error, t.result
    FROM (VALUES
        ('[{"queue_name": "next", "payload": 1}, 7]', 'job 2 of the answer cannot be added: expected a json object, got ''7'''),
        ('[{"queue_name": "next", "payload": 1}, {"queue_name": "next"}]', 'job 2 of the answer cannot be added: expected payload, got null'),
        ('[{"payload": 1}]', 'job 1 of the answer cannot be added: expected queue_name to be 1 to 200 bytes long, got null'),
        ('[{"queue_name": "next", "payload": 1, "prio": 1}]', 'job 1 of the answer cannot be added: expected parameters of add_job only, got ''prio'''),
        ('[{"queue_name": "next", "payload": 1, "priority": 1000}]',
            'job 1 of the answer cannot be added: expected priority to be between -100 and 100, got ''1000'''),
        ('[{"queue_name": "next", "payload": 1, "priority": "high"}]',
            'job 1 of the answer cannot be added: invalid input syntax for type integer: "high"')
    ) AS j (jobs, error)
    CROSS JOIN LATERAL pg_temp.judged(pg_temp.with_body(format('{"jobs": %s}', j.jobs), 'application/vnd.pgq+json')) AS t (result)
    WHERE t.result <> format('failed, scheduled, %s, attempt 1, in 5 s', j.error)
$$, 'a job that cannot be added fails the job');
SELECT is(
    pg_temp.judged(pg_temp.with_body('{"jobs": [{"queue_name": "next", "payload": 1}, 7]}', 'application/vnd.pgq+json')),
    'failed, scheduled, job 2 of the answer cannot be added: expected a json object, got ''7'', attempt 1, in 5 s', 'then');
SELECT is_empty($$ SELECT l.job_id FROM pgq.list_jobs() AS l WHERE l.queue_name = 'next' $$, 'none is added');
DO $$ BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('mail', 'job');
    PERFORM pg_temp.send();
    PERFORM pgq.cancel_job((pg_temp.job('job')).job_id);
END $$;
SELECT is(
    pg_temp.answer('job', pg_temp.with_body('{"jobs": [{"queue_name": "next", "payload": 1}]}', 'application/vnd.pgq+json')), 'ignored',
    'whose lease is lost adds nothing');
SELECT is_empty($$ SELECT l.job_id FROM pgq.list_jobs() AS l WHERE l.queue_name = 'next' $$, 'really not');

-- Many answers at once

DO $$ BEGIN
    CALL pg_temp.restart(', max_in_flight => 1000');
    CALL pg_temp.add('mail', 'a', 'b', 'c', 'd', 'e', 'f');
    PERFORM pg_temp.send();
    PERFORM pgq.release_job((s.request).job_id, 'paused', (s.request).lease_token) FROM sent AS s WHERE s.name = 'd';
    PERFORM pg_temp.send();
END $$;
CREATE TEMPORARY TABLE answers AS
SELECT jsonb_build_array(
    pg_temp.answer_of('f', '500'), '7'::jsonb, pg_temp.answer_of('a', '200'), 'null'::jsonb, pg_temp.answer_of('b', '200'),
    (SELECT jsonb_build_object('job_id', (s.request).job_id, 'lease_token', (s.request).lease_token, 'status_code', 200)
     FROM sent AS s WHERE s.name = 'd' ORDER BY s.pick_id LIMIT 1),
    pg_temp.answer_of('d', '{"status_code": 200, "body": "4"}'), pg_temp.answer_of('a', '500'), '{"job_id": 1}'::jsonb, '[]'::jsonb,
    '{"job_id": 99999999999999999999, "lease_token": 1}'::jsonb, '{"job_id": 12345678, "lease_token": 1}'::jsonb,
    '{"job_id": -1, "lease_token": 1.5}'::jsonb,
    pg_temp.answer_of('e', pg_temp.with_body('{"jobs": [7]}', 'application/vnd.pgq+json')),
    pg_temp.answer_of('c', pg_temp.with_body('{"jobs": [{"queue_name": "next", "payload": 1}]}', 'application/vnd.pgq+json'))) AS answers;
SELECT results_eq(
    $$ SELECT o.outcome, o.state, o.error, o.job_id IS NOT NULL AND o.lease_token IS NOT NULL
       FROM answers AS a CROSS JOIN LATERAL pgq.answer_requests(a.answers) AS o $$,
    $$ VALUES
        ('failed', 'scheduled', 'HTTP 500', true), ('invalid', NULL, NULL, false), ('complete', 'complete', NULL, true), ('invalid', NULL, NULL, false),
        ('complete', 'complete', NULL, true), ('ignored', NULL, NULL, true), ('complete', 'complete', NULL, true), ('ignored', NULL, NULL, true),
        ('invalid', NULL, NULL, false), ('invalid', NULL, NULL, false), ('invalid', NULL, NULL, false), ('ignored', NULL, NULL, true),
        ('invalid', NULL, NULL, false), ('failed', 'scheduled', 'job 1 of the answer cannot be added: expected a json object, got ''7''', true),
        ('complete', 'complete', NULL, true)
    $$, 'answers that are bad, late or double harm no other');
SELECT is_empty($$ SELECT r.job_id FROM pgq.request AS r $$, 'all requests are answered');
SELECT results_eq(
    $$ SELECT o.outcome FROM answers AS a CROSS JOIN LATERAL pgq.answer_requests(a.answers) AS o WHERE o.outcome <> 'invalid' $$,
    $$ SELECT 'ignored' FROM generate_series(1, 9) $$, 'the same answers again are not heard');
DO $$ BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('mail', 'a', 'b', 'c');
    PERFORM pg_temp.send();
    ALTER TABLE pgq.finished_job ADD CONSTRAINT finished_job_poison_check CHECK (output IS DISTINCT FROM '"poison"');
END $$;
SELECT results_eq(
    $$ SELECT o.outcome, o.state, o.error FROM pgq.answer_requests(jsonb_build_array(
           pg_temp.answer_of('a', '{"status_code": 200, "body": "1"}'), pg_temp.answer_of('b', '{"status_code": 200, "body": "\"poison\""}'),
           pg_temp.answer_of('c', '{"status_code": 200, "body": "3"}'))) AS o $$,
    $$ VALUES ('complete', 'complete', NULL), ('failed', 'scheduled', 'the answer cannot be stored (SQLSTATE 23514)'), ('complete', 'complete', NULL) $$,
    'one that cannot be stored harms no other');
SELECT results_eq(
    $$ SELECT (pg_temp.job(n)).output FROM unnest(ARRAY['a', 'b', 'c']) AS n $$, $$ VALUES ('1'::jsonb), (NULL), ('3') $$, 'whose outputs are there');
SELECT throws_ok(format('SELECT pgq.answer_requests(%L)', a.answers), a.sqlstate::char(5), NULL, 'no answers at all: ' || COALESCE(a.answers, 'null'))
FROM (VALUES ('{}', '22023'), ('7', '22023'), ('null', '22023'), (NULL, '22004')) AS a (answers, sqlstate);
SELECT is_empty($$ SELECT o.job_id FROM pgq.answer_requests('[]') AS o $$, 'an empty array is fine');

-- An endpoint that is gone meanwhile, and secrets

DO $$ BEGIN
    CALL pg_temp.restart();
    CALL pg_temp.add('mail', 'a');
    PERFORM pg_temp.send();
    PERFORM pgq.remove_endpoint('mail');
END $$;
SELECT is(pg_temp.answer('a', '{"status_code": 200, "body": "1"}'), 'complete, complete', 'an endpoint may be removed while a request is under way');
DO $$ BEGIN
    CALL pg_temp.restart(', bearer_token_location => ''inline''');
    PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-1234');
    CALL pg_temp.add('mail', 'a', 'b', 'c');
    PERFORM pg_temp.send();
END $$;
SELECT is(
    (SELECT string_agg(o.error, '; ') FROM pgq.answer_requests(jsonb_build_array(
        pg_temp.answer_of('a', '{"status_code": 500, "body": "you sent Bearer tok-1234"}'), pg_temp.answer_of('b', '{"error": "bad header Bearer tok-1234"}'),
        pg_temp.answer_of('c', '{"status_code": 200, "body": "{\"authorization\": \"Bearer tok-1234\"}"}'))) AS o),
    'HTTP 500: you sent Bearer [redacted]; no answer: bad header Bearer [redacted]', 'a token that an endpoint repeats is not noted');
SELECT is((pg_temp.job('c')).output, '{"authorization": "Bearer [redacted]"}', 'nor kept as output');
SELECT is_empty($$
    SELECT c.content, pgq._redacted(c.content, 'a+b/c"d\e=')
    FROM unnest(ARRAY['a+b/c"d\e=', 'a+b\/c\"d\\e=', 'a\u002bb\u002Fc\u0022d\u005ce\u003D', 'a\u002Bb/c\"d\\e=']) AS c (content)
    WHERE pgq._redacted('{"x": "' || c.content || '"}', 'a+b/c"d\e=') <> '{"x": "[redacted]"}'
$$, 'in whatever way json may write it');
SELECT is(pgq._redacted('C:\new\u002f', 'a+b/c='), 'C:\new\u002f', 'what holds no token stays as it is');
CREATE FUNCTION pg_temp.rows_with(secret text)
RETURNS SETOF text
LANGUAGE plpgsql
AS $$
DECLARE
    v_table regclass;
BEGIN
    FOR v_table IN
        SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = 'pgq' AND c.relkind = 'r' ORDER BY c.relname
    LOOP
        RETURN QUERY EXECUTE format('SELECT %L::text FROM %s AS t WHERE strpos(t::text, $1) > 0 LIMIT 1',
            (SELECT c.relname FROM pg_class AS c WHERE c.oid = v_table), v_table) USING secret;
    END LOOP;
END
$$;
DO $$ BEGIN PERFORM pgq.set_endpoint_signing_secret('mail', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'); END $$;
SELECT set_eq(
    $$ SELECT s.secret, r.name FROM unnest(ARRAY['tok-1234', 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw']) AS s (secret) CROSS JOIN pg_temp.rows_with(s.secret) AS r (name) $$,
    $$ VALUES ('tok-1234', 'endpoint_secret'), ('MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'endpoint_secret') $$,
    'secrets are in their own table only');
SELECT is_empty($$
    SELECT s.text
    FROM (SELECT pgq.get_endpoint('mail')::text UNION ALL SELECT e::text FROM pgq.endpoint_status() AS e UNION ALL SELECT q::text FROM pgq.queue_stats() AS q
          UNION ALL SELECT l::text FROM pgq.list_jobs() AS l UNION ALL SELECT pgq.get_queue_config('mail')::text) AS s (text)
    WHERE s.text LIKE '%tok-1234%' OR s.text LIKE '%MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw%'
$$, 'and no function shows them to who may look at all else');

-- Runs of workflows

DO $$ BEGIN
    CALL pg_temp.restart();
    PERFORM pgq.define_workflow('mail', 'w', 1, '[{"id": "a"}, {"id": "b"}, {"id": "c"}]');
    PERFORM pgq.define_workflow('next', 'n', 1, '[{"id": "a"}]');
END $$;
-- What an answer does to a run at its first step: as `judged`, then the step.
CREATE FUNCTION pg_temp.judged_run(name text, answer jsonb)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_outcome text;
BEGIN
    PERFORM pgq.add_job('mail', to_jsonb(name), workflow => 'w');
    PERFORM pg_temp.send();
    v_outcome := pg_temp.answer(name, answer);
    RETURN concat_ws(', ', v_outcome, (pg_temp.job(name)).step);
END
$$;
CREATE FUNCTION pg_temp.document(content jsonb)
RETURNS jsonb
LANGUAGE sql
AS $$ SELECT jsonb_build_object('status_code', 200, 'headers', '{"content-type": "application/vnd.pgq+json"}'::jsonb, 'body', content::text) $$;
SELECT results_eq($$
    SELECT d.content, pg_temp.judged_run('run ' || d.place, pg_temp.document(d.content::jsonb))
    FROM unnest(ARRAY['{}', '{"output": 1, "next": {}}', '{"next": {"step": "c"}}', '{"next": {"complete": true}}',
        '{"next": {"delay_milliseconds": 60000}}', '{"next": {"signal": "yes"}}', '{"next": {"children": [{"payload": 1, "queue_name": "next"}]}}',
        '{"result": "failed", "error": "no"}', '{"result": "cancelled"}', '{"result": "failed", "next": {}}',
        '{"next": {"stp": "c"}}', '{"next": {"step": "z"}}', '{"next": {"children": [{"payload": 1, "workflow": "z"}]}}',
        '{"jobs": [{"queue_name": "next", "payload": 2, "workflow": "n"}]}', '{"jobs": [{"queue_name": "next", "payload": 2, "workflow": "z"}]}',
        '{"jobs": [{"queue_name": "next", "payload": 2}], "next": {"step": "c"}}', '{"jobs": [{"queue_name": "next", "payload": 2}], "next": {"step": "z"}}'
    ]) WITH ORDINALITY AS d (content, place)
$$, $$ VALUES
    ('{}', 'complete, ready, b'),
    ('{"output": 1, "next": {}}', 'complete, ready, b'),
    ('{"next": {"step": "c"}}', 'complete, ready, c'),
    ('{"next": {"complete": true}}', 'complete, complete, a'),
    ('{"next": {"delay_milliseconds": 60000}}', 'complete, scheduled, b'),
    ('{"next": {"signal": "yes"}}', 'complete, held, b'),
    ('{"next": {"children": [{"payload": 1, "queue_name": "next"}]}}', 'complete, held, b'),
    ('{"result": "failed", "error": "no"}', 'failed, scheduled, no, a'),
    ('{"result": "cancelled"}', 'cancelled, cancelled, a'),
    ('{"result": "failed", "next": {}}', 'failed, scheduled, bad answer document: expected no next with result failed, got ''{}'', a'),
    ('{"next": {"stp": "c"}}', 'failed, scheduled, bad answer document: expected next to have step, and one of complete, delay_milliseconds, start_after, children, signal, got ''stp'', a'),
    ('{"next": {"step": "z"}}', 'failed, scheduled, next of the answer cannot be done: expected next to lead to a step of the workflow, got ''{"step": "z"}'', a'),
    ('{"next": {"children": [{"payload": 1, "workflow": "z"}]}}', 'failed, scheduled, next of the answer cannot be done: workflow "z" not found in queue "mail", a'),
    ('{"jobs": [{"queue_name": "next", "payload": 2, "workflow": "n"}]}', 'complete, ready, b'),
    ('{"jobs": [{"queue_name": "next", "payload": 2, "workflow": "z"}]}', 'failed, scheduled, job 1 of the answer cannot be added: workflow "z" not found in queue "next", a'),
    ('{"jobs": [{"queue_name": "next", "payload": 2}], "next": {"step": "c"}}', 'complete, ready, c'),
    ('{"jobs": [{"queue_name": "next", "payload": 2}], "next": {"step": "z"}}', 'failed, scheduled, next of the answer cannot be done: expected next to lead to a step of the workflow, got ''{"step": "z"}'', a')
$$, 'an answer for a run finishes its step, and may say what is next');
SELECT is(
    (SELECT string_agg(concat_ws(' ', j.payload, j.workflow), ', ' ORDER BY j.job_id) FROM pgq.list_jobs('next') AS j), '1, 2 n, 2',
    'and what it adds may be runs');
DO $$ BEGIN CALL pg_temp.add('mail', 'plain'); PERFORM pg_temp.send(); END $$;
SELECT is(pg_temp.answer('plain', pg_temp.document('{"next": {"step": "b"}}')),
    'failed, scheduled, bad answer document: next is for runs of workflows', 'a job that is no run has nothing next');
DO $$ BEGIN
    PERFORM pgq.define_workflow('mail', 'u', 1, '[{"id": "a", "compensates": true}, {"id": "b", "max_attempts": 1}]');
    PERFORM pgq.add_job('mail', '"undone"', workflow => 'u');
    PERFORM pg_temp.send();
    PERFORM pg_temp.answer('undone', '200');
    PERFORM pg_temp.send();
END $$;
SELECT is(pg_temp.answer('undone', '500'), 'failed, ready, HTTP 500', 'a run that has to be undone is not dead');
DO $$ BEGIN PERFORM pg_temp.send(); END $$;
SELECT is(pg_temp.answer('undone', '200'), 'complete, dead', 'until that is answered');
DO $$ BEGIN
    PERFORM pgq.add_job('mail', to_jsonb(n), workflow => 'w') FROM unnest(ARRAY['good', 'bad']) AS n;
    PERFORM pg_temp.send();
END $$;
SELECT results_eq($$
    SELECT o.outcome, o.state FROM pgq.answer_requests(jsonb_build_array(
        pg_temp.answer_of('good', pg_temp.document('{"next": {"step": "b"}}')), pg_temp.answer_of('bad', pg_temp.document('{"next": {"step": "z"}}')))) AS o
$$, $$ VALUES ('complete', 'ready'), ('failed', 'scheduled') $$, 'one that cannot be done does not spoil the others');

SELECT * FROM finish();
ROLLBACK;
