\i test/setup.psql
-- Unique keys: what happens to a job whose key is held, by whom and until when a key is held.
BEGIN;
SELECT plan(61);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql

-- The truth table: a job is added with on_conflict => … while the key is held by a job that is …

CREATE FUNCTION pg_temp.meet(holder text, on_conflict text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_first record;
    v_second record;
    v_job text;
BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    v_first := pgq.add_job('mail', '"first"', unique_key => 'k', headers => '{"v": 1}', priority => 5,
        on_conflict => CASE WHEN holder LIKE 'throttle%' THEN 'throttle' ELSE 'skip' END,
        throttle_milliseconds => CASE WHEN holder LIKE 'throttle%' THEN 60000 END,
        group_key => CASE holder WHEN 'held' THEN 'g' END,
        start_after => CASE holder WHEN 'scheduled' THEN pgq._now() + interval '1 hour' END);
    CASE holder
        WHEN 'scheduled', 'ready', 'held' THEN NULL;
        WHEN 'cancelled' THEN PERFORM pgq.cancel_job(v_first.job_id);
        ELSE PERFORM pg_temp.pick();
    END CASE;
    CASE holder
        WHEN 'timed out' THEN CALL pg_temp.pass('1 hour');
        WHEN 'complete' THEN PERFORM pg_temp.release('first', 'complete');
        WHEN 'dead' THEN PERFORM pg_temp.release('first', 'failed', retry => false);
        WHEN 'throttled' THEN
            PERFORM pg_temp.release('first', 'complete');
            CALL pg_temp.pass('59.999999 seconds');
        WHEN 'throttled before' THEN
            PERFORM pg_temp.release('first', 'complete');
            CALL pg_temp.pass('60 seconds');
        ELSE NULL;
    END CASE;
    v_second := pgq.add_job('mail', '"second"', unique_key => 'k', headers => '{"v": 2}',
        on_conflict => meet.on_conflict,
        throttle_milliseconds => CASE meet.on_conflict WHEN 'throttle' THEN 1000 END);

    SELECT concat_ws(' ', j.payload #>> '{}', j.headers ->> 'v', j.priority) INTO v_job
    FROM pgq.get_job(v_second.job_id) AS j;
    v_job := CASE
        WHEN v_second.is_new AND v_second.job_id <> v_first.job_id AND v_job = 'second 2 0' THEN 'new'
        WHEN NOT v_second.is_new AND v_second.job_id = v_first.job_id AND v_job = 'first 1 5' THEN 'kept'
        WHEN NOT v_second.is_new AND v_second.job_id = v_first.job_id AND v_job = 'second 2 5' THEN 'replaced'
        ELSE format('%s %s %s', v_first, v_second, v_job) END;
    PERFORM pgq.drop_queue('mail', force => true);
    RETURN v_job;
END
$$;
SELECT results_eq($$
    SELECT h.holder, pg_temp.meet(h.holder, 'skip'), pg_temp.meet(h.holder, 'replace'),
           pg_temp.meet(h.holder, 'debounce'), pg_temp.meet(h.holder, 'throttle')
    FROM unnest(ARRAY['scheduled', 'ready', 'held', 'running', 'timed out', 'complete', 'dead', 'cancelled',
                      'throttled', 'throttled before']) AS h (holder)
$$, $$ VALUES
    ('scheduled',        'kept', 'replaced', 'replaced', 'kept'),
    ('ready',            'kept', 'replaced', 'replaced', 'kept'),
    ('held',             'kept', 'replaced', 'replaced', 'kept'),
    ('running',          'kept', 'new',      'new',      'kept'),
    ('timed out',        'kept', 'new',      'new',      'kept'),
    ('complete',         'new',  'new',      'new',      'new'),
    ('dead',             'new',  'new',      'new',      'new'),
    ('cancelled',        'new',  'new',      'new',      'new'),
    ('throttled',        'kept', 'kept',     'kept',     'kept'),
    ('throttled before', 'new',  'new',      'new',      'new')
$$, 'skip and throttle keep a live job, replace and debounce replace one that waits, a throttle holds against all');

-- How long a key is held

CREATE FUNCTION pg_temp.add_key(name text, on_conflict text DEFAULT 'skip', start_in interval DEFAULT NULL)
RETURNS boolean
LANGUAGE sql
AS $$
    SELECT a.is_new FROM pgq.add_job('mail', to_jsonb(name), unique_key => 'k', on_conflict => add_key.on_conflict,
        start_after => pgq._now() + start_in,
        throttle_milliseconds => CASE add_key.on_conflict WHEN 'throttle' THEN 10000 END) AS a
$$;
SELECT is(pg_temp.add_key('a'), true, 'a key that nobody holds lets a job in');
SELECT is(pg_temp.pick(), 'a', 'the job with the key runs');
SELECT is(pg_temp.release('a', 'paused'), 'ready', 'it is paused');
SELECT is(pg_temp.add_key('x'), false, 'a paused job holds its key');
SELECT is(pg_temp.pick(9), 'a', 'only the job with the key is there');
SELECT is(pg_temp.release('a', 'failed'), 'scheduled', 'it fails');
SELECT is(pg_temp.add_key('x'), false, 'a failed job that is tried again holds its key');
CALL pg_temp.pass('1 hour');
SELECT is(pg_temp.pick(9), 'a', 'it is tried again');
CALL pg_temp.pass('1 hour');
SELECT is(pg_temp.pick(9), '', 'its lease runs out and it backs off');
SELECT is(pg_temp.add_key('x'), false, 'a job that timed out and is tried again holds its key');
CALL pg_temp.pass('1 hour');
SELECT is(pg_temp.pick(9), 'a', 'it is tried for the last time');
SELECT is(pg_temp.release('a', 'complete'), 'complete', 'it completes');
SELECT is(pg_temp.add_key('b'), true, 'the key of a complete job is free');

-- Replace and debounce

SELECT is(pg_temp.add_key('c', 'replace'), false, 'a job that waits is replaced');
SELECT is(pg_temp.pick(9), 'c', 'a replaced job runs once, with the last payload');
SELECT is(
    pg_temp.add_key('d', 'replace', '10 seconds'), true,
    'a job that runs is not replaced, a new one gets the key');
SELECT is(pg_temp.release('c', 'complete'), 'complete', 'the one that ran completes');
SELECT is(pg_temp.add_key('x'), false, 'the key stays with the new job when the one that ran has ended');
SELECT is(pg_temp.pick(9), '', 'the new job is not due');
SELECT is(pg_temp.add_key('e', 'replace'), false, 'a scheduled job is replaced');
SELECT is(pg_temp.pick(9), '', 'replace without start_after leaves the time as it was');
SELECT is(pg_temp.add_key('f', 'replace', '0 seconds'), false, 'it is replaced again');
SELECT is(pg_temp.pick(9), 'f', 'replace with an earlier start_after starts earlier');
DO $$ BEGIN
    PERFORM pg_temp.release('f', 'complete');
    PERFORM pg_temp.add_key('g', 'debounce', '10 seconds');
    CALL pg_temp.pass('9 seconds');
    PERFORM pg_temp.add_key('h', 'debounce', '10 seconds');
    CALL pg_temp.pass('9 seconds');
END $$;
SELECT is(pg_temp.pick(9), '', 'debounce pushes the job back');
SELECT is(pg_temp.add_key('i', 'debounce', '0 seconds'), false, 'it is debounced again');
SELECT is(pg_temp.pick(9), '', 'debounce never brings a job forward');
CALL pg_temp.pass('1 second');
SELECT is(pg_temp.pick(9), 'i', 'a debounced job runs once, when nothing has come for the time given');
DO $$ BEGIN
    PERFORM pg_temp.release('i', 'complete');
    PERFORM pg_temp.add_key('j', 'debounce');
    CALL pg_temp.pass('5 seconds');
    PERFORM pg_temp.add_key('k', 'debounce');
END $$;
SELECT is(
    (SELECT l.start_after FROM pgq.list_jobs('mail', 'ready') AS l), pgq._now(),
    'debounce without start_after moves a ready job to now');
SELECT is(pg_temp.pick(9), 'k', 'it may be picked at once');
SELECT is(pg_temp.release('k', 'complete'), 'complete', 'the key is free again');

-- A running job that lost its key to another goes back to the line
DO $$ BEGIN
    PERFORM pg_temp.add_key('old');
    PERFORM pg_temp.pick();
    PERFORM pg_temp.add_key('heir', 'replace');
END $$;
SELECT is(pg_temp.release('old', 'paused'), 'ready', 'a job without its key any more can be given back');
SELECT is(pg_temp.add_key('heir, too', 'replace'), false, 'the key is with the heir');
SELECT is(pg_temp.pick(9), 'old heir, too', 'nothing is lost when a key changes hands');
SELECT is(pg_temp.release('old', 'complete'), 'complete', 'the one without the key ends');
SELECT is(pg_temp.add_key('x'), false, 'the end of a job frees no key but its own');
SELECT is(pg_temp.release('heir, too', 'cancelled'), 'cancelled', 'the heir ends');
SELECT is(pg_temp.add_key('x'), true, 'the end of the heir frees the key');
SELECT is(pgq.purge_queue('mail'), 1::bigint, 'it is gone');

-- A group that waits for a held job is looked at when that job is brought forward
DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 1);
    PERFORM pgq.add_job('mail', '"later"', unique_key => 'k', group_key => 'g',
        start_after => pgq._now() + interval '1 hour');
    PERFORM pg_temp.add_key('now', 'replace', '0 seconds');
END $$;
SELECT is(pg_temp.pick(9), 'now', 'a held job that is replaced to start now is let through now');
DO $$ BEGIN
    PERFORM pg_temp.release('now', 'complete');
    PERFORM pgq.set_queue_config('mail', max_concurrency_per_group => 0);
END $$;

-- Throttle

SELECT is(pg_temp.add_key('t', 'throttle'), true, 'a throttle lets the first job in');
CALL pg_temp.pass('1 minute');
SELECT is(pg_temp.add_key('x', 'throttle'), false, 'a throttle holds as long as its job waits, however long');
SELECT is(pg_temp.pick(9), 't', 'its job runs');
CALL pg_temp.pass('20 seconds');
SELECT is(pg_temp.add_key('x', 'throttle'), false, 'a throttle holds as long as its job runs');
SELECT is(pg_temp.release('t', 'failed', retry => false), 'dead', 'its job dies');
CALL pg_temp.pass('9.999999 seconds');
SELECT row_eq(
    $$ SELECT a.job_id, a.is_new FROM pgq.add_job('mail', '"x"', unique_key => 'k') AS a $$,
    ROW (pg_temp.id('t'), false), 'a throttle holds for its time after its job ended, and names that job');
CALL pg_temp.pass('1 microsecond');
SELECT is(pg_temp.add_key('u'), true, 'a throttle is over after its time');
SELECT is(pg_temp.pick(9), 'u', 'the next job runs');
SELECT is(pg_temp.release('u', 'complete'), 'complete', 'the next job ends');
SELECT is(
    pg_temp.add_key('v', 'throttle'), true,
    'the throttle of a job before does not count for one added without');
DO $$ BEGIN PERFORM pgq.cancel_job(pg_temp.id('v')); END $$;
SELECT is(pg_temp.add_key('x'), false, 'a throttle begins when its job is cancelled, too');
CALL pg_temp.pass('10 seconds');

-- Keys are compared as they are, in their queue

SELECT is_empty($$
    SELECT k.key
    FROM unnest(ARRAY['k', 'K', ' k', 'é', 'e', 'it''s', E'k\n', '界', 'NULL', repeat('é', 500)]) AS k (key)
    CROSS JOIN LATERAL pgq.add_job('mail', to_jsonb(k.key), unique_key => k.key) AS first
    CROSS JOIN LATERAL pgq.add_job('mail', to_jsonb(k.key), unique_key => k.key) AS second
    CROSS JOIN LATERAL pgq.add_job('post', to_jsonb(k.key), unique_key => k.key) AS elsewhere
    WHERE NOT first.is_new OR second.is_new OR second.job_id <> first.job_id OR NOT elsewhere.is_new
$$, 'a key is compared letter by letter, is up to 1000 bytes long and counts in its queue only');
SELECT is(
    (SELECT count(*) FROM generate_series(1, 3), pgq.add_job('mail', '1', unique_key => NULL) AS a WHERE a.is_new),
    3::bigint, 'a null key is no key');
SELECT throws_ok($$ SELECT pgq.add_job('mail', '1', unique_key => '') $$, '22023', NULL, 'an empty key is refused');
SELECT throws_ok(
    $$ SELECT pgq.add_job('mail', '1', unique_key => repeat('x', 1001)) $$,
    '22023', NULL, 'a key of 1001 bytes is refused');

-- Batches

CREATE FUNCTION pg_temp.add_batch(on_conflict text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_ids bigint[];
    v_report text;
BEGIN
    PERFORM pgq.add_job('batch', '"waits"', unique_key => 'waits', start_after => pgq._now() + interval '1 second');
    PERFORM pgq.add_job('batch', '"runs"', unique_key => 'runs', priority => 9);
    PERFORM pgq.pick_jobs(ARRAY['batch']);
    v_ids := pgq.add_jobs('batch', ARRAY['"1"', '"2"', '"3"', '"4"', '"5"', '"6"', '"7"', '"8"']::jsonb[],
        unique_keys => ARRAY['new', 'waits', 'runs', 'new', NULL, NULL, 'waits', 'runs'],
        on_conflict => add_batch.on_conflict,
        throttle_milliseconds => CASE add_batch.on_conflict WHEN 'throttle' THEN 1000 END);
    -- For each place the payload of the job whose id it got.
    v_report := (SELECT string_agg(g.payload #>> '{}', ' ' ORDER BY i.place)
                 FROM unnest(v_ids) WITH ORDINALITY AS i (job_id, place), pgq.get_job(i.job_id) AS g)
        || ', live: '
        || (SELECT string_agg(l.payload #>> '{}', ' ' ORDER BY l.payload) FROM pgq.list_jobs('batch') AS l);
    PERFORM pgq.drop_queue('batch', force => true);
    RETURN v_report;
END
$$;
SELECT results_eq($$
    SELECT c.on_conflict, pg_temp.add_batch(c.on_conflict)
    FROM unnest(ARRAY['skip', 'replace', 'debounce', 'throttle']) AS c (on_conflict)
$$, $$ VALUES
    ('skip', '1 waits runs 1 5 6 waits runs, live: 1 5 6 runs waits'),
    ('replace', '4 7 8 4 5 6 7 8, live: 4 5 6 7 8 runs'),
    ('debounce', '4 7 8 4 5 6 7 8, live: 4 5 6 7 8 runs'),
    ('throttle', '1 waits runs 1 5 6 waits runs, live: 1 5 6 runs waits')
$$, 'in a batch the first of a key counts, or with replace and debounce the last, and each gets the id of its job');
DO $$ BEGIN
    PERFORM pgq.add_jobs('batch', ARRAY['"a"', '"b"']::jsonb[], unique_keys => ARRAY['a', 'b'],
        on_conflict => 'throttle', throttle_milliseconds => 1000);
    PERFORM pgq.release_job(p.job_id, 'complete', p.lease_token) FROM pgq.pick_jobs(ARRAY['batch'], 2) AS p;
END $$;
SELECT results_eq(
    $$ SELECT l.job_id FROM pgq.list_jobs('batch', 'complete') AS l ORDER BY l.job_id $$,
    $$ SELECT i.job_id
       FROM unnest(pgq.add_jobs('batch', ARRAY['"x"', '"x"']::jsonb[], unique_keys => ARRAY['a', 'b']))
            WITH ORDINALITY AS i (job_id, place) ORDER BY i.place $$,
    'a batch is throttled key by key');
SELECT is(pg_temp.pick(9, 'batch'), '', 'nothing was added');
CALL pg_temp.pass('1 second');
DO $$ BEGIN PERFORM pgq.add_jobs('batch', ARRAY['"y"', '"z"']::jsonb[], unique_keys => ARRAY['b', 'a']); END $$;
SELECT is(pg_temp.pick(9, 'batch'), 'y z', 'the throttles of a batch are over after their time');

-- A transaction that is undone

SAVEPOINT undone;
DO $$ BEGIN
    PERFORM pgq.add_job('batch', '"k"', unique_key => 'undone');
    PERFORM pgq.add_job('batch', '"replaced"', unique_key => 'a', on_conflict => 'replace');
END $$;
ROLLBACK TO SAVEPOINT undone;
SELECT is(
    (SELECT a.is_new FROM pgq.add_job('batch', '"k"', unique_key => 'undone') AS a), true,
    'a key that was taken in a transaction that is rolled back is free');
SELECT is(
    (SELECT a.is_new FROM pgq.add_job('batch', '"k"', unique_key => 'a') AS a), false,
    'a key that changed hands in a transaction that is rolled back is where it was');

SELECT * FROM finish();
ROLLBACK;
