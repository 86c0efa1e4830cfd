\i test/setup.psql
-- Waits: hints are taken by picks of the queue, and by nobody else; what came too late is cleared away.
BEGIN;
SELECT plan(14);

\i test/fixtures/clock.sql
\i test/fixtures/words.sql
\i test/fixtures/runs.sql
DO $$ BEGIN
    PERFORM pgq.define_workflow('shop', 'order', 1, '[{"id": "a"}, {"id": "b"}]');
    PERFORM pgq.add_job('plain', '1');
    PERFORM pg_temp.start('ada'), pg_temp.work();
END $$;

SELECT results_eq(
    $$ SELECT q.queue_name, q.has_waits FROM pgq.queue AS q ORDER BY q.queue_name $$, $$ VALUES ('plain', false), ('shop', false) $$,
    'a queue in which nobody waits looks at no hints');
DO $$ BEGIN PERFORM pg_temp.done('ada', NULL, (SELECT jsonb_build_object('children', jsonb_agg(jsonb_build_object('payload', concat('c', n), 'queue_name', 'other')))
    FROM generate_series(1, 500) AS n)); END $$;
SELECT results_eq(
    $$ SELECT q.queue_name, q.has_waits FROM pgq.queue AS q ORDER BY q.queue_name $$, $$ VALUES ('other', false), ('plain', false), ('shop', true) $$,
    'one in which a run waits does');
DO $$ BEGIN
    FOR n IN 1..10 LOOP
        PERFORM pgq.release_jobs(array_agg(p.job_id), array_agg(p.lease_token), 'complete', outputs => array_agg(p.payload))
        FROM pgq.pick_jobs(ARRAY['other'], 49) AS p;
    END LOOP;
END $$;
SELECT is((SELECT concat(count(*), ' ', sum(h.done)) FROM pgq.run_hint AS h), '10 490', 'a batch of children leaves one hint');
SELECT is(pg_temp.work(), '', 'a pick takes them');
SELECT is((SELECT count(*) FROM pgq.run_hint), 0::bigint, 'all');
SELECT is((SELECT w.children_left FROM pgq.run_wait AS w), 10, 'and counts');
DO $$ BEGIN
    PERFORM pgq.release_job(p.job_id, 'complete', p.lease_token, p.payload) FROM pgq.pick_jobs(ARRAY['other'], 10) AS p;
END $$;
SELECT is(pg_temp.work(100, 'plain', 'shop'), '1 ada:b', 'the run goes on when the last one is done, also in a pick from several queues');
SELECT is(
    (SELECT array_agg(c ->> 'output' ORDER BY place) FROM jsonb_array_elements((pg_temp.step('ada')).children) WITH ORDINALITY AS c (c, place)),
    (SELECT array_agg(concat('c', n)) FROM generate_series(1, 500) AS n), 'with all results in order');
SELECT is_empty('SELECT job_id FROM pgq.run_wait UNION SELECT parent_job_id FROM pgq.child_result', 'and nothing is left of its wait');

-- A child of an earlier wait

DO $$ BEGIN
    PERFORM pg_temp.done('ada', NULL, '{"step": "b", "children": [{"payload": "late", "queue_name": "other"}]}');
    PERFORM pg_temp.work(1, 'other');
    PERFORM pgq.cancel_job(pg_temp.id('ada'));
    PERFORM pgq.retry_job(pg_temp.id('ada'));
    PERFORM pg_temp.work();
    PERFORM pg_temp.done('ada', NULL, '{"step": "b", "children": [{"payload": "new", "queue_name": "other"}]}');
    PERFORM pg_temp.release('late', 'complete');
END $$;
SELECT is(pg_temp.work(), '', 'a child of an earlier wait is no child of this one');
DO $$ BEGIN PERFORM pg_temp.work(1, 'other'); PERFORM pg_temp.release('new', 'complete'); END $$;
SELECT is(pg_temp.work(), 'ada:b', 'whose own child counts');
SELECT is(jsonb_array_length((pg_temp.step('ada')).children), 1, 'alone');

-- What is cleared away

DO $$ BEGIN
    INSERT INTO pgq.child_result (parent_job_id, job_id, state) VALUES (0, 0, 'complete');
    INSERT INTO pgq.run_signal (job_id, name, payload) VALUES (0, 'x', '1'), (pg_temp.id('ada'), 'x', '1');
    INSERT INTO pgq.run_memory (job_id, step, name, value) VALUES (0, 'a', 'x', '1'), (pg_temp.id('ada'), 'b', 'x', '1');
    PERFORM pgq.make_signal_token(pg_temp.id('ada'), 'x', 1000), pgq.make_signal_token(pg_temp.id('ada'), 'x', 100000);
END $$;
CALL pg_temp.pass('2 seconds');
SELECT is((SELECT m.expired_signal_tokens FROM pgq.maintain() AS m), 1, 'maintain forgets tokens that have expired');
SELECT results_eq(
    $$ SELECT 'signal', s.job_id FROM pgq.run_signal AS s UNION ALL SELECT 'memory', m.job_id FROM pgq.run_memory AS m
       UNION ALL SELECT 'result', c.job_id FROM pgq.child_result AS c $$,
    $$ SELECT w, pg_temp.id('ada') FROM unnest(ARRAY['signal', 'memory']) AS w $$, 'and what came after the end of a run');

SELECT * FROM finish();
ROLLBACK;
