\i test/setup.psql
-- Access: what a role may do once it is granted, what it may not, and queues that are only for some.
BEGIN;
SELECT plan(62);

CREATE ROLE pgq_test_producer;
CREATE ROLE "pgq test ""worker""";
CREATE ROLE pgq_test_observer;
CREATE ROLE pgq_test_dispatcher;
CREATE ROLE pgq_test_admin;
-- Gets each access, but to no restricted queue.
CREATE ROLE pgq_test_outsider;
-- Gets nothing itself.
CREATE ROLE pgq_test_nobody;
GRANT pgq_test_producer, "pgq test ""worker""", pgq_test_observer, pgq_test_dispatcher, pgq_test_admin, pgq_test_outsider,
    pgq_test_nobody
TO CURRENT_USER;

CREATE TEMPORARY TABLE who (who text NOT NULL, role_name name NOT NULL);
INSERT INTO who (who, role_name)
VALUES ('producer', 'pgq_test_producer'), ('worker', 'pgq test "worker"'), ('observer', 'pgq_test_observer'),
       ('dispatcher', 'pgq_test_dispatcher'), ('admin', 'pgq_test_admin'), ('outsider', 'pgq_test_outsider'), ('nobody', 'pgq_test_nobody');
-- The first value of a query that this role makes, or its error. An error undoes what the query did.
CREATE FUNCTION pg_temp.do_as(who text, query text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_value text;
BEGIN
    PERFORM set_config('role', w.role_name, true) FROM who AS w WHERE w.who = do_as.who;
    EXECUTE query INTO v_value;
    PERFORM set_config('role', 'none', true);
    RETURN v_value;
EXCEPTION WHEN OTHERS THEN
    RETURN format('%s %s', SQLSTATE, SQLERRM);
END
$$;
-- The same without its effects.
CREATE FUNCTION pg_temp.try_as(who text, query text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '%', coalesce(pg_temp.do_as(who, query), 'null') USING ERRCODE = 'TRIED';
EXCEPTION WHEN SQLSTATE 'TRIED' THEN
    RETURN SQLERRM;
END
$$;
CREATE TEMPORARY VIEW relation AS
SELECT c.oid, c.relname AS name, c.relkind
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'pgq' AND c.relkind IN ('r', 'p', 'v', 'S');
CREATE TEMPORARY VIEW public_function AS
SELECT p.oid, p.proname::text AS name
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'pgq' AND p.proname NOT LIKE '\_%';
CREATE TEMPORARY VIEW may_call AS
SELECT w.who, p.proname::text AS name
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace CROSS JOIN who AS w
WHERE n.nspname = 'pgq' AND has_function_privilege(w.role_name, p.oid, 'EXECUTE');

-- Which function is whose

CREATE TEMPORARY TABLE belongs (name text NOT NULL, access text NOT NULL);
INSERT INTO belongs (name, access)
SELECT unnest(b.names), b.access
FROM (VALUES
    ('producer', ARRAY['add_job', 'add_jobs', 'signal_job', 'signal_by_token']),
    ('worker', ARRAY['pick_jobs', 'release_job', 'release_jobs', 'release_and_pick', 'keep_jobs_alive', 'announce_idle',
                     'announce_busy', 'wake_up_channel', 'maintain', 'define_workflow', 'get_steps', 'finish_step',
                     'finish_steps', 'remember', 'make_signal_token', 'drive_schedules']),
    ('observer', ARRAY['get_job', 'get_jobs', 'list_jobs', 'queue_stats', 'get_queue_config', 'endpoint_status', 'native_health',
                       'workflow_versions', 'list_schedules', 'preview_schedule', 'list_jobs_on_change']),
    ('dispatcher', ARRAY['pick_requests', 'answer_requests', 'extend_requests', 'run_native_dispatcher']),
    ('admin', ARRAY['cancel_job', 'retry_job', 'redrive_jobs', 'reschedule_job', 'set_queue_config', 'pause_queue',
                    'resume_queue', 'purge_queue', 'drop_queue', 'set_endpoint', 'get_endpoint', 'remove_endpoint',
                    'set_endpoint_active', 'set_endpoint_bearer_token', 'get_endpoint_bearer_token',
                    'set_endpoint_signing_secret', 'forget_previous_signing_secret', 'schedule_job', 'unschedule_job',
                    'pause_schedule', 'resume_schedule', 'add_job_on_change', 'remove_job_on_change', 'retry_from_step',
                    'drop_workflow_version']),
    ('all', ARRAY['installed_version', 'error_codes']),
    ('the owner', ARRAY['grant_access', 'revoke_access', 'allow_endpoint_host', 'disallow_endpoint_host',
                        'allowed_endpoint_hosts', 'start_native_dispatcher', 'stop_native_dispatcher',
                        'start_native_schedules', 'stop_native_schedules'])
) AS b (access, names);
-- What a dispatcher shares with others, and what its procedure calls.
CREATE TEMPORARY TABLE shared AS
SELECT unnest(ARRAY['announce_idle', 'announce_busy', 'wake_up_channel', 'maintain', 'drive_schedules', 'endpoint_status', '_native_turn', '_native_rest']) AS name;
SELECT set_eq(
    $$ SELECT f.name FROM public_function AS f $$, $$ SELECT b.name FROM belongs AS b $$,
    'every public function belongs to an access, and is tested here');

SELECT is_empty($$ SELECT m.who, m.name FROM may_call AS m $$, 'no role may call anything before it is granted');
SELECT is(
    pg_temp.try_as('nobody', $$ SELECT pgq.installed_version() $$), 
    '42501 permission denied for schema ' || (SELECT n.nspname FROM pg_namespace AS n WHERE n.nspname = 'pgq'),
    'who is granted nothing cannot even look into the schema');
DO $$ BEGIN
    PERFORM pgq.grant_access(w.role_name, w.who) FROM who AS w WHERE w.who NOT IN ('outsider', 'nobody');
END $$;
SELECT set_eq(
    $$ SELECT m.who, m.name FROM may_call AS m $$,
    $$ SELECT w.who, b.name FROM who AS w JOIN belongs AS b ON b.access IN (w.who, 'all')
       WHERE w.who NOT IN ('outsider', 'nobody')
       UNION SELECT 'dispatcher', s.name FROM shared AS s $$,
    'grant_access gives exactly the functions of the access, and those that are for all');
DO $$ BEGIN
    PERFORM pgq.grant_access(w.role_name, access)
    FROM who AS w, unnest(ARRAY['producer', 'worker', 'observer', 'dispatcher', 'admin', 'worker']) AS access
    WHERE w.who = 'outsider';
END $$;
SELECT set_eq(
    $$ SELECT m.name FROM may_call AS m WHERE m.who = 'outsider' $$,
    $$ SELECT b.name FROM belongs AS b WHERE b.access <> 'the owner' UNION SELECT s.name FROM shared AS s $$,
    'a role may be granted several accesses, and one twice; no access includes the giving of access');
SELECT is_empty($$
    SELECT p.proname FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace,
           aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS acl
    WHERE n.nspname = 'pgq' AND acl.grantee = 0
$$, 'grant_access gives nothing to PUBLIC');

-- Tables are nobody's

SELECT cmp_ok((SELECT count(*) FROM relation), '>', 50::bigint, 'there are tables and sequences to look at');
SELECT is_empty($$
    SELECT w.who, r.name
    FROM who AS w CROSS JOIN relation AS r
    WHERE CASE r.relkind
        WHEN 'S' THEN has_sequence_privilege(w.role_name, r.oid, 'USAGE, SELECT, UPDATE')
        ELSE has_table_privilege(w.role_name, r.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
             OR has_any_column_privilege(w.role_name, r.oid, 'SELECT, INSERT, UPDATE, REFERENCES') END
$$, 'no table, view or sequence can be read or written by a role that is granted access');
SELECT is(
    pg_temp.try_as(w.who, $$ SELECT count(*) FROM pgq.job $$), '42501 permission denied for table job',
    'the jobs are closed to: ' || w.who)
FROM who AS w WHERE w.who NOT IN ('nobody');
SELECT is_empty($$
    SELECT w.who FROM who AS w
    WHERE has_schema_privilege(w.role_name, (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = 'pgq'), 'CREATE')
$$, 'no role that is granted access can make objects in the schema');
SELECT is(
    pg_temp.try_as('admin', $$ SELECT pgq.grant_access('pgq_test_admin', 'producer') $$),
    '42501 permission denied for function grant_access', 'an admin cannot give access');

-- A life of a job, each part by the role that it is for

DO $$ BEGIN PERFORM pgq.set_queue_config('open', timeout_milliseconds => 3600000); END $$;
SELECT is(pg_temp.do_as('producer', $$ SELECT is_new FROM pgq.add_job('open', '"one"') $$), 'true', 'a producer adds a job');
SELECT is(
    pg_temp.do_as('producer', $$ SELECT cardinality(pgq.add_jobs('new', '{1, 2}')) $$), '2',
    'a producer adds a batch, to a queue that is new');
SELECT is(
    pg_temp.do_as('worker', $$ SELECT payload FROM pgq.pick_jobs(ARRAY['open'], worker => 'w') $$), '"one"', 'a worker picks it');
SELECT is(
    pg_temp.do_as('observer', $$ SELECT string_agg(state, ' ') FROM pgq.list_jobs('open') $$), 'running', 'an observer sees it run');
SELECT is(
    pg_temp.do_as('worker', format($$ SELECT pgq.release_job(%s, 'failed', retry => false) $$, l.job_id)), 'dead',
    'a worker releases it')
FROM pgq.list_jobs('open') AS l;
SELECT is(
    pg_temp.do_as('admin', $$ SELECT pgq.redrive_jobs('open') $$), '1', 'an admin brings it back');
SELECT is(
    pg_temp.do_as('observer', $$ SELECT ready FROM pgq.queue_stats('open') $$), '1', 'an observer sees it in the statistics');
SELECT is(pg_temp.do_as('worker', $$ SELECT (pgq.maintain()).gone_idle_workers $$), '0', 'a worker does maintenance');

-- A restricted queue

DO $$ BEGIN
    PERFORM pgq.set_queue_config('secret', timeout_milliseconds => 3600000);
    PERFORM pgq.define_workflow('secret', 'w', n, '[{"id": "only"}]') FROM generate_series(1, 2) AS n;
    PERFORM pgq.add_job('secret', to_jsonb(n), workflow => w.name, workflow_version => w.version)
    FROM unnest(ARRAY['running', 'ready', 'dead']) AS n
    LEFT JOIN (VALUES ('w', 1)) AS w (name, version) ON n IN ('running', 'dead');
    PERFORM pgq.release_job(p.job_id, 'failed', retry => false)
    FROM pgq.pick_jobs(ARRAY['secret'], 3) AS p WHERE p.payload = '"dead"';
    PERFORM pgq.release_job(l.job_id, 'paused') FROM pgq.list_jobs('secret', 'running') AS l WHERE l.payload = '"ready"';
    PERFORM pgq.set_endpoint('secret', 'https://example.com/', bearer_token_location => 'inline');
    PERFORM pgq.set_endpoint_bearer_token('secret', 'tok-1');
    PERFORM pgq.schedule_job('nightly', '0 0 1 1 *', 'secret');
    CREATE TEMPORARY TABLE gone ();
    PERFORM pgq.add_job_on_change('gone', 'gone', 'secret');
    DROP TABLE gone;
    PERFORM pgq.grant_access(w.role_name, w.who, 'secret') FROM who AS w WHERE w.who NOT IN ('outsider', 'nobody');
END $$;
CREATE TEMPORARY TABLE job AS
SELECT l.payload #>> '{}' AS name, l.job_id, (SELECT j.lease_token FROM pgq.job AS j WHERE j.job_id = l.job_id) AS lease_token
FROM pgq.list_jobs('secret') AS l;
-- Each function that knows queues or jobs: how it is called for this queue, and what it returns to who may.
CREATE TEMPORARY TABLE call (name text NOT NULL, query text NOT NULL, returns text NOT NULL);
INSERT INTO call (name, query, returns)
SELECT c.name,
       replace(replace(replace(replace(replace(c.query, '{running}', running.job_id::text),
           '{ready}', ready.job_id::text), '{dead}', dead.job_id::text), '{token}', running.lease_token::text),
           '{wrong}', (running.lease_token % 1000 + 1)::text),
       c.returns
FROM (VALUES
    ('add_job', $$ SELECT (pgq.add_job('secret', '1')).is_new $$, 'true'),
    ('add_job', $$ SELECT (pgq.add_job('secret', '1', unique_key => 'k', group_key => 'g', priority => 99)).is_new $$, 'true'),
    ('add_jobs', $$ SELECT cardinality(pgq.add_jobs('secret', '{1, 2}')) $$, '2'),
    ('add_jobs', $$ SELECT cardinality(pgq.add_jobs('secret', '{}')) $$, '0'),
    ('pick_jobs', $$ SELECT count(*) FROM pgq.pick_jobs(ARRAY['secret']) $$, '1'),
    ('pick_jobs', $$ SELECT count(*) FROM pgq.pick_jobs(ARRAY['open', 'never', 'secret'], 9) $$, '2'),
    ('release_job', $$ SELECT pgq.release_job({running}, 'complete') $$, 'complete'),
    ('release_job', $$ SELECT pgq.release_job({dead}, 'complete') $$, 'JQ004 job {dead} is dead and not running'),
    ('release_job', $$ SELECT pgq.release_job({ready}, 'complete') $$, 'JQ004 job {ready} is ready and not running'),
    ('release_jobs', $$ SELECT pgq.release_jobs('{{running}}', NULL, 'paused') $$, '{}'),
    ('release_jobs', $$ SELECT pgq.release_jobs('{{running}}', '{NULL}', 'paused', skip_lost => true) $$, '{}'),
    ('release_and_pick', $$ SELECT count(*) FROM pgq.release_and_pick('{{running}}', NULL, 'paused', ARRAY['never']) $$, '0'),
    ('release_and_pick', $$ SELECT count(*) FROM pgq.release_and_pick('{}', '{}', 'complete', ARRAY['secret']) $$, '1'),
    ('keep_jobs_alive', $$ SELECT state FROM pgq.keep_jobs_alive('{{running}}', NULL) $$, 'running'),
    ('announce_idle', $$ SELECT pgq.announce_idle(ARRAY['open', 'secret'], 'w') $$, 'null'),
    ('get_job', $$ SELECT (pgq.get_job({ready})).state $$, 'ready'),
    ('get_jobs', $$ SELECT count(*) FROM pgq.get_jobs('{0, {running}, {dead}}') $$, '2'),
    ('list_jobs', $$ SELECT count(*) FROM pgq.list_jobs('secret') $$, '3'),
    ('queue_stats', $$ SELECT dead FROM pgq.queue_stats('secret') $$, '1'),
    ('get_queue_config', $$ SELECT (pgq.get_queue_config('secret')).timeout_milliseconds $$, '3600000'),
    ('cancel_job', $$ SELECT pgq.cancel_job({running}) $$, ''),
    ('cancel_job', $$ SELECT pgq.cancel_job({dead}) $$, 'JQ004 job {dead} is dead already'),
    ('retry_job', $$ SELECT pgq.retry_job({dead}) $$, ''),
    ('retry_job', $$ SELECT pgq.retry_job({ready}) $$, 'JQ004 job {ready} is ready and not finished'),
    ('redrive_jobs', $$ SELECT pgq.redrive_jobs('secret') $$, '1'),
    ('redrive_jobs', $$ SELECT pgq.redrive_jobs('secret', preview => true) $$, '1'),
    ('reschedule_job', $$ SELECT pgq.reschedule_job({ready}, 'tomorrow') $$, ''),
    ('reschedule_job', $$ SELECT pgq.reschedule_job({running}, 'tomorrow') $$, 'JQ004 job {running} is running'),
    ('set_queue_config', $$ SELECT (pgq.set_queue_config('secret')).max_attempts $$, '10'),
    ('pause_queue', $$ SELECT pgq.pause_queue('secret') $$, ''),
    ('resume_queue', $$ SELECT pgq.resume_queue('secret') $$, ''),
    ('purge_queue', $$ SELECT pgq.purge_queue('secret') $$, '1'),
    ('drop_queue', $$ SELECT pgq.drop_queue('secret', force => true) $$, ''),
    ('endpoint_status', $$ SELECT breaker FROM pgq.endpoint_status('secret') $$, 'closed'),
    ('pick_requests', $$ SELECT count(*) FROM pgq.pick_requests(queue_names => ARRAY['open', 'never', 'secret']) $$, '1'),
    ('set_endpoint', $$ SELECT (pgq.set_endpoint('secret', 'https://example.org/')).url $$, 'https://example.org/'),
    ('get_endpoint', $$ SELECT (pgq.get_endpoint('secret')).url $$, 'https://example.com/'),
    ('remove_endpoint', $$ SELECT pgq.remove_endpoint('secret') $$, 'true'),
    ('set_endpoint_active', $$ SELECT pgq.set_endpoint_active('secret', false) $$, ''),
    ('set_endpoint_bearer_token', $$ SELECT pgq.set_endpoint_bearer_token('secret', 'tok-2') $$, ''),
    ('get_endpoint_bearer_token', $$ SELECT pgq.get_endpoint_bearer_token('secret') $$, 'tok-1'),
    ('set_endpoint_signing_secret', $$ SELECT pgq.set_endpoint_signing_secret('secret', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw') $$,
        'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'),
    ('forget_previous_signing_secret', $$ SELECT pgq.forget_previous_signing_secret('secret') $$, ''),
    ('define_workflow', $$ SELECT pgq.define_workflow('secret', 'w', 1, '[{"id": "only"}]') $$, 'false'),
    ('define_workflow', $$ SELECT pgq.define_workflow('secret', 'v', 1, '[{"id": "only"}]') $$, 'true'),
    ('workflow_versions', $$ SELECT count(*) FROM pgq.workflow_versions('secret') $$, '2'),
    ('drop_workflow_version', $$ SELECT pgq.drop_workflow_version('secret', 'w', 2) $$, ''),
    ('get_steps', $$ SELECT count(*) FROM pgq.get_steps('{{running}}') $$, '1'),
    ('finish_step', $$ SELECT pgq.finish_step({running}, NULL) $$, 'complete'),
    ('finish_steps', $$ SELECT state FROM pgq.finish_steps('[{"job_id": {running}}]') $$, 'complete'),
    ('signal_job', $$ SELECT pgq.signal_job({running}, 's') $$, 'false'),
    ('make_signal_token', $$ SELECT length(pgq.make_signal_token({running}, 's')) $$, '43'),
    ('retry_from_step', $$ SELECT pgq.retry_from_step({dead}) $$, ''),
    ('schedule_job', $$ SELECT (pgq.schedule_job('yearly', '@yearly', 'secret')).cron $$, '@yearly'),
    ('schedule_job', $$ SELECT (pgq.schedule_job('nightly', '@yearly', 'open')).cron $$, '@yearly'),
    ('unschedule_job', $$ SELECT pgq.unschedule_job('nightly') $$, 'true'),
    ('pause_schedule', $$ SELECT pgq.pause_schedule('nightly') $$, 'true'),
    ('resume_schedule', $$ SELECT pgq.resume_schedule('nightly') $$, 'true'),
    ('list_schedules', $$ SELECT count(*) FROM pgq.list_schedules('secret') $$, '1'),
    ('add_job_on_change', $$ SELECT (pgq.add_job_on_change('t', 'pg_catalog.pg_stats', 'secret')).problem $$,
        '22023 expected table_name to be an ordinary or a partitioned table, got ''pg_stats'''),
    ('remove_job_on_change', $$ SELECT pgq.remove_job_on_change('gone') $$, 'true'),
    ('list_jobs_on_change', $$ SELECT count(*) FROM pgq.list_jobs_on_change('secret') $$, '1')
) AS c (name, query, returns)
CROSS JOIN job AS running CROSS JOIN job AS ready CROSS JOIN job AS dead
WHERE running.name = 'running' AND ready.name = 'ready' AND dead.name = 'dead';
UPDATE call AS c SET returns = replace(replace(replace(c.returns,
    '{running}', (SELECT j.job_id::text FROM job AS j WHERE j.name = 'running')),
    '{ready}', (SELECT j.job_id::text FROM job AS j WHERE j.name = 'ready')),
    '{dead}', (SELECT j.job_id::text FROM job AS j WHERE j.name = 'dead'));
CREATE TEMPORARY TABLE before AS SELECT l.* FROM pgq.list_jobs('secret') AS l;

SELECT set_eq(
    $$ SELECT c.name FROM call AS c $$,
    $$ SELECT b.name FROM belongs AS b
       WHERE b.name NOT IN ('announce_busy', 'wake_up_channel', 'maintain', 'answer_requests', 'extend_requests',
                            'native_health', 'run_native_dispatcher', 'drive_schedules', 'preview_schedule',
                            -- For these the token is the right.
                            'remember', 'signal_by_token')
         AND b.access NOT IN ('all', 'the owner') $$,
    'every function that knows queues or jobs is tried on a restricted queue');
SELECT is_empty($$
    SELECT c.query, t.result
    FROM call AS c JOIN belongs AS b ON b.name = c.name
    CROSS JOIN LATERAL (SELECT pg_temp.try_as(b.access, c.query) AS result) AS t
    WHERE t.result IS DISTINCT FROM c.returns
$$, 'a role that was granted an access to a restricted queue can use each function of this access');
SELECT is_empty($$
    SELECT c.query, t.result
    FROM call AS c JOIN belongs AS b ON b.name = c.name
    CROSS JOIN LATERAL (SELECT pg_temp.try_as('outsider', c.query) AS result) AS t
    WHERE t.result IS DISTINCT FROM format('42501 no %s access to queue "secret"', b.access)
$$, 'a role that may call each function, but was not granted the restricted queue, can use none of them on it');
-- What the outsider could do if it were granted this access to the queue.
CREATE FUNCTION pg_temp.try_granted(access text, query text)
RETURNS text
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pgq.grant_access('pgq_test_outsider', access, 'secret');
    RAISE EXCEPTION '%', coalesce(pg_temp.do_as('outsider', query), 'null') USING ERRCODE = 'TRIED';
EXCEPTION WHEN SQLSTATE 'TRIED' THEN
    RETURN SQLERRM;
END
$$;
SELECT is_empty($$
    SELECT a.access, c.query, t.result
    FROM call AS c JOIN belongs AS b ON b.name = c.name
    CROSS JOIN unnest(ARRAY['producer', 'worker', 'observer', 'dispatcher', 'admin']) AS a (access)
    CROSS JOIN LATERAL (SELECT pg_temp.try_granted(a.access, c.query) AS result) AS t
    WHERE t.result IS DISTINCT FROM CASE WHEN a.access IN (b.access, 'admin') THEN c.returns
                                         -- Who dispatches does what a worker does.
                                         WHEN a.access = 'dispatcher' AND (b.access = 'worker' OR c.name = 'endpoint_status') THEN c.returns
                                         ELSE format('42501 no %s access to queue "secret"', b.access) END
$$, 'a role that may call each function can use those of the accesses to the queue that it was granted; admin includes all');
SELECT is_empty($$
    SELECT w.who, c.query, t.result
    FROM call AS c JOIN belongs AS b ON b.name = c.name
    JOIN who AS w ON w.who NOT IN (b.access, 'outsider', 'nobody')
        AND (w.who <> 'dispatcher' OR c.name NOT IN (SELECT s.name FROM shared AS s))
    CROSS JOIN LATERAL (SELECT pg_temp.try_as(w.who, c.query) AS result) AS t
    WHERE t.result IS DISTINCT FROM format('42501 permission denied for function %s', c.name)
$$, 'one access gives nothing of another');
SELECT is_empty($$
    SELECT c.query, t.result
    FROM call AS c CROSS JOIN LATERAL (SELECT pg_temp.try_as('no role set', c.query) AS result) AS t
    WHERE t.result IS DISTINCT FROM c.returns
$$, 'the owner can use a restricted queue');
SELECT results_eq(
    $$ SELECT l.job_id, l.state, l.start_after, l.attempt, l.lease_until FROM pgq.list_jobs('secret') AS l $$,
    $$ SELECT b.job_id, b.state, b.start_after, b.attempt, b.lease_until FROM before AS b $$,
    'nothing of this has changed the queue');

-- Lists of all queues show those that may be seen

SELECT is(
    pg_temp.do_as('outsider', $$ SELECT string_agg(queue_name, ' ') FROM pgq.queue_stats() WHERE queue_name IN ('open', 'new', 'secret') $$),
    'new open', 'the statistics of all queues leave out those that the caller may not see');
SELECT is(
    pg_temp.do_as('observer', $$ SELECT string_agg(queue_name, ' ') FROM pgq.queue_stats() WHERE queue_name IN ('open', 'new', 'secret') $$),
    'new open secret', 'and show those that it may');
SELECT is(
    pg_temp.do_as('outsider', $$ SELECT string_agg(DISTINCT queue_name, ' ' ORDER BY queue_name) FROM pgq.list_jobs() $$),
    'new open', 'so does the list of all jobs');
SELECT is(
    pg_temp.do_as('observer', $$ SELECT string_agg(DISTINCT queue_name, ' ' ORDER BY queue_name) FROM pgq.list_jobs() $$),
    'new open secret', 'for both');
SELECT is(
    pg_temp.do_as('outsider', $$ SELECT count(*) FROM pgq.list_jobs(max_jobs => 2) $$), '2',
    'jobs that are left out do not count for max_jobs');

-- A lease token is the right to its job

SELECT is(
    pg_temp.try_as('outsider', format($$ SELECT state FROM pgq.keep_jobs_alive('{%s}', '{%s}') $$, j.job_id, j.lease_token)),
    'running', 'who has the lease token can keep the job of a restricted queue alive')
FROM job AS j WHERE j.name = 'running';
SELECT is(
    pg_temp.try_as('outsider', format($$ SELECT pgq.release_job(%s, 'complete', %s) $$, j.job_id, j.lease_token)),
    'complete', 'and release it')
FROM job AS j WHERE j.name = 'running';
SELECT is(
    pg_temp.try_as('outsider', format($$ SELECT pgq.release_job(%s, 'complete', %s) $$, j.job_id, j.lease_token + 1)),
    format('JQ003 lease of job %s lost', j.job_id), 'with a wrong one it cannot')
FROM job AS j WHERE j.name = 'running';

-- An access to the queue without the functions, and with more than them

SELECT is(
    pg_temp.try_as('admin', $$ SELECT (pgq.get_queue_config('secret')).queue_name $$),
    '42501 permission denied for function get_queue_config', 'an admin is no observer');
DO $$ BEGIN
    PERFORM pgq.grant_access(w.role_name, access)
    FROM who AS w, unnest(ARRAY['producer', 'worker', 'observer', 'dispatcher']) AS access WHERE w.who = 'admin';
END $$;
SELECT is_empty($$
    SELECT c.query, t.result
    FROM call AS c CROSS JOIN LATERAL (SELECT pg_temp.try_as('admin', c.query) AS result) AS t
    WHERE t.result IS DISTINCT FROM c.returns
$$, 'admin access to a queue includes all others, for who may call their functions');

-- Membership

GRANT pgq_test_observer TO pgq_test_nobody;
SELECT is(
    pg_temp.try_as('nobody', $$ SELECT dead FROM pgq.queue_stats('secret') $$), '1', 'a member of a role has its access');
ALTER ROLE pgq_test_nobody NOINHERIT;
REVOKE pgq_test_observer FROM pgq_test_nobody;
GRANT pgq_test_observer TO pgq_test_nobody;
DO $$ BEGIN PERFORM pgq.grant_access('pgq_test_nobody', 'observer'); END $$;
SELECT is(
    pg_temp.try_as('nobody', $$ SELECT count(*) FROM pgq.queue_stats('secret') $$),
    '42501 no observer access to queue "secret"', 'a member that does not inherit has it not');
SELECT is(
    pg_temp.try_as('nobody', $$ WITH role AS MATERIALIZED (SELECT set_config('role', 'pgq_test_observer', true) AS name)
                                SELECT s.dead FROM role AS r, pgq.queue_stats(CASE WHEN r.name <> '' THEN 'secret' END) AS s $$),
    '1', 'until it sets that role');

-- Taking access back

DO $$ BEGIN PERFORM pgq.revoke_access('pgq test "worker"', 'worker', 'secret'); END $$;
SELECT is(
    pg_temp.try_as('worker', $$ SELECT count(*) FROM pgq.pick_jobs(ARRAY['secret']) $$),
    '42501 no worker access to queue "secret"', 'access to one queue can be taken back');
SELECT is(
    pg_temp.try_as('worker', $$ SELECT count(*) FROM pgq.pick_jobs(ARRAY['open']) $$), '1', 'the functions stay');
DO $$ BEGIN PERFORM pgq.revoke_access('pgq test "worker"', 'observer', 'secret'); END $$;
SELECT is(
    pg_temp.try_as('observer', $$ SELECT dead FROM pgq.queue_stats('secret') $$), '1',
    'what is taken from one role is not taken from another');
DO $$ BEGIN PERFORM pgq.revoke_access(w.role_name, 'producer') FROM who AS w WHERE w.who = 'outsider'; END $$;
SELECT set_eq(
    $$ SELECT m.name FROM may_call AS m WHERE m.who = 'outsider' $$,
    $$ SELECT b.name FROM belongs AS b WHERE b.access NOT IN ('producer', 'the owner') UNION SELECT s.name FROM shared AS s $$,
    'without a queue the functions of this access are taken back, and of no other');
DO $$ BEGIN
    PERFORM pgq.grant_access('pgq_test_observer', 'observer', 'secret too');
    PERFORM pgq.revoke_access('pgq_test_observer', 'observer');
    PERFORM pgq.grant_access('pgq_test_observer', 'observer');
END $$;
SELECT is(
    pg_temp.try_as('observer', format($$ SELECT count(*) FROM pgq.queue_stats(%L) $$, q)),
    format('42501 no observer access to queue "%s"', q), 'and so is the access to every restricted queue: ' || q)
FROM unnest(ARRAY['secret', 'secret too']) AS q;
SELECT is(
    pg_temp.try_as('admin', $$ SELECT dead FROM pgq.queue_stats('secret') $$), '1', 'others have it still');
DO $$ BEGIN PERFORM pgq.revoke_access('pgq_test_observer', 'observer', 'secret too'); END $$;
SELECT is(
    pg_temp.try_as('outsider', $$ SELECT count(*) FROM pgq.queue_stats('secret too') $$),
    '42501 no observer access to queue "secret too"', 'a queue stays restricted when nobody has access to it any more');
DO $$ BEGIN
    PERFORM pgq.drop_queue('secret', force => true);
    PERFORM pgq.add_job('secret', '1');
END $$;
SELECT is(
    pg_temp.try_as('outsider', $$ SELECT ready FROM pgq.queue_stats('secret') $$), '1',
    'a queue that is made again after a drop is not restricted');
DO $$ BEGIN PERFORM pgq.grant_access('pgq_test_producer', 'producer', 'secret'); END $$;
SELECT is(
    pg_temp.try_as('admin', $$ SELECT ready FROM pgq.queue_stats('secret') $$),
    '42501 no observer access to queue "secret"', 'nor does it know who had access before');

-- Errors

SELECT throws_ok(
    $$ SELECT pgq.grant_access('pgq_test_nobody', 'reader') $$,
    '22023', 'expected access to be one of producer, worker, observer, dispatcher, admin, got ''reader''',
    'an access that does not exist cannot be granted');
SELECT throws_ok(
    $$ SELECT pgq.revoke_access('pgq_test_nobody', 'any') $$,
    '22023', 'expected access to be one of producer, worker, observer, dispatcher, admin, got ''any''', 'or revoked');
SELECT throws_ok(
    $$ SELECT pgq.grant_access('pgq_test_never', 'worker') $$,
    '42704', 'role "pgq_test_never" does not exist', 'a role that does not exist cannot be granted access');
SELECT throws_ok(
    $$ SELECT pgq.revoke_access('pgq_test_never', 'worker') $$, '42704', NULL, 'nor can access be taken from it');
SELECT throws_ok(
    $$ SELECT pgq.grant_access('public', 'worker') $$,
    '42704', 'role "public" does not exist', 'nobody can give access to everybody');
SELECT throws_ok(
    $$ SELECT pgq.grant_access('pgq_test_nobody', 'worker', '') $$,
    '22023', NULL, 'a bad queue name is refused');
SELECT ok(
    NOT EXISTS (SELECT FROM may_call AS m WHERE m.who = 'nobody' AND m.name = 'pick_jobs'),
    'access that is refused is not given in part');
SELECT throws_ok(
    $$ SELECT pgq.revoke_access('pgq_test_nobody', 'worker', 'never') $$,
    'JQ001', 'queue "never" not found', 'access to a queue that does not exist cannot be taken back');

SELECT * FROM finish();
ROLLBACK;
