\i test/setup.psql
-- Dispatch: which jobs become requests, and what a request is made of.
BEGIN;
SELECT plan(76);

\i test/fixtures/clock.sql
\i test/fixtures/requests.sql

-- A request

DO $$ BEGIN
    PERFORM pgq.set_endpoint('mail', 'https://example.com/hook?x=1', headers => '{"X-Team": "mail"}');
    PERFORM pgq.add_job('mail', '{"to": "ada@example.org", "text": "Grüße \"🐘\""}', max_attempts => 7,
        headers => '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1,b=2", "user": 7}');
END $$;
CREATE TEMPORARY TABLE one AS SELECT r.* FROM pgq.pick_requests(dispatcher => 'd1') AS r;
SELECT results_eq(
    $$ SELECT o.queue_name, o.attempt, o.method, o.url, o.timeout_milliseconds, o.max_response_bytes, o.manual_release, o.is_insecure_allowed,
              o.lease_until - pgq._now() FROM one AS o $$,
    $$ VALUES ('mail', 1, 'POST', 'https://example.com/hook?x=1', 15000, 65536, false, false, interval '45 seconds') $$,
    'a job becomes a request, with a lease that is 30 seconds longer');
SELECT results_eq(
    $$ SELECT o.body::jsonb FROM one AS o $$,
    $$ SELECT jsonb_build_object('job_id', o.job_id, 'lease_token', o.lease_token, 'attempt', 1, 'max_attempts', 7, 'queue_name', 'mail',
           'payload', j.payload, 'headers', j.headers, 'timeout_milliseconds', 15000)
       FROM one AS o CROSS JOIN LATERAL pgq.get_job(o.job_id) AS j $$, 'its body is the job');
SELECT is((SELECT o.body FROM one AS o), (SELECT o.body::jsonb::text FROM one AS o), 'as jsonb writes it, to the byte');
SELECT is(
    (SELECT o.headers - 'webhook-id' FROM one AS o), jsonb_build_object(
        'x-team', 'mail', 'content-type', 'application/json', 'user-agent', 'pgq/' || pgq.installed_version(),
        'webhook-timestamp', EXTRACT(epoch FROM pgq._now())::bigint::text,
        'traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', 'tracestate', 'a=1,b=2'),
    'its headers are those of the endpoint, of Standard Webhooks and of the trace');
SELECT matches((SELECT o.headers ->> 'webhook-id' FROM one AS o), '^job_[0-9a-f]{8}_' || (SELECT o.job_id FROM one AS o) || '$', 'its id holds the job');
SELECT is((SELECT j.worker FROM one AS o CROSS JOIN LATERAL pgq.get_job(o.job_id) AS j), 'd1', 'the dispatcher is the worker');
SELECT is_empty($$ SELECT r.job_id FROM pgq.pick_requests() AS r $$, 'a job is sent once');
DO $$ BEGIN
    PERFORM pgq.release_job(o.job_id, 'failed', o.lease_token, delay_milliseconds => 0) FROM one AS o;
END $$;
SELECT results_eq(
    $$ SELECT r.headers ->> 'webhook-id', r.attempt, r.lease_token <> o.lease_token FROM pgq.pick_requests() AS r CROSS JOIN one AS o $$,
    $$ SELECT o.headers ->> 'webhook-id', 2, true FROM one AS o $$, 'the next attempt has the same id, and another lease');

-- Trace headers that are none

CREATE TEMPORARY TABLE trace (headers jsonb);
INSERT INTO trace (headers)
VALUES ('{}'), ('{"traceparent": 5}'), ('{"traceparent": "x"}'), ('{"tracestate": "a=1"}'), (NULL),
       ('{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nEvil: 1"}');
SELECT is_empty(
    $$ SELECT t.headers FROM trace AS t WHERE pgq._trace_headers(t.headers) <> '{}' $$, 'what is no trace is not passed on');
SELECT is(
    pgq._trace_headers('{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a\r\nb"}'),
    '{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}', 'nor a state that would break the request');

-- Signatures and tokens

CREATE PROCEDURE pg_temp.restart(settings text DEFAULT '')
LANGUAGE plpgsql
AS $$ BEGIN
    PERFORM pgq.set_queue_config(q), pgq.drop_queue(q, force => true) FROM unnest(ARRAY['mail', 'post', 'fax']) AS q;
    EXECUTE format('SELECT pgq.set_endpoint(''mail'', ''https://example.com/hook''%s)', settings);
    DELETE FROM sent;
END $$;
CREATE FUNCTION pg_temp.signature(body text, secret text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT 'v1,' || encode(pgq._hmac_sha256(convert_to(concat_ws('.',
        (s.request).headers ->> 'webhook-id', (s.request).headers ->> 'webhook-timestamp', body), 'UTF8'), decode(substr(secret, 7), 'base64')), 'base64')
    FROM sent AS s ORDER BY s.pick_id DESC LIMIT 1
$$;
CREATE FUNCTION pg_temp.last()
RETURNS pgq.dispatch_request
LANGUAGE sql
AS $$ SELECT s.request FROM sent AS s ORDER BY s.pick_id DESC LIMIT 1 $$;
CALL pg_temp.restart();
DO $$ BEGIN PERFORM pgq.set_endpoint_signing_secret('mail', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'); END $$;
CALL pg_temp.add('mail', 'Grüße');
SELECT is(pg_temp.send(), 'Grüße', 'a job of an endpoint with a signing secret');
SELECT is(
    (pg_temp.last()).headers ->> 'webhook-signature', pg_temp.signature((pg_temp.last()).body, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'),
    'is signed');
DO $$ BEGIN PERFORM pgq.set_endpoint_signing_secret('mail', 'whsec_' || encode(decode(repeat('01', 24), 'hex'), 'base64')); END $$;
CALL pg_temp.add('mail', 'a');
SELECT is(pg_temp.send(), 'a', 'while the secret changes');
SELECT is(
    (pg_temp.last()).headers ->> 'webhook-signature',
    pg_temp.signature((pg_temp.last()).body, 'whsec_' || encode(decode(repeat('01', 24), 'hex'), 'base64')) || ' '
        || pg_temp.signature((pg_temp.last()).body, 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), 'there are both signatures, the new one first');
CALL pg_temp.restart($$, method => 'GET'$$);
DO $$ BEGIN PERFORM pgq.set_endpoint_signing_secret('mail', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'); END $$;
CALL pg_temp.add('mail', 'a b&ü/🐘');
SELECT is(split_part(pg_temp.send(), '?', 1), 'https://example.com/hook', 'a GET endpoint');
SELECT matches(
    (pg_temp.last()).url,
    '^https://example\.com/hook\?job=%7B%22job_id%22%3A%20[0-9]+%2C%20%22attempt%22%3A%201%2C%20%22payload%22%3A%20%22a%20b%26%C3%BC%2F%F0%9F%90%98%22',
    'gets the job in the query, encoded');
SELECT ok((pg_temp.last()).body IS NULL AND NOT (pg_temp.last()).headers ? 'content-type', 'and no body');
CREATE FUNCTION pg_temp.decoded(encoded text)
RETURNS text
LANGUAGE sql
AS $$
    SELECT convert_from(string_agg(CASE WHEN p[1] LIKE '\%%' THEN decode(substr(p[1], 2), 'hex') ELSE convert_to(p[1], 'UTF8') END, ''), 'UTF8')
    FROM regexp_matches(encoded, '%..|[^%]', 'g') AS p
$$;
SELECT is(
    (pg_temp.last()).headers ->> 'webhook-signature',
    pg_temp.signature(pg_temp.decoded(split_part((pg_temp.last()).url, '=', 2)), 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'),
    'the signature is that of the job as it is before it is encoded');
CALL pg_temp.restart($$, bearer_token_location => 'inline'$$);
CALL pg_temp.add('mail', 'a', 'b');
SELECT is(pg_temp.send(), '', 'nothing is sent before the token is set');
SELECT is((SELECT s.hold_reason FROM pgq.endpoint_status('mail') AS s), 'its bearer token is not set', 'the status says so');
SELECT is((pg_temp.job('a')).attempt, 0, 'and no attempt is used');
DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-1'); END $$;
SELECT is(pg_temp.send(1), 'a', 'as soon as it is set');
SELECT is((pg_temp.last()).headers ->> 'authorization', 'Bearer tok-1', 'requests carry it');

-- What is wrong when something is to be sent

DO $$ BEGIN PERFORM pgq.allow_endpoint_host('example.org'); END $$;
SELECT is(pg_temp.send(), '', 'nothing is sent to a host that is not on the list any more');
SELECT is(
    (SELECT s.hold_reason FROM pgq.endpoint_status('mail') AS s), 'expected url to have a host that allow_endpoint_host has allowed', 'the status says so');
DO $$ BEGIN
    PERFORM pgq.disallow_endpoint_host('example.org');
    CALL pg_temp.pass('11 seconds');
    UPDATE pgq.endpoint SET url = 'https://secret@10.0.0.1/';
END $$;
SELECT is(pg_temp.send(), '', 'nor to a url that has come in by another way');
SELECT is((SELECT s.hold_reason FROM pgq.endpoint_status('mail') AS s), 'expected url to have no user info', 'which is not shown');
DO $$ BEGIN
    UPDATE pgq.endpoint SET url = 'https://example.com/', headers = '{"x": "a\r\nb"}';
    CALL pg_temp.pass('11 seconds');
END $$;
SELECT is(pg_temp.send(), '', 'nor with headers that would break the request');

-- Time-outs and leases

CALL pg_temp.restart();
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 600000);
    PERFORM pgq.add_job('mail', '"long"', timeout_milliseconds => 70000);
    PERFORM pgq.add_job('mail', '"short"', timeout_milliseconds => 5000);
    PERFORM pgq.add_job('mail', '"plain"');
END $$;
SELECT is(pg_temp.send(), 'long short plain', 'three jobs');
SELECT results_eq(
    $$ SELECT (s.request).timeout_milliseconds, (s.request).body::jsonb ->> 'timeout_milliseconds', (s.request).lease_until - pgq._now() FROM sent AS s ORDER BY s.pick_id $$,
    $$ VALUES (15000, '15000', interval '70 seconds'), (5000, '5000', '5 seconds'), (15000, '15000', '45 seconds') $$,
    'a request takes no longer than its job may');
CALL pg_temp.restart(', manual_release => true');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', timeout_milliseconds => 600000);
    PERFORM pgq.add_job('mail', '"short"', timeout_milliseconds => 5000);
    PERFORM pgq.add_job('mail', '"plain"');
END $$;
SELECT is(pg_temp.send(), 'short plain', 'with manual release');
SELECT results_eq(
    $$ SELECT (s.request).timeout_milliseconds, (s.request).body::jsonb ->> 'timeout_milliseconds', (s.request).body::jsonb ->> 'manual_release',
              (s.request).lease_until - pgq._now() FROM sent AS s ORDER BY s.pick_id $$,
    $$ VALUES (5000, '5000', 'true', interval '5 seconds'), (15000, '600000', 'true', '10 minutes') $$,
    'the lease is the job''s or the queue''s, and the body tells it');
CALL pg_temp.restart(', timeout_milliseconds => 60001');
CALL pg_temp.add('mail', 'a');
SELECT is_empty(
    $$ SELECT r.job_id FROM pgq.pick_requests(max_timeout_milliseconds => 60000) AS r $$, 'a dispatcher leaves endpoints that it cannot wait for');
SELECT isnt_empty(
    $$ SELECT r.job_id FROM pgq.pick_requests(max_timeout_milliseconds => 60001) AS r $$, 'to one that can');

-- Which queues

CALL pg_temp.restart();
CALL pg_temp.add('mail', 'a', 'b');
CALL pg_temp.add('fax', 'c');
SELECT is(pg_temp.send(1), 'a', 'a queue without endpoint is not sent');
DO $$ BEGIN PERFORM pgq.pause_queue('mail', pgq._now() + interval '1 minute'); END $$;
SELECT is(pg_temp.send(), '', 'nor one that is paused');
CALL pg_temp.pass('1 minute');
DO $$ BEGIN PERFORM pgq.set_endpoint_active('mail', false); END $$;
SELECT is(pg_temp.send(), '', 'nor one whose endpoint is not active');
DO $$ BEGIN
    PERFORM pgq.set_endpoint_active('mail', true);
    PERFORM pgq.set_endpoint('fax', 'https://example.com/fax');
END $$;
SELECT results_eq(
    $$ SELECT r.queue_name FROM pgq.pick_requests(queue_names => '{fax,never}') AS r $$, $$ VALUES ('fax') $$, 'a dispatcher may serve some queues only');
SELECT is_empty($$ SELECT r.queue_name FROM pgq.pick_requests(queue_names => '{}') AS r $$, 'or none');
SELECT is(pg_temp.send(), 'b', 'or all that there are');
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency => 3);
    CALL pg_temp.add('mail', 'd', 'e', 'f');
END $$;
SELECT is(pg_temp.send(), 'd e', 'the limits of a queue hold');

-- In flight

CALL pg_temp.restart(', max_in_flight => 3');
CALL pg_temp.add('mail', 'a', 'b', 'c', 'd', 'e', 'f', 'g');
SELECT is(pg_temp.send(2), 'a b', 'no more is sent than is asked for');
SELECT is(pg_temp.send(), 'c', 'nor than may be in flight');
SELECT is(pg_temp.send(), '', 'until');
SELECT is(pg_temp.answer('b', '200'), 'complete, complete', 'an answer');
SELECT is(pg_temp.send(), 'd', 'makes room for one');
CALL pg_temp.pass('44 seconds');
SELECT is(pg_temp.send(), '', 'a dispatcher that says nothing');
CALL pg_temp.pass('2 seconds');
SELECT is(pg_temp.send(), 'e f g', 'is given up when the time of its requests is over');
SELECT is((SELECT count(*) FROM pgq.request), 3::bigint, 'and they are forgotten');
SELECT is(pg_temp.answer('a', '200'), 'ignored', 'an answer that comes later is not heard');
DO $$ BEGIN
    CALL pg_temp.pass('40 seconds');
    PERFORM pgq.extend_requests(array_agg((s.request).job_id), array_agg((s.request).lease_token)) FROM sent AS s WHERE s.name IN ('e', 'f');
    CALL pg_temp.pass('10 seconds');
END $$;
SELECT is(
    (SELECT string_agg(k.name, ' ') FROM (SELECT s.name FROM sent AS s JOIN pgq.request AS r
     ON (r.job_id, r.lease_token) = ((s.request).job_id, (s.request).lease_token) WHERE r.expires_at > pgq._now() ORDER BY s.pick_id) AS k),
    'e f', 'requests that are extended live on');
SELECT is(
    (SELECT string_agg(concat_ws(' ', k.state, EXTRACT(epoch FROM k.lease_until - pgq._now())::integer), ', ' ORDER BY s.name)
     FROM sent AS s CROSS JOIN LATERAL pgq.extend_requests(ARRAY[(s.request).job_id], ARRAY[(s.request).lease_token]) AS k
     WHERE s.name IN ('e', 'a')), 'lost, running 45', 'with their leases; of one that is not known any more it is told');
DO $$ BEGIN PERFORM pgq.cancel_job((s.request).job_id) FROM sent AS s WHERE s.name = 'f'; END $$;
SELECT is(
    (SELECT k.state FROM sent AS s CROSS JOIN LATERAL pgq.extend_requests(ARRAY[(s.request).job_id], ARRAY[(s.request).lease_token]) AS k
     WHERE s.name = 'f'), 'cancelled', 'and of one whose job is cancelled');
SELECT throws_ok($$ SELECT pgq.extend_requests('{1}', NULL) $$, '22004', NULL, 'only who has the lease can extend it');

-- A look that was slow goes round the dead, and sees all that live

CALL pg_temp.restart(', max_in_flight => 1000');
DO $$ BEGIN
    PERFORM pgq.add_jobs('mail', ARRAY(SELECT to_jsonb(i) FROM generate_series(1, 900) AS i));
    PERFORM pg_temp.send(300);
    PERFORM set_config(pgq._request_mark(q.queue_id), format('%s|%s',
        (SELECT max(r.request_id) + 1 FROM pgq.request AS r),
        (SELECT string_agg(r.request_id::text, ',') FROM pgq.request AS r)), false)
    FROM pgq.queue AS q WHERE q.queue_name = 'mail';
    PERFORM pg_temp.send(300);
END $$;
SELECT is((SELECT s.in_flight FROM pgq.endpoint_status('mail') AS s), 600, 'six hundred requests are in flight');
SELECT is(
    (SELECT pgq._in_flight(q.queue_id, NULL) FROM pgq.queue AS q WHERE q.queue_name = 'mail'), 600,
    'all are counted, those kept in mind and those that came later');
DO $$ BEGIN
    PERFORM pg_temp.answer_all('200', VARIADIC (SELECT array_agg(s.name) FROM sent AS s WHERE s.name::integer % 3 > 0));
END $$;
SELECT is(
    (SELECT pgq._in_flight(q.queue_id, NULL) FROM pgq.queue AS q WHERE q.queue_name = 'mail'), 200, 'none that is answered is');
SELECT is((SELECT cardinality(string_to_array(pg_temp.send(1000), ' '))), 300, 'and the rest is sent');

-- Endpoints take turns

CREATE FUNCTION pg_temp.turn(max_requests integer)
RETURNS text
LANGUAGE sql
AS $$
    SELECT string_agg(format('%s %s', r.queue_name, r.count), ', ' ORDER BY r.queue_name)
    FROM (SELECT p.queue_name, count(*) AS count FROM pgq.pick_requests(max_requests) AS p GROUP BY p.queue_name) AS r
$$;
CREATE PROCEDURE pg_temp.three(of_mail integer, of_post integer, of_fax integer, max_in_flight integer DEFAULT 1000)
LANGUAGE plpgsql
AS $$ BEGIN
    CALL pg_temp.restart();
    PERFORM pgq.set_endpoint(q.name, 'https://example.com/' || q.name, max_in_flight => max_in_flight),
            pgq.add_jobs(q.name, ARRAY(SELECT to_jsonb(i) FROM generate_series(1, q.jobs) AS i))
    FROM (VALUES ('mail', of_mail), ('post', of_post), ('fax', of_fax)) AS q (name, jobs);
END $$;
CALL pg_temp.three(1000, 1000, 1000);
SELECT is(pg_temp.turn(99), 'fax 33, mail 33, post 33', 'each endpoint gets an equal share');
CALL pg_temp.three(1000, 5, 20);
SELECT is(pg_temp.turn(99), 'fax 20, mail 74, post 5', 'what one leaves goes to the others');
CALL pg_temp.three(1000, 5, 1000, 30);
SELECT is(pg_temp.turn(99), 'fax 30, mail 30, post 5', 'as far as they may have it');
CALL pg_temp.three(10, 10, 10);
CREATE TEMPORARY TABLE turn AS SELECT i, pg_temp.turn(1) AS turn FROM generate_series(1, 9) AS i;
SELECT is_empty(
    $$ SELECT t.turn FROM turn AS t GROUP BY t.turn HAVING count(*) <> 3 $$, 'with one request at a time they take turns');
CALL pg_temp.three(0, 0, 7);
SELECT is(pg_temp.turn(5), 'fax 5', 'an endpoint alone gets all');
CALL pg_temp.three(100, 100, 100);
DO $$ BEGIN
    UPDATE pgq.endpoint_state SET held_until = pgq._now() + interval '1 minute'
    WHERE queue_id = (SELECT q.queue_id FROM pgq.queue AS q WHERE q.queue_name = 'post');
END $$;
SELECT is(pg_temp.turn(100), 'fax 50, mail 50', 'an endpoint that is held takes nothing from the others');

-- Priorities, groups and unique keys are those of every pick

CALL pg_temp.restart();
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pgq.add_job('mail', '"a1"', group_key => 'a');
    PERFORM pgq.add_job('mail', '"a2"', group_key => 'a');
    PERFORM pgq.add_job('mail', '"urgent"', priority => 5, group_key => 'b');
    PERFORM pgq.add_job('mail', '"later"', start_after => pgq._now() + interval '1 hour');
END $$;
SELECT is(pg_temp.send(), 'urgent a1', 'line, groups and delays are kept');
SELECT is(pg_temp.answer('a1', '200') || '; ' || pg_temp.send(), 'complete, complete; a2', 'an answer lets the next of the group through');

-- Bad arguments

SELECT throws_ok(format('SELECT pgq.pick_requests(%s)', c.call), c.sqlstate::char(5), c.message, 'refused: ' || c.message)
FROM (VALUES
    ('0', '22023', 'expected max_requests to be between 1 and 10000, got ''0'''),
    ('10001', '22023', 'expected max_requests to be between 1 and 10000, got ''10001'''),
    ('NULL', '22004', 'expected max_requests to be between 1 and 10000, got null'),
    ('max_timeout_milliseconds => 999', '22023', 'expected max_timeout_milliseconds to be at least 1000, got ''999''')
) AS c (call, sqlstate, message);
SELECT throws_ok(
    $$ SELECT pgq.pick_requests(dispatcher => repeat('x', 201)) $$, '22023', NULL, 'a dispatcher''s name has 200 bytes at most');

-- A run of a workflow

DO $$ BEGIN
    PERFORM pgq.define_workflow('flow', 'w', 3, '[{"id": "a b", "compensates": true}, {"id": "c"}]');
    PERFORM pgq.set_endpoint('flow', 'https://example.com/flow');
    PERFORM pgq.add_job('flow', '"run"', workflow => 'w');
    DELETE FROM sent;
    PERFORM pg_temp.send();
END $$;
CREATE FUNCTION pg_temp.latest()
RETURNS pgq.dispatch_request
LANGUAGE sql
AS $$ SELECT s.request FROM sent AS s ORDER BY s.pick_id DESC LIMIT 1 $$;
SELECT is(
    (pg_temp.latest()).body::jsonb -> 'step',
    '{"workflow": "w", "version": 3, "id": "a b", "outputs": {}, "children": null, "signal": null, "once": {}, "failure": null}'::jsonb,
    'a request for a run tells at which step it stands');
SELECT matches((pg_temp.latest()).headers ->> 'webhook-id', '^job_[0-9a-f]{8}_[0-9]+_[0-9a-f]{8}$', 'its id is that of this step');
DO $$ BEGIN
    PERFORM pgq.remember((pg_temp.latest()).job_id, (pg_temp.latest()).lease_token, 'charge', '1');
    PERFORM pgq.finish_step((pg_temp.latest()).job_id, (pg_temp.latest()).lease_token, '1', '{"children": [{"payload": 5, "queue_name": "kid"}]}');
    PERFORM pgq.release_job(p.job_id, 'complete', p.lease_token, '6') FROM pgq.pick_jobs(ARRAY['kid']) AS p;
    PERFORM pg_temp.send();
END $$;
SELECT is(
    (pg_temp.latest()).body::jsonb -> 'step' #- '{children,0,job_id}',
    '{"workflow": "w", "version": 3, "id": "c", "outputs": {"a b": 1}, "children": [{"state": "complete", "output": 6, "error": null}],
      "signal": null, "once": {}, "failure": null}'::jsonb,
    'and what that step may know, also what this pick has let through');
DO $$ BEGIN
    PERFORM pgq.release_job((pg_temp.latest()).job_id, 'failed', (pg_temp.latest()).lease_token, error => 'boom', retry => false);
    PERFORM pg_temp.send();
END $$;
SELECT is((pg_temp.latest()).body::jsonb #>> '{step,failure}', 'boom', 'a step that is to be undone is told of the failure');
SELECT matches((pg_temp.latest()).headers ->> 'webhook-id', '_undo$', 'and undoing it has an id of its own');

SELECT * FROM finish();
ROLLBACK;
