
-- A job's life

INSERT INTO known_job (name, job_id) SELECT 'urgent', a.job_id FROM @extschema@.add_job('pgq test: jobs', '"urgent"', priority => 10) AS a;
INSERT INTO known_job (name, job_id)
SELECT 'later', a.job_id FROM @extschema@.add_job('pgq test: jobs', '"later"', start_after => now() + interval '1 hour') AS a;
CALL pg_temp.add('pgq test: jobs', 'first', 'second');
SELECT is((pg_temp.job('first')).state, 'ready', 'a job that is added is ready');
SELECT is((pg_temp.job('later')).state, 'scheduled', 'unless it is to start later');
SELECT is(pg_temp.pick('pgq test: jobs', 2), 'urgent first', 'jobs are picked by priority, and then in their order');
SELECT is(pg_temp.pick('pgq test: jobs', 9), 'second', 'each once, and none before its time');
SELECT is((pg_temp.job('first')).state, 'running', 'a job that is picked is running');
SELECT is(pg_temp.release('first', 'complete', '{"answer": 42}'), 'complete', 'it is released');
SELECT is((pg_temp.job('first')).output, '{"answer": 42}'::jsonb, 'and its result is kept');
SELECT throws_ok(
    format('SELECT @extschema@.release_job(%s, ''complete'', lease_token => 1)', (SELECT k.job_id FROM known_job AS k WHERE k.name = 'second')),
    'JQ003', NULL, 'no other lease may release it');
SELECT cmp_ok(
    (SELECT l.lease_until FROM known_job AS k, @extschema@.keep_jobs_alive(ARRAY[k.job_id], ARRAY[k.lease_token], 600000) AS l WHERE k.name = 'second'),
    '>', clock_timestamp() + interval '9 minutes', 'a lease is made longer');
SELECT is(pg_temp.release('second', 'paused'), 'ready', 'a job that is given back is ready again');
SELECT is(pg_temp.pick('pgq test: jobs'), 'second', 'and picked again');
SELECT is((pg_temp.job('second')).attempt, 1, 'with no attempt used');
SELECT is(
    (SELECT concat_ws(' ', s.ready, s.scheduled, s.running) FROM @extschema@.queue_stats('pgq test: jobs') AS s), '0 1 2', 'the figures of the queue are right');
DO $$ BEGIN PERFORM @extschema@.cancel_job(k.job_id) FROM known_job AS k WHERE k.name = 'later'; END $$;
SELECT is((pg_temp.job('later')).state, 'cancelled', 'a job is cancelled');

-- Failures

DO $$ BEGIN
    PERFORM @extschema@.set_queue_config('pgq test: failures', max_attempts => 2, retry_backoff => 'fixed', pause_between_retries_milliseconds => 0);
END $$;
CALL pg_temp.add('pgq test: failures', 'unlucky');
SELECT is(pg_temp.pick('pgq test: failures'), 'unlucky', 'a job');
SELECT is(pg_temp.release('unlucky', 'failed', error => 'no luck'), 'ready', 'that fails is ready again');
SELECT is(pg_temp.pick('pgq test: failures'), 'unlucky', 'and tried again');
SELECT is(pg_temp.release('unlucky', 'failed', error => 'no luck again'), 'dead', 'until its attempts are used up');
SELECT is((pg_temp.job('unlucky')).attempts #>> '{0,error}', 'no luck', 'what happened at each is kept');
SELECT is(@extschema@.redrive_jobs('pgq test: failures', error_like => '%luck%'), 1::bigint, 'dead jobs are brought back');
SELECT is(pg_temp.pick('pgq test: failures'), 'unlucky', 'and picked');
INSERT INTO known_job (name, job_id) SELECT 'slow', a.job_id FROM @extschema@.add_job('pgq test: failures', '"slow"', timeout_milliseconds => 100) AS a;
SELECT is(pg_temp.pick('pgq test: failures'), 'slow', 'a job whose worker does not come back');
DO $$ BEGIN PERFORM pg_sleep(0.2); END $$;
SELECT is(pg_temp.pick('pgq test: failures'), 'slow', 'is picked again when its lease is over');
SELECT is((pg_temp.job('slow')).attempt, 2, 'as its next attempt');

-- Batches

SELECT is(
    cardinality(@extschema@.add_jobs('pgq test: batch', ARRAY(SELECT to_jsonb(n) FROM generate_series(1, 1000) AS n))), 1000, 'a batch is added');
DO $$ BEGIN
    PERFORM @extschema@.release_jobs(array_agg(p.job_id), array_agg(p.lease_token), 'complete')
    FROM @extschema@.pick_jobs(ARRAY['pgq test: batch'], 1000) AS p;
END $$;
SELECT is(
    (SELECT concat_ws(' ', s.ready, s.running, s.finished_last_minute) FROM @extschema@.queue_stats('pgq test: batch') AS s), '0 0 1000',
    'picked and released');
