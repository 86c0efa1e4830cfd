\i test/setup.psql
-- Endpoints: their settings, and secrets that nobody sees.
BEGIN;
SELECT plan(46);

-- Settings

SELECT row_eq(
    $$ SELECT e.is_active, e.url, e.method, e.timeout_milliseconds, e.manual_release, e.max_in_flight, e.headers, e.bearer_token_location,
              e.client_error_attempts, e.max_response_bytes, e.is_insecure_allowed, e.has_bearer_token, e.has_signing_secret,
              e.has_previous_signing_secret
       FROM pgq.set_endpoint('mail', 'https://example.com/hook') AS e $$,
    ROW (true, 'https://example.com/hook'::text, 'POST'::text, 15000, false, 50, '{}'::jsonb, ''::text, 3, 65536, false, false, false, false),
    'an endpoint has defaults for all but its url');
SELECT is((SELECT c.queue_name FROM pgq.get_queue_config('mail') AS c), 'mail', 'its queue is made');
SELECT row_eq(
    $$ SELECT e.queue_name, e.is_active, e.url, e.method, e.timeout_milliseconds, e.manual_release, e.max_in_flight, e.headers,
              e.bearer_token_location, e.client_error_attempts, e.max_response_bytes, e.is_insecure_allowed
       FROM pgq.set_endpoint('mail', 'http://localhost:3000/', false, 'GET', 60000, true, 7, '{"X-Team": "a"}', 'inline', 5, 100, true) AS e $$,
    ROW ('mail'::text, false, 'http://localhost:3000/'::text, 'GET'::text, 60000, true, 7, '{"x-team": "a"}'::jsonb, 'inline'::text, 5, 100, true),
    'all of them can be set');
SELECT results_eq(
    $$ SELECT (pgq.get_endpoint('mail')).* $$,
    $$ SELECT (pgq.set_endpoint('mail', 'http://localhost:3000/', false, 'GET', 60000, true, 7, '{"X-Team": "a"}', 'inline', 5, 100, true)).* $$,
    'and read back');
SELECT results_eq(
    $$ SELECT e.timeout_milliseconds, e.headers, e.is_active FROM pgq.set_endpoint('mail', 'https://example.com/hook') AS e $$,
    $$ VALUES (15000, '{}'::jsonb, true) $$, 'what is not given gets its default');
SELECT is((SELECT count(*) FROM pgq.endpoint), 1::bigint, 'a queue has one endpoint');
DO $$ BEGIN PERFORM pgq.set_endpoint_active('mail', false); END $$;
SELECT is((SELECT e.is_active FROM pgq.get_endpoint('mail') AS e), false, 'an endpoint can be stopped');
DO $$ BEGIN PERFORM pgq.set_endpoint_active('mail', true); END $$;
SELECT is((SELECT e.is_active FROM pgq.get_endpoint('mail') AS e), true, 'and begin again');

-- What is refused

SELECT throws_ok(
    format('SELECT pgq.set_endpoint(%s)', c.call), c.sqlstate::char(5), c.message, 'refused: ' || c.message)
FROM (VALUES
    ('NULL, ''https://example.com/''', '22004', 'expected queue_name to be 1 to 200 bytes long, got null'),
    ('''mail'', NULL', '22004', 'expected url to be at most 2048 bytes long, got null'),
    ('''mail'', ''http://example.com/''', '22023',
        'expected url to begin with https:// (or http://, with is_insecure_allowed), got ''http://example.com/'''),
    ('''mail'', ''https://10.0.0.1/''', '22023',
        'expected url to have a public host (a private or local one needs is_insecure_allowed), got ''https://10.0.0.1/'''),
    ('''mail'', ''https://example.com/'', method => ''PUT''', '22023', 'expected method to be one of POST, GET, got ''PUT'''),
    ('''mail'', ''https://example.com/'', timeout_milliseconds => 999', '22023',
        'expected timeout_milliseconds to be between 1000 and 900000, got ''999'''),
    ('''mail'', ''https://example.com/'', max_in_flight => 0', '22023', 'expected max_in_flight to be between 1 and 10000, got ''0'''),
    ('''mail'', ''https://example.com/'', headers => ''{"Host": "x"}''', '22023',
        'expected headers to have no name that each request has anyway, got ''Host'''),
    ('''mail'', ''https://example.com/'', bearer_token_location => ''vault''', '22023',
        'expected bearer_token_location to be one of '''', inline, supabase_vault, got ''vault'''),
    ('''mail'', ''https://example.com/'', is_active => NULL', '22004', 'expected is_active, got null')
) AS c (call, sqlstate, message);
DO $$ BEGIN PERFORM pgq.allow_endpoint_host('*.example.org'); END $$;
SELECT throws_ok(
    $$ SELECT pgq.set_endpoint('mail', 'https://example.com/hook') $$, '22023',
    'expected url to have a host that allow_endpoint_host has allowed, got ''example.com''', 'a host that is not on the list is refused');
DO $$ BEGIN PERFORM pgq.disallow_endpoint_host('*.example.org'); END $$;
SELECT throws_ok($$ SELECT pgq.get_endpoint('never') $$, 'JQ001', NULL, 'a queue that does not exist has no endpoint');
DO $$ BEGIN PERFORM pgq.set_queue_config('bare'); END $$;
SELECT throws_ok($$ SELECT pgq.get_endpoint('bare') $$, 'JQ006', 'queue "bare" has no endpoint', 'nor has one that was given none');
SELECT throws_ok(format($$ SELECT pgq.%s $$, c.call), 'JQ006', 'queue "bare" has no endpoint', 'so it has no ' || c.what)
FROM (VALUES ('set_endpoint_active(''bare'', true)', 'activity'), ('set_endpoint_bearer_token(''bare'', ''t'')', 'token'),
             ('get_endpoint_bearer_token(''bare'')', 'token to read'), ('set_endpoint_signing_secret(''bare'')', 'signing secret'),
             ('forget_previous_signing_secret(''bare'')', 'previous signing secret')) AS c (call, what);

-- Bearer tokens

SELECT throws_ok(
    $$ SELECT pgq.set_endpoint_bearer_token('mail', 'tok-1') $$, '55000', 'the endpoint of queue "mail" has no bearer_token_location',
    'a token needs a place to be kept');
DO $$ BEGIN
    PERFORM pgq.set_endpoint('mail', 'https://example.com/hook', bearer_token_location => 'inline');
    PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-1');
    PERFORM pgq.set_endpoint('mail', 'https://example.com/hook2', bearer_token_location => 'inline');
END $$;
SELECT is(pgq.get_endpoint_bearer_token('mail'), 'tok-1', 'a token stays when other settings change');
DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-2'); END $$;
SELECT is(pgq.get_endpoint_bearer_token('mail'), 'tok-2', 'it can be replaced');
DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', NULL); END $$;
SELECT is(pgq.get_endpoint_bearer_token('mail'), NULL, 'and taken away');
DO $$ BEGIN
    PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-3');
    PERFORM pgq.set_endpoint('mail', 'https://example.com/hook');
    PERFORM pgq.set_endpoint('mail', 'https://example.com/hook', bearer_token_location => 'inline');
END $$;
SELECT is(pgq.get_endpoint_bearer_token('mail'), NULL, 'an endpoint whose place for the token changes has none');
SELECT throws_ok(
    format('SELECT pgq.set_endpoint_bearer_token(''mail'', %L)', t.token), '22023',
    'expected token to be 1 to 8000 visible ASCII characters without spaces', 'a token that is no token is refused, and not shown: ' || t.why)
FROM (VALUES ('', 'empty'), ('a b', 'space'), (E'a\r\nb', 'new line'), ('ä', 'not ASCII'), (repeat('x', 8001), 'too long')) AS t (token, why);

-- Signing secrets

CREATE TEMPORARY TABLE secret AS SELECT 'first' AS name, pgq.set_endpoint_signing_secret('mail') AS value;
SELECT row_eq(
    $$ SELECT e.has_signing_secret, e.has_previous_signing_secret FROM pgq.get_endpoint('mail') AS e $$, ROW (true, false),
    'a signing secret is made');
SELECT is(
    pgq.set_endpoint_signing_secret('mail', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    'or given, and returned');
SELECT set_eq(
    $$ SELECT s.kind, s.secret FROM pgq.endpoint_secret AS s $$,
    $$ VALUES ('signing', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), ('previous_signing', (SELECT s.value FROM secret AS s)) $$,
    'the one before stays in force');
SELECT is(
    pgq.set_endpoint_signing_secret('mail', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'), 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    'the same secret again');
SELECT is(
    (SELECT s.secret FROM pgq.endpoint_secret AS s WHERE s.kind = 'previous_signing'), (SELECT s.value FROM secret AS s),
    'does not drive the one before out');
DO $$ BEGIN PERFORM pgq.forget_previous_signing_secret('mail'); END $$;
SELECT row_eq(
    $$ SELECT e.has_signing_secret, e.has_previous_signing_secret FROM pgq.get_endpoint('mail') AS e $$, ROW (true, false),
    'until it is forgotten');

-- The end

DO $$ BEGIN PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-4'); END $$;
SELECT is(pgq.remove_endpoint('mail'), true, 'an endpoint can be removed');
SELECT is(pgq.remove_endpoint('mail'), false, 'once');
SELECT is_empty($$
    SELECT e.queue_id FROM pgq.endpoint AS e UNION ALL SELECT s.queue_id FROM pgq.endpoint_secret AS s UNION ALL SELECT t.queue_id FROM pgq.endpoint_state AS t
$$, 'and its secrets with it');
DO $$ BEGIN
    PERFORM pgq.set_endpoint('mail', 'https://example.com/', bearer_token_location => 'inline');
    PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-5');
    PERFORM pgq.add_job('mail', '1');
    PERFORM pgq.pick_requests();
    PERFORM pgq.drop_queue('mail', force => true);
END $$;
SELECT is_empty($$
    SELECT e.queue_id FROM pgq.endpoint AS e UNION ALL SELECT s.queue_id FROM pgq.endpoint_secret AS s UNION ALL SELECT t.queue_id FROM pgq.endpoint_state AS t
    UNION ALL SELECT r.queue_id FROM pgq.request AS r
$$, 'a queue that is dropped takes its endpoint along');

SELECT * FROM finish();
ROLLBACK;
