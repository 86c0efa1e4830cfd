
-- Limits, groups, keys, pauses

DO $$ BEGIN PERFORM @extschema@.set_queue_config('pgq test: limit', max_concurrency => 2); END $$;
CALL pg_temp.add('pgq test: limit', 'a', 'b', 'c');
SELECT is(pg_temp.pick('pgq test: limit', 9), 'a b', 'no more jobs run than max_concurrency allows');
SELECT is(pg_temp.release('a', 'complete'), 'complete', 'one that is released');
SELECT is(pg_temp.pick('pgq test: limit', 9), 'c', 'makes room for the next');

DO $$ BEGIN
    PERFORM @extschema@.set_queue_config('pgq test: groups', max_concurrency_per_group => 1);
    PERFORM @extschema@.add_job('pgq test: groups', to_jsonb(j.name), group_key => j.group_key)
    FROM (VALUES ('one', 'x'), ('two', 'x'), ('three', 'y')) AS j (name, group_key);
END $$;
SELECT is(pg_temp.pick('pgq test: groups', 9), 'one three', 'no more jobs of a group run than max_concurrency_per_group allows');

SELECT ok((SELECT a.is_new FROM @extschema@.add_job('pgq test: keys', '1', unique_key => 'k') AS a), 'the first job with a unique key is added');
SELECT ok((SELECT NOT a.is_new FROM @extschema@.add_job('pgq test: keys', '2', unique_key => 'k') AS a), 'the second is not');

DO $$ BEGIN PERFORM @extschema@.pause_queue('pgq test: keys'); END $$;
SELECT is(pg_temp.pick('pgq test: keys'), '', 'a paused queue is not picked');
DO $$ BEGIN PERFORM @extschema@.resume_queue('pgq test: keys'); END $$;
SELECT is(pg_temp.pick('pgq test: keys'), '1', 'a resumed queue is');
