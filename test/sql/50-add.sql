\i test/setup.psql
-- Add: what becomes of each option, in one call and in a batch.
BEGIN;
SELECT plan(29);

\i test/fixtures/clock.sql

-- One job

CREATE TEMPORARY TABLE added AS
SELECT a.job_id, a.is_new FROM pgq.add_job('mail', '{"to": ["Zoë", null, 1.5]}') AS a;
SELECT row_eq(
    $$ SELECT a.is_new, a.job_id BETWEEN 1 AND 9007199254740991 FROM added AS a $$, ROW (true, true),
    'an add returns the id of the job, a safe integer in any language, and that it is new');
SELECT row_eq($$
    SELECT j.queue_name, j.state, j.payload, j.headers, j.priority, j.attempt, j.max_attempts, j.start_after,
           j.added_at, j.picked_at, j.lease_until, j.finished_at, j.worker, j.held_by, j.group_key, j.unique_key,
           j.timeout_milliseconds, j.timeout_with_result, j.output, j.error, j.attempts
    FROM added AS a, pgq.get_job(a.job_id) AS j
$$, ROW (
    'mail'::text, 'ready'::text, '{"to": ["Zoë", null, 1.5]}'::jsonb, NULL::jsonb, 0, 0, 10, pgq._now(), pgq._now(),
    NULL::timestamptz, NULL::timestamptz, NULL::timestamptz, NULL::text, NULL::text, NULL::text, NULL::text,
    NULL::integer, NULL::text, NULL::jsonb, NULL::text, '[]'::jsonb
), 'a job without options is ready at once, with the defaults of its queue');

CREATE TEMPORARY TABLE full_job AS
SELECT a.job_id FROM pgq.add_job(
    queue_name => 'mail', payload => '"full"', start_after => '2030-01-01 01:00:00+00', priority => -3,
    max_attempts => 4, unique_key => 'u', on_conflict => 'throttle', throttle_milliseconds => 1, group_key => 'g',
    timeout_milliseconds => 100, timeout_with_result => 'cancelled', headers => '{"traceparent": "00-1"}') AS a;
SELECT row_eq($$
    SELECT j.state, j.payload, j.headers, j.priority, j.max_attempts, j.start_after, j.group_key, j.unique_key,
           j.timeout_milliseconds, j.timeout_with_result
    FROM full_job AS f, pgq.get_job(f.job_id) AS j
$$, ROW (
    'scheduled'::text, '"full"'::jsonb, '{"traceparent": "00-1"}'::jsonb, -3, 4,
    '2030-01-01 01:00:00+00'::timestamptz,
    'g'::text, 'u'::text, 100, 'cancelled'::text
), 'every option stands on the job');

CREATE TEMPORARY TABLE value (payload jsonb NOT NULL);
INSERT INTO value (payload)
VALUES ('null'), ('false'), ('0'), ('""'), ('[]'), ('{}'), ('"\u00e9\"\\"'), ('12345678901234567890.5');
DO $$ BEGIN PERFORM pgq.add_job('values', v.payload) FROM value AS v; END $$;
SELECT results_eq(
    $$ SELECT p.payload FROM pgq.pick_jobs(ARRAY['values'], 10) AS p $$, $$ SELECT v.payload FROM value AS v $$,
    'a payload is any json value, and comes back as it was');

-- A large payload

DO $$ BEGIN
    PERFORM pgq.add_job('large', to_jsonb(repeat('é"', 250000)),
        headers => jsonb_build_object('h', repeat('x', 200000)));
END $$;
SELECT row_eq($$
    SELECT p.payload = to_jsonb(repeat('é"', 250000)), p.headers ->> 'h' = repeat('x', 200000)
    FROM pgq.pick_jobs(ARRAY['large']) AS p
$$, ROW (true, true), 'a payload of almost a megabyte comes back as it was');
SELECT throws_like(
    $$ SELECT pgq.add_job('large', to_jsonb(repeat('x', 1048576))) $$,
    'payload of % bytes is too large', 'a payload above the limit of its queue is refused');
SELECT throws_ok(
    $$ SELECT pgq.add_job('large', '1', headers => jsonb_build_object('h', repeat('x', 1048576))) $$,
    '54000', NULL, 'headers above the limit are refused');
SELECT throws_ok(
    $$ SELECT pgq.add_jobs('large', ARRAY['1', to_jsonb(repeat('x', 1048576))]) $$,
    '54000', NULL, 'one payload above the limit refuses its batch');
SELECT is_empty(
    $$ SELECT 1 FROM pgq.list_jobs('large', 'ready') $$, 'nothing of what was refused is added');
DO $$ BEGIN PERFORM pgq.set_queue_config('large', max_payload_bytes => 1024); END $$;
SELECT throws_ok(
    $$ SELECT pgq.add_job('large', to_jsonb(repeat('x', 1024))) $$, '54000', NULL,
    'the limit is a setting of the queue');
SELECT lives_ok($$ SELECT pgq.add_job('large', to_jsonb(repeat('x', 1000))) $$, 'a payload below it is taken');
DO $$ BEGIN PERFORM pgq.set_queue_config('large', max_payload_bytes => 4194304); END $$;
SELECT lives_ok($$ SELECT pgq.add_job('large', to_jsonb(repeat('x', 4000000))) $$, 'a queue may take larger ones');

-- A batch

CREATE TEMPORARY TABLE batch AS
SELECT i.job_id, i.place
FROM unnest(pgq.add_jobs(
    queue_name => 'batch', payloads => ARRAY['"a"', 'null', '"c"']::jsonb[], start_after => '2030-01-01 01:00:00+00',
    priority => 100, max_attempts => 1000, unique_keys => ARRAY['ua', NULL, 'uc'], on_conflict => 'replace',
    group_keys => ARRAY['ga', 'gb', NULL], timeout_milliseconds => 604800000, timeout_with_result => 'complete',
    headers => '{"h": 1}')) WITH ORDINALITY AS i (job_id, place);
SELECT results_eq($$
    SELECT j.payload, j.start_after, j.priority, j.max_attempts, j.unique_key, j.group_key, j.timeout_milliseconds,
           j.timeout_with_result, j.headers, j.added_at, j.attempt
    FROM batch AS b, pgq.get_job(b.job_id) AS j ORDER BY b.place
$$, $$ VALUES
    ('"a"'::jsonb, '2030-01-01 01:00:00+00'::timestamptz, 100, 1000, 'ua', 'ga', 604800000, 'complete',
     '{"h": 1}'::jsonb, pgq._now(), 0),
    ('null', '2030-01-01 01:00:00+00', 100, 1000, NULL, 'gb', 604800000, 'complete', '{"h": 1}', pgq._now(), 0),
    ('"c"', '2030-01-01 01:00:00+00', 100, 1000, 'uc', NULL, 604800000, 'complete', '{"h": 1}', pgq._now(), 0)
$$, 'a batch returns the ids in the order of the payloads, and every option stands on each job');
SELECT is(pgq.add_jobs('empty', '{}'), '{}'::bigint[], 'an empty batch adds nothing');
SELECT is(
    pgq.add_jobs('empty', '{}', unique_keys => '{}', group_keys => '{}'), '{}'::bigint[],
    'an empty batch with empty keys adds nothing');
SELECT throws_ok(
    $$ SELECT pgq.add_jobs('batch', ARRAY['1', '2']::jsonb[], unique_keys => ARRAY['a']) $$,
    '22023', 'expected unique_keys to have 2 elements, got ''1''', 'there is a unique key or null for each payload');
SELECT throws_ok(
    $$ SELECT pgq.add_jobs('batch', ARRAY['1', '2']::jsonb[], group_keys => ARRAY['a', 'b', 'c']) $$,
    '22023', 'expected group_keys to have 2 elements, got ''3''', 'there is a group key or null for each payload');
SELECT throws_ok(
    $$ SELECT pgq.add_jobs('batch', ARRAY['1', NULL]::jsonb[]) $$,
    '22004', NULL, 'a null among the payloads refuses the batch');

-- An array whose first index is not 1 is an array like another.
CREATE TEMPORARY TABLE lower_bound AS
SELECT i.job_id, i.place
FROM unnest(pgq.add_jobs('lower', '[0:1]={1,2}'::jsonb[], unique_keys => '[5:6]={a,b}'::text[],
                         group_keys => '[-1:0]={g,h}'::text[])) WITH ORDINALITY AS i (job_id, place);
SELECT results_eq($$
    SELECT p.payload, p.group_key, p.unique_key
    FROM lower_bound AS l, pgq.get_job(l.job_id) AS p
    ORDER BY l.place
$$, $$ VALUES ('1'::jsonb, 'g', 'a'), ('2', 'h', 'b') $$, 'the indexes of an array do not matter');

CREATE TEMPORARY TABLE many AS
SELECT i.job_id, i.place
FROM unnest(pgq.add_jobs('many', ARRAY(SELECT to_jsonb(n) FROM generate_series(1, 100000) AS n)))
    WITH ORDINALITY AS i (job_id, place);
SELECT row_eq(
    $$ SELECT count(*), count(DISTINCT m.job_id) FROM many AS m JOIN pgq.job AS j USING (job_id)
       WHERE j.payload = to_jsonb(m.place) $$,
    ROW (100000::bigint, 100000::bigint), '100 000 jobs are added in one call, each id in its place');
SELECT is(
    (SELECT array_agg(p.payload) FROM pgq.pick_jobs(ARRAY['many'], 5) AS p), '{1,2,3,4,5}'::jsonb[],
    'the jobs of a batch are picked in its order');
CREATE TEMPORARY TABLE many_keys AS
SELECT i.job_id, i.place
FROM unnest(pgq.add_jobs('many keys', ARRAY(SELECT to_jsonb(n) FROM generate_series(1, 20000) AS n),
    unique_keys => ARRAY(SELECT 'k' || (n % 10000) FROM generate_series(1, 20000) AS n)))
    WITH ORDINALITY AS i (job_id, place);
SELECT row_eq(
    $$ SELECT count(*), count(DISTINCT m.job_id), count(*) FILTER (WHERE j.unique_key = 'k' || (m.place % 10000))
       FROM many_keys AS m JOIN pgq.job AS j USING (job_id) $$,
    ROW (20000::bigint, 10000::bigint, 20000::bigint), 'a large batch with keys adds one job for each key');

-- Ranges

CREATE FUNCTION pg_temp.add_with(options text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_one record;
    v_many bigint[];
    v_one_state text := 'fine';
    v_many_state text := 'fine';
BEGIN
    BEGIN
        EXECUTE format('SELECT * FROM pgq.add_job(%L, %L, unique_key => %L, %s)',
                       'ranges', '1', 'one' || options, options)
        INTO v_one;
    EXCEPTION WHEN OTHERS THEN v_one_state := SQLSTATE;
    END;
    BEGIN
        EXECUTE format('SELECT pgq.add_jobs(%L, %L, unique_keys => %L, %s)',
                       'ranges', '{1}', ARRAY['many' || options], options)
        INTO v_many;
    EXCEPTION WHEN OTHERS THEN v_many_state := SQLSTATE;
    END;
    RETURN CASE WHEN v_one_state = v_many_state THEN v_one_state ELSE v_one_state || ' but ' || v_many_state END;
END
$$;
SELECT results_eq($$
    SELECT o.options, pg_temp.add_with(o.options)
    FROM unnest(ARRAY[
        'priority => -100', 'priority => 100', 'priority => -101', 'priority => 101', 'priority => NULL',
        'priority => 2147483647',
        'max_attempts => 1', 'max_attempts => 1000', 'max_attempts => 0', 'max_attempts => 1001',
        'max_attempts => -1',
        'timeout_milliseconds => 100', 'timeout_milliseconds => 604800000', 'timeout_milliseconds => 99',
        'timeout_milliseconds => 604800001', 'timeout_milliseconds => -100',
        'timeout_with_result => ''paused''', 'timeout_with_result => ''''', 'timeout_with_result => ''dead''',
        'on_conflict => ''replace''', 'on_conflict => NULL', 'on_conflict => ''Skip''',
        'on_conflict => ''throttle''', 'on_conflict => ''throttle'', throttle_milliseconds => 1',
        'on_conflict => ''throttle'', throttle_milliseconds => 31536000000',
        'on_conflict => ''throttle'', throttle_milliseconds => 0',
        'on_conflict => ''throttle'', throttle_milliseconds => 31536000001',
        'throttle_milliseconds => 1', 'on_conflict => ''replace'', throttle_milliseconds => 1',
        'start_after => ''2000-01-01''', 'start_after => ''294276-12-31''', 'start_after => ''4713-01-01 BC''',
        'start_after => ''infinity''', 'start_after => ''-infinity''',
        'headers => ''{}''', 'headers => ''[]''', 'headers => ''null''', 'headers => ''"x"'''
    ]) AS o (options)
$$, $$ VALUES
    ('priority => -100', 'fine'), ('priority => 100', 'fine'), ('priority => -101', '22023'),
    ('priority => 101', '22023'),
    ('priority => NULL', '22004'), ('priority => 2147483647', '22023'),
    ('max_attempts => 1', 'fine'), ('max_attempts => 1000', 'fine'), ('max_attempts => 0', '22023'),
    ('max_attempts => 1001', '22023'), ('max_attempts => -1', '22023'),
    ('timeout_milliseconds => 100', 'fine'), ('timeout_milliseconds => 604800000', 'fine'),
    ('timeout_milliseconds => 99', '22023'), ('timeout_milliseconds => 604800001', '22023'),
    ('timeout_milliseconds => -100', '22023'),
    ('timeout_with_result => ''paused''', 'fine'), ('timeout_with_result => ''''', '22023'),
    ('timeout_with_result => ''dead''', '22023'),
    ('on_conflict => ''replace''', 'fine'), ('on_conflict => NULL', '22004'), ('on_conflict => ''Skip''', '22023'),
    ('on_conflict => ''throttle''', '22004'), ('on_conflict => ''throttle'', throttle_milliseconds => 1', 'fine'),
    ('on_conflict => ''throttle'', throttle_milliseconds => 31536000000', 'fine'),
    ('on_conflict => ''throttle'', throttle_milliseconds => 0', '22023'),
    ('on_conflict => ''throttle'', throttle_milliseconds => 31536000001', '22023'),
    ('throttle_milliseconds => 1', '22023'), ('on_conflict => ''replace'', throttle_milliseconds => 1', '22023'),
    ('start_after => ''2000-01-01''', 'fine'), ('start_after => ''294276-12-31''', 'fine'),
    ('start_after => ''4713-01-01 BC''', 'fine'),
    ('start_after => ''infinity''', '22023'), ('start_after => ''-infinity''', '22023'),
    ('headers => ''{}''', 'fine'), ('headers => ''[]''', '22023'), ('headers => ''null''', '22023'),
    ('headers => ''"x"''', '22023')
$$, 'every option has its range, the same in add_job and in add_jobs');
SELECT is(
    (SELECT count(*) FROM pgq.list_jobs('ranges')), 28::bigint,
    'what is in its range is added by both, and what is not is added by neither');
SELECT throws_ok(
    $$ SELECT pgq.add_job('ranges', '1', on_conflict => 'replace') $$,
    '22004', 'expected a unique_key with on_conflict replace, got null', 'on_conflict wants a key that it is about');
SELECT throws_ok(
    $$ SELECT pgq.add_jobs('ranges', '{1}', on_conflict => 'throttle', throttle_milliseconds => 1) $$,
    '22004', 'expected a unique_key with on_conflict throttle, got null', 'so it does in a batch');

-- In the caller's transaction

SAVEPOINT undone;
DO $$ BEGIN
    PERFORM pgq.add_job('undone', '1');
    PERFORM pgq.add_jobs('undone', '{1,2}');
END $$;
ROLLBACK TO SAVEPOINT undone;
SELECT throws_ok(
    $$ SELECT pgq.get_queue_config('undone') $$, 'JQ001', NULL,
    'an add that is rolled back leaves no job and no queue');
SELECT is((pgq.add_job('undone', '1')).is_new, true, 'the queue is made by the next add');
SELECT is((SELECT count(*) FROM pgq.pick_jobs(ARRAY['undone'], 9)), 1::bigint, 'with the one job in it');

SELECT * FROM finish();
ROLLBACK;
