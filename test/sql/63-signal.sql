\i test/setup.psql
-- Signals: a run waits for one by its name, for ever or for some time; tokens send one once.
BEGIN;
SELECT plan(28);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.set_queue_config('shop', timeout_milliseconds => 3600000);
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "ask"}, {"id": "go"}]');
    PERFORM pgq.add_job('shop', '"plain"');
    PERFORM pg_temp.work();
    PERFORM pg_temp.start(n), pg_temp.work() FROM unnest(ARRAY['ada', 'bob', 'cyd', 'dan', 'eve']) AS n;
END $$;

SELECT is(pg_temp.done('ada', NULL, '{"signal": "yes"}'), 'held', 'a run that waits for a signal is held');
SELECT is((pg_temp.job('ada')).held_by, 'signal', 'by it');
SELECT is(pg_temp.work(), '', 'and is not picked');
SELECT is(pgq.signal_job(pg_temp.id('ada'), 'no', '1'), false, 'a signal of another name is kept');
SELECT is(pg_temp.work(), '', 'but is not what the run waits for');
SELECT is(pgq.signal_job(pg_temp.id('ada'), 'yes', '{"by": "boss"}'), true, 'one of that name is');
SELECT is(pg_temp.work(), 'ada:go', 'the run goes on');
SELECT is((pg_temp.step('ada')).signal, '{"name": "yes", "payload": {"by": "boss"}}'::jsonb, 'and has the signal');
SELECT is(pg_temp.done('ada', NULL, '{"signal": "no", "step": "go"}'), 'held', 'a signal that came early');
SELECT is(pg_temp.work(), 'ada:go', 'is there at once');
SELECT is((pg_temp.step('ada')).signal, '{"name": "no", "payload": 1}'::jsonb, 'with its payload');
SELECT is(pg_temp.done('ada'), 'complete', 'the run ends');
SELECT is_empty('SELECT * FROM pgq.run_signal', 'and no signal is left');

DO $$ BEGIN PERFORM pgq.signal_job(pg_temp.id('bob'), 'yes', to_jsonb(n)) FROM generate_series(1, 3) AS n; END $$;
SELECT is(pg_temp.done('bob', NULL, '{"signal": "yes", "step": "ask"}'), 'held', 'several of one name');
SELECT is(concat(pg_temp.work(), (pg_temp.step('bob')).signal -> 'payload'), 'bob:ask1', 'are taken one by one, the oldest first');
DO $$ BEGIN PERFORM pg_temp.done('bob', NULL, '{"signal": "yes"}'); END $$;
SELECT is(concat(pg_temp.work(), (pg_temp.step('bob')).signal -> 'payload'), 'bob:go2', 'by one wait after the other');

-- Time limits

SELECT is(pg_temp.done('cyd', NULL, '{"signal": "yes", "timeout_milliseconds": 60000}'), 'held', 'a run may wait for some time');
CALL pg_temp.pass('59 seconds');
SELECT is(pg_temp.work(), '', 'as long as that is not over it waits');
SELECT is(pgq.announce_idle(ARRAY['shop'], 'tester', 5000), 1000::bigint, 'idle workers are told when it will be');
CALL pg_temp.pass('1 second');
SELECT is(pg_temp.work(), 'cyd:go', 'then it goes on');
SELECT is((pg_temp.step('cyd')).signal, NULL::jsonb, 'without the signal');

-- Tokens

DO $$ BEGIN PERFORM pg_temp.done('dan', NULL, '{"signal": "yes"}'); END $$;
CREATE TEMPORARY TABLE token AS
    SELECT pgq.make_signal_token(pg_temp.id('dan'), 'yes', m) AS token, m FROM unnest(ARRAY[1000, 60000]) AS m;
SELECT results_eq(
    $$ SELECT t.token ~ '^[A-Za-z0-9_-]{43}$', EXISTS (SELECT FROM pgq.signal_token AS s WHERE s.token_hash = sha256(t.token::bytea)) FROM token AS t $$,
    $$ VALUES (true, true), (true, true) $$, 'a token is fit for a url, and only its hash is kept');
CALL pg_temp.pass('2 seconds');
SELECT throws_ok(
    $$ SELECT pgq.signal_by_token(t.token) FROM token AS t WHERE t.m = 1000 $$, 'JQ008', 'token not found', 'one that has expired sends nothing');
SELECT is((SELECT pgq.signal_by_token(t.token, '"token"') FROM token AS t WHERE t.m = 60000), pg_temp.id('dan'), 'one in time sends its signal');
SELECT is(concat(pg_temp.work(), (pg_temp.step('dan')).signal -> 'payload'), 'dan:go"token"', 'to its run');
SELECT throws_ok(
    $$ SELECT pgq.signal_by_token(t.token) FROM token AS t WHERE t.m = 60000 $$, 'JQ008', 'token not found', 'once');

SELECT results_eq($$
    SELECT c.call, pg_temp.failure(c.call)
    FROM unnest(ARRAY['signal_job(%s, ''x'')', 'make_signal_token(%s, ''x'')']) AS f (call)
    CROSS JOIN LATERAL (SELECT format(f.call, j.id) AS call, j.place
        FROM unnest(ARRAY['0', pg_temp.id('ada')::text, pg_temp.id('plain')::text]) WITH ORDINALITY AS j (id, place)) AS c
    ORDER BY f.call, c.place
$$, $$ SELECT format(f.call, j.id), j.error
    FROM unnest(ARRAY['signal_job(%s, ''x'')', 'make_signal_token(%s, ''x'')']) AS f (call)
    CROSS JOIN (VALUES (1, '0', 'JQ002 job 0 not found'), (2, pg_temp.id('ada')::text, format('JQ004 run %s is complete already', pg_temp.id('ada'))),
        (3, pg_temp.id('plain')::text, format('JQ004 job %s is no run of a workflow', pg_temp.id('plain')))) AS j (place, id, error)
    ORDER BY f.call, j.place
$$, 'only a run that is not finished takes signals');
SELECT results_eq($$
    SELECT pg_temp.failure(c) FROM unnest(ARRAY['signal_job(1, '''')', 'signal_job(NULL, ''x'')', 'signal_job(1, NULL)',
        'make_signal_token(1, ''x'', 0)', 'signal_by_token(NULL)', 'signal_by_token(''x'')']) AS c
$$, $$ VALUES ('22023 expected name to be 1 to 200 bytes long, got '''''), ('22004 expected job_id, got null'),
    ('22004 expected name to be 1 to 200 bytes long, got null'),
    ('22023 expected valid_milliseconds to be between 1 and 31536000000, got ''0'''), ('22004 expected token, got null'),
    ('JQ008 token not found')
$$, 'bad arguments are refused');

SELECT * FROM finish();
ROLLBACK;
