\i test/setup.psql
-- Bad and odd values for every parameter of every public function: a clear error or a right result, never a wrong one.
BEGIN;
-- A huge name is cut with a notice that repeats it.
SET LOCAL client_min_messages = warning;
SELECT plan(21);

DO $$ BEGIN
    PERFORM pgq.set_queue_config('mail', retry_backoff => 'fixed', timeout_milliseconds => 3600000);
    PERFORM pgq.define_workflow('mail', 'w', n, '[{"id": "only"}]') FROM generate_series(1, 2) AS n;
    -- Some are runs, which do what jobs do, and more.
    PERFORM pgq.add_job('mail', to_jsonb(n), workflow => w.name, workflow_version => w.version)
    FROM unnest(ARRAY['running', 'dead', 'complete', 'cancelled', 'ready']) AS n
    LEFT JOIN (VALUES ('w', 1)) AS w (name, version) ON n IN ('running', 'dead');
    PERFORM pgq.add_job('mail', '"scheduled"', start_after => now() + interval '1 day');
    PERFORM pgq.release_job(p.job_id, CASE p.payload #>> '{}' WHEN 'dead' THEN 'failed' ELSE p.payload #>> '{}' END,
        p.lease_token, retry => p.payload <> '"dead"', error => 'no paper')
    FROM pgq.pick_jobs(ARRAY['mail'], 4) AS p WHERE p.payload <> '"running"';
    PERFORM pgq.set_endpoint('mail', 'https://example.com/', bearer_token_location => 'inline');
    PERFORM pgq.set_endpoint_bearer_token('mail', 'tok-1');
    CREATE TEMPORARY TABLE customer (customer_id integer PRIMARY KEY);
    PERFORM pgq.schedule_job('nightly', '@daily', 'mail');
    PERFORM pgq.add_job_on_change('welcome', 'customer', 'mail');
END $$;
CREATE ROLE pgq_test_role;
CREATE FUNCTION pg_temp.id(name text)
RETURNS bigint
LANGUAGE sql
AS $$ SELECT l.job_id FROM pgq.list_jobs('mail') AS l WHERE l.payload = to_jsonb(name) $$;
CREATE FUNCTION pg_temp.token()
RETURNS bigint
LANGUAGE sql
AS $$ SELECT j.lease_token FROM pgq.job AS j WHERE j.job_id = pg_temp.id('running') $$;

CREATE FUNCTION pg_temp.signal_token()
RETURNS text
LANGUAGE sql
AS $$ SELECT pgq.make_signal_token(pg_temp.id('running'), 's') $$;

-- The value that a query returns, or its error; whatever it did is undone.
CREATE FUNCTION pg_temp.try(query text)
RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    v_value text;
BEGIN
    EXECUTE query INTO v_value;
    RAISE EXCEPTION '%', coalesce(v_value, 'null') USING ERRCODE = 'TRIED';
EXCEPTION
    WHEN SQLSTATE 'TRIED' THEN RETURN SQLERRM;
    WHEN OTHERS THEN RETURN format('%s %s', SQLSTATE, SQLERRM);
END
$$;

-- A good call of each function: what is read of its result, and a value for each parameter.

CREATE TEMPORARY TABLE good (name text NOT NULL, reads text NOT NULL, parameters jsonb NOT NULL, returns text NOT NULL);
INSERT INTO good (name, reads, returns, parameters)
VALUES
    ('add_job', 'r.is_new', 'true', '{"queue_name": "''mail''", "payload": "''1''", "start_after": "now()", "priority": "1",
        "max_attempts": "2", "unique_key": "''k''", "on_conflict": "''throttle''", "throttle_milliseconds": "9",
        "group_key": "''g''", "timeout_milliseconds": "1000", "timeout_with_result": "''paused''", "headers": "''{}''",
        "workflow": "NULL", "workflow_version": "NULL"}'),
    ('add_jobs', 'cardinality(r)', '1', '{"queue_name": "''mail''", "payloads": "''{1}''", "start_after": "now()",
        "priority": "1", "max_attempts": "2", "unique_keys": "''{k}''", "on_conflict": "''throttle''",
        "throttle_milliseconds": "9", "group_keys": "''{g}''", "timeout_milliseconds": "1000",
        "timeout_with_result": "''paused''", "headers": "''{}''", "workflow": "NULL", "workflow_version": "NULL"}'),
    ('pick_jobs', 'count(*)', '1', '{"queue_names": "''{mail}''", "max_jobs": "1", "worker": "''w''",
        "timeout_milliseconds": "1000", "durable": "true", "ignore_max_concurrency": "false"}'),
    ('release_job', 'r', 'scheduled', '{"job_id": "pg_temp.id(''running'')", "result": "''failed''",
        "lease_token": "pg_temp.token()", "output": "''1''", "error": "''e''", "delay_milliseconds": "1000", "retry": "true"}'),
    ('release_jobs', 'r', '{}', '{"job_ids": "ARRAY[pg_temp.id(''running'')]", "lease_tokens": "ARRAY[pg_temp.token()]",
        "result": "''failed''", "outputs": "''{1}''", "errors": "''{e}''", "delay_milliseconds": "1000", "retry": "true",
        "skip_lost": "false"}'),
    ('release_and_pick', 'count(*)', '1', '{"job_ids": "ARRAY[pg_temp.id(''running'')]",
        "lease_tokens": "ARRAY[pg_temp.token()]", "result": "''failed''", "queue_names": "''{mail}''", "max_jobs": "1",
        "worker": "''w''", "timeout_milliseconds": "1000", "outputs": "''{1}''", "errors": "''{e}''",
        "delay_milliseconds": "1000", "retry": "true", "ignore_max_concurrency": "false"}'),
    ('keep_jobs_alive', 'r.state', 'running', '{"job_ids": "ARRAY[pg_temp.id(''running'')]",
        "lease_tokens": "ARRAY[pg_temp.token()]", "timeout_milliseconds": "1000", "skip_lost": "false"}'),
    ('announce_idle', 'r', 'null', '{"queue_names": "''{mail}''", "worker": "''w''", "idle_milliseconds": "1000"}'),
    ('announce_busy', 'r', '', '{"worker": "''w''"}'),
    ('get_job', 'r.state', 'ready', '{"job_id": "pg_temp.id(''ready'')"}'),
    ('get_jobs', 'count(*)', '1', '{"job_ids": "ARRAY[pg_temp.id(''ready'')]"}'),
    ('list_jobs', 'count(*)', '1',
        '{"queue_name": "''mail''", "state": "''ready''", "before_job_id": "pg_temp.id(''scheduled'')", "max_jobs": "10"}'),
    ('queue_stats', 'r.ready', '1', '{"queue_name": "''mail''"}'),
    ('get_queue_config', 'r.queue_name', 'mail', '{"queue_name": "''mail''"}'),
    ('set_queue_config', 'r.max_attempts', '10', '{"queue_name": "''mail''", "max_concurrency": "1",
        "max_concurrency_per_group": "1", "group_order": "''strict''", "max_attempts": "10", "retry_backoff": "''fixed''",
        "pause_between_retries_milliseconds": "1", "max_pause_between_retries_milliseconds": "1",
        "timeout_milliseconds": "100", "timeout_with_result": "''paused''", "keep_history": "''all''", "history_days": "1",
        "dead_days": "1", "max_payload_bytes": "1024"}'),
    ('pause_queue', 'r', '', '{"queue_name": "''mail''", "paused_until": "now()", "reason": "''x''"}'),
    ('resume_queue', 'r', '', '{"queue_name": "''mail''"}'),
    ('purge_queue', 'r', '2', '{"queue_name": "''mail''"}'),
    ('drop_queue', 'r', '', '{"queue_name": "''mail''", "force": "true"}'),
    ('set_endpoint', 'r.method', 'POST', '{"queue_name": "''mail''", "url": "''https://example.com/''", "is_active": "true",
        "method": "''POST''", "timeout_milliseconds": "1000", "manual_release": "true", "max_in_flight": "1", "headers": "''{}''",
        "bearer_token_location": "''inline''", "client_error_attempts": "1", "max_response_bytes": "1000",
        "is_insecure_allowed": "true"}'),
    ('get_endpoint', 'r.method', 'POST', '{"queue_name": "''mail''"}'),
    ('remove_endpoint', 'r', 'true', '{"queue_name": "''mail''"}'),
    ('set_endpoint_active', 'r', '', '{"queue_name": "''mail''", "is_active": "false"}'),
    ('set_endpoint_bearer_token', 'r', '', '{"queue_name": "''mail''", "token": "''tok-2''"}'),
    ('get_endpoint_bearer_token', 'r', 'tok-1', '{"queue_name": "''mail''"}'),
    ('set_endpoint_signing_secret', 'length(r)', '50',
        '{"queue_name": "''mail''", "secret": "''whsec_'' || encode(sha256(''x''), ''base64'')"}'),
    ('forget_previous_signing_secret', 'r', '', '{"queue_name": "''mail''"}'),
    ('allow_endpoint_host', 'r', '', '{"pattern": "''*.example.com''"}'),
    ('disallow_endpoint_host', 'r', '', '{"pattern": "''*.example.com''"}'),
    ('endpoint_status', 'r.breaker', 'closed', '{"queue_name": "''mail''"}'),
    ('pick_requests', 'count(*)', '1', '{"max_requests": "1", "dispatcher": "''d''", "queue_names": "''{mail}''",
        "max_timeout_milliseconds": "60000", "durable": "true"}'),
    ('answer_requests', 'r.outcome', 'ignored', '{"answers": "''[{\"job_id\": 1, \"lease_token\": 1}]''"}'),
    ('extend_requests', 'r.state', 'lost',
        '{"job_ids": "ARRAY[pg_temp.id(''running'')]", "lease_tokens": "ARRAY[pg_temp.token()]"}'),
    ('cancel_job', 'r', '', '{"job_id": "pg_temp.id(''running'')", "reason": "''x''"}'),
    ('retry_job', 'r', '', '{"job_id": "pg_temp.id(''dead'')", "start_after": "now()"}'),
    ('redrive_jobs', 'r', '1', '{"queue_name": "''mail''", "error_like": "''%PAPER''", "dead_since": "''yesterday''",
        "dead_until": "''tomorrow''", "max_jobs": "10", "preview": "false"}'),
    ('reschedule_job', 'r', '', '{"job_id": "pg_temp.id(''ready'')", "start_after": "now()"}'),
    ('define_workflow', 'r', 'true',
        '{"queue_name": "''mail''", "workflow": "''v''", "version": "1", "steps": "''[{\"id\": \"a\"}]''"}'),
    ('workflow_versions', 'r.step_ids', '{only}', '{"queue_name": "''mail''", "workflow": "''w''"}'),
    ('drop_workflow_version', 'r', '', '{"queue_name": "''mail''", "workflow": "''w''", "version": "2"}'),
    ('get_steps', 'count(*)', '1', '{"job_ids": "ARRAY[pg_temp.id(''running'')]"}'),
    ('finish_step', 'r', 'complete', '{"job_id": "pg_temp.id(''running'')", "lease_token": "pg_temp.token()", "output": "''1''",
        "next": "''{\"complete\": true}''"}'),
    ('finish_steps', 'r.state', 'complete', '{"steps": "jsonb_build_array(jsonb_build_object(''job_id'', pg_temp.id(''running'')))",
        "skip_lost": "false"}'),
    ('remember', 'r IS NOT NULL', 'true', '{"job_id": "pg_temp.id(''running'')", "lease_token": "pg_temp.token()", "name": "''n''",
        "value": "''1''"}'),
    ('signal_job', 'r', 'false', '{"job_id": "pg_temp.id(''running'')", "name": "''s''", "payload": "''1''"}'),
    ('make_signal_token', 'length(r)', '43', '{"job_id": "pg_temp.id(''running'')", "name": "''s''", "valid_milliseconds": "1000"}'),
    ('signal_by_token', 'r > 0', 'true',
        '{"token": "pg_temp.signal_token()", "payload": "''1''"}'),
    ('retry_from_step', 'r', '', '{"job_id": "pg_temp.id(''dead'')", "step": "''only''"}'),
    ('schedule_job', 'r.time_zone', 'Europe/Berlin', '{"name": "''weekly''", "cron": "''@weekly''", "queue_name": "''mail''", "payload": "''1''",
        "time_zone": "''Europe/Berlin''", "overlap": "''allow''", "catch_up": "''all''", "priority": "1", "max_attempts": "2",
        "unique_key": "''k''", "group_key": "''g''", "timeout_milliseconds": "1000", "timeout_with_result": "''paused''",
        "headers": "''{}''", "workflow": "NULL", "workflow_version": "NULL"}'),
    ('unschedule_job', 'r', 'true', '{"name": "''nightly''"}'),
    ('pause_schedule', 'r', 'true', '{"name": "''nightly''"}'),
    ('resume_schedule', 'r', 'true', '{"name": "''nightly''"}'),
    ('list_schedules', 'count(*)', '1', '{"queue_name": "''mail''"}'),
    ('preview_schedule', 'count(*)', '2', '{"cron": "''@daily''", "time_zone": "''Europe/Berlin''", "count": "2", "after": "now()"}'),
    ('start_native_schedules', 'r', format('55000 pg_cron is not installed in this database, or role "%s" may not use it', current_user),
        '{"every_seconds": "10"}'),
    ('add_job_on_change', 'r.problem IS NULL', 'true', '{"name": "''bye''", "table_name": "''customer''", "queue_name": "''mail''",
        "events": "''{update}''", "condition": "''true''", "when_changed": "''{customer_id}''", "payload_columns": "''{customer_id}''",
        "unique_key": "''customer_id''", "on_conflict": "''throttle''", "throttle_milliseconds": "9", "group_key": "''customer_id''",
        "delay_milliseconds": "1000", "priority": "1", "max_attempts": "2", "headers": "''{}''", "workflow": "NULL",
        "workflow_version": "NULL"}'),
    ('remove_job_on_change', 'r', 'true', '{"name": "''welcome''"}'),
    ('list_jobs_on_change', 'count(*)', '1', '{"queue_name": "''mail''"}'),
    ('grant_access', 'r', '', '{"role_name": "''pgq_test_role''", "access": "''worker''", "queue_name": "''mail''"}'),
    ('revoke_access', 'r', '', '{"role_name": "''pgq_test_role''", "access": "''worker''", "queue_name": "''mail''"}');
CREATE TEMPORARY TABLE parameter AS
SELECT p.proname::text AS function, a.name::text AS parameter, format_type(a.type, NULL) AS type
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
CROSS JOIN LATERAL ROWS FROM (unnest(p.proargnames), unnest(p.proargtypes)) AS a (name, type)
WHERE n.nspname = 'pgq' AND p.proname NOT LIKE '\_%' AND p.pronargs > 0 AND p.prokind = 'f';

-- The call of a function, with this value for this parameter.
CREATE FUNCTION pg_temp.call(name text, parameter text DEFAULT NULL, value text DEFAULT NULL)
RETURNS text
LANGUAGE sql
AS $$
    SELECT format('SELECT %s FROM pgq.%I(%s) AS r', g.reads, g.name, string_agg(
        format('%I => %s', p.key, CASE p.key WHEN parameter THEN call.value ELSE p.value END), ', '))
    FROM good AS g CROSS JOIN LATERAL jsonb_each_text(g.parameters) AS p
    WHERE g.name = call.name
    GROUP BY g.name, g.reads
$$;
SELECT set_eq(
    $$ SELECT p.function, p.parameter FROM parameter AS p $$,
    $$ SELECT g.name, k.parameter FROM good AS g CROSS JOIN LATERAL jsonb_object_keys(g.parameters) AS k (parameter) $$,
    'every parameter of every public function is tested here');
SELECT is_empty($$
    SELECT g.name, t.result FROM good AS g CROSS JOIN LATERAL pg_temp.try(pg_temp.call(g.name)) AS t (result)
    WHERE t.result IS DISTINCT FROM g.returns
$$, 'a call with good values for all parameters returns what it should');

-- The values that are tried instead, by type. {} stands for the good value.

CREATE TEMPORARY TABLE odd_value (type text NOT NULL, kind text NOT NULL, value text NOT NULL);
INSERT INTO odd_value (type, kind, value)
SELECT t.type, v.kind, v.value
FROM (VALUES
    ('{integer,bigint,text,name,boolean,jsonb,timestamp with time zone,bigint[],text[],jsonb[]}'::text[], 'a null', 'NULL'),
    ('{integer,bigint}', 'negative', '-1'),
    ('{integer,bigint}', 'zero', '0'),
    ('{integer}', 'largest', '2147483647'),
    ('{integer}', 'smallest', '-2147483648'),
    ('{bigint}', 'largest', '9223372036854775807'),
    ('{bigint}', 'smallest', '-9223372036854775808'),
    ('{text,name}', 'empty', $$''$$),
    ('{text,name}', 'huge', $$repeat('x', 1048576)$$),
    ('{text,name}', 'odd', $$E'it''s "odd" %s \\ {}\n\t🐘'$$),
    ('{jsonb}', 'json null', $$'null'$$),
    ('{jsonb}', 'huge', $$jsonb_build_object('a', repeat('x', 1048576))$$),
    ('{timestamp with time zone}', 'infinity', $$'infinity'$$),
    ('{timestamp with time zone}', '-infinity', $$'-infinity'$$),
    ('{timestamp with time zone}', 'latest', $$'294276-12-31 23:59:59.999999+00'$$),
    ('{timestamp with time zone}', 'earliest', $$'4713-01-01 00:00:00+00 BC'$$),
    ('{regclass}', 'a null', 'NULL'),
    ('{regclass}', 'of nothing', '0'),
    ('{bigint[],text[],jsonb[]}', 'empty', $$'{}'$$),
    ('{bigint[],text[],jsonb[]}', 'null element', $$'{NULL}'$$),
    ('{bigint[],text[],jsonb[]}', 'two dimensions', $$('{' || ({})::text || '}')::{type}$$),
    ('{bigint[],text[],jsonb[]}', 'from zero', $$('[0:0]=' || ({})::text)::{type}$$)
) AS v (types, kind, value)
CROSS JOIN LATERAL unnest(v.types) AS t (type);

-- What they must lead to: "good", which is what the call returns with the good value; an SQLSTATE with an error that
-- names the parameter, or says what is in `says`; or another value. A rule with functions goes before one for all.

CREATE TEMPORARY TABLE rule (parameters text[] NOT NULL, kinds text[] NOT NULL, functions text[], outcome text NOT NULL, says text);
INSERT INTO rule (parameters, kinds, functions, outcome, says)
VALUES
    -- Queues
    ('{queue_name}', '{a null}', NULL, '22004', NULL),
    ('{queue_name}', '{a null}', '{list_jobs,queue_stats,grant_access,revoke_access,endpoint_status,workflow_versions,'
        'list_schedules,list_jobs_on_change}', 'good', NULL),
    ('{queue_name}', '{empty,huge,odd}', NULL, 'JQ001', 'queue "'),
    ('{queue_name}', '{empty,huge}', '{add_job,add_jobs,set_queue_config,grant_access,set_endpoint,define_workflow,'
        'schedule_job,add_job_on_change}', '22023', NULL),
    ('{queue_name}', '{odd}', '{add_job,add_jobs,set_queue_config,grant_access,set_endpoint,define_workflow,'
        'schedule_job,add_job_on_change}', 'good', NULL),
    ('{queue_names}', '{a null}', NULL, '22004', NULL),
    ('{queue_names}', '{a null}', '{pick_requests}', 'good', NULL),
    ('{queue_names}', '{empty,null element}', NULL, '0', NULL),
    ('{queue_names}', '{empty,null element}', '{announce_idle}', 'null', NULL),
    ('{queue_names}', '{two dimensions,from zero}', NULL, 'good', NULL),
    -- What is added
    ('{payload,payloads}', '{a null}', NULL, '22004', NULL),
    ('{payload}', '{json null}', NULL, 'good', NULL),
    ('{payload}', '{a null}', '{signal_job,signal_by_token}', 'good', NULL),
    ('{payload,headers}', '{huge}', NULL, '54000', NULL),
    ('{payloads}', '{empty}', NULL, '22023', 'unique_keys to have 0 elements'),
    ('{payloads}', '{null element}', NULL, '22004', 'every payload'),
    ('{payloads}', '{two dimensions}', NULL, '22023', NULL),
    ('{payloads,unique_keys,group_keys}', '{from zero}', NULL, 'good', NULL),
    ('{headers}', '{a null}', NULL, 'good', NULL),
    ('{headers}', '{json null}', NULL, '22023', NULL),
    ('{start_after}', '{a null,latest,earliest}', NULL, 'good', NULL),
    ('{start_after}', '{a null}', '{reschedule_job}', '22004', NULL),
    ('{start_after}', '{infinity,-infinity}', NULL, '22023', NULL),
    ('{priority}', '{a null}', NULL, '22004', NULL),
    ('{priority}', '{negative,zero}', NULL, 'good', NULL),
    ('{priority}', '{largest,smallest}', NULL, '22023', NULL),
    ('{unique_key}', '{a null}', NULL, '22004', NULL),
    ('{unique_keys}', '{a null}', NULL, '22004', 'a unique_key with on_conflict throttle'),
    ('{unique_keys,group_keys}', '{empty}', NULL, '22023', NULL),
    ('{unique_keys,group_keys}', '{null element,two dimensions}', NULL, 'good', NULL),
    ('{group_key,group_keys}', '{a null}', NULL, 'good', NULL),
    ('{unique_key,group_key}', '{empty,huge}', NULL, '22023', NULL),
    ('{unique_key,group_key}', '{odd}', NULL, 'good', NULL),
    ('{on_conflict,throttle_milliseconds}', '{a null}', NULL, '22004', NULL),
    ('{on_conflict}', '{empty,huge,odd}', NULL, '22023', NULL),
    ('{throttle_milliseconds}', '{negative,zero,largest,smallest}', NULL, '22023', NULL),
    -- Settings
    ('{max_attempts,timeout_milliseconds,history_days,dead_days,max_payload_bytes}',
        '{negative,zero,largest,smallest}', NULL, '22023', NULL),
    ('{max_attempts,timeout_milliseconds,history_days,dead_days,max_payload_bytes,timeout_with_result,group_order,'
        'retry_backoff,keep_history,max_concurrency,max_concurrency_per_group,pause_between_retries_milliseconds,'
        'max_pause_between_retries_milliseconds}', '{a null}', NULL, 'good', NULL),
    ('{timeout_with_result,group_order,retry_backoff,keep_history}', '{empty,huge,odd}', NULL, '22023', NULL),
    ('{max_concurrency,max_concurrency_per_group}', '{zero,largest}', NULL, 'good', NULL),
    ('{max_concurrency,max_concurrency_per_group}', '{negative,smallest}', NULL, '22023', NULL),
    ('{pause_between_retries_milliseconds,max_pause_between_retries_milliseconds}', '{zero}', NULL, 'good', NULL),
    ('{pause_between_retries_milliseconds,max_pause_between_retries_milliseconds}', '{negative,largest,smallest}',
        NULL, '22023', NULL),
    ('{paused_until}', '{a null}', NULL, '22004', NULL),
    ('{paused_until}', '{infinity,-infinity,latest,earliest}', NULL, 'good', NULL),
    ('{reason}', '{a null,empty,huge,odd}', NULL, 'good', NULL),
    ('{force}', '{a null}', NULL, '55000', 'queue "mail" has live jobs'),
    -- Endpoints
    ('{timeout_milliseconds}', '{a null}', '{set_endpoint}', '22004', NULL),
    ('{max_response_bytes}', '{zero}', '{set_endpoint}', 'good', NULL),
    ('{headers}', '{huge}', '{set_endpoint}', '22023', NULL),
    ('{url,method,is_active,manual_release,is_insecure_allowed,max_in_flight,client_error_attempts,max_response_bytes,'
        'bearer_token_location,pattern,answers,max_requests}', '{a null}', NULL, '22004', NULL),
    ('{url,method,token,secret,pattern}', '{empty,huge,odd}', NULL, '22023', NULL),
    ('{bearer_token_location}', '{huge,odd}', NULL, '22023', NULL),
    ('{bearer_token_location}', '{empty}', NULL, 'good', NULL),
    ('{max_in_flight,client_error_attempts,max_requests}', '{negative,zero,largest,smallest}', NULL, '22023', NULL),
    ('{max_response_bytes,max_timeout_milliseconds}', '{negative,smallest}', NULL, '22023', NULL),
    ('{max_response_bytes}', '{largest}', NULL, '22023', NULL),
    ('{max_timeout_milliseconds}', '{zero}', NULL, '22023', NULL),
    ('{max_timeout_milliseconds}', '{a null,largest}', NULL, 'good', NULL),
    ('{token,secret}', '{a null}', NULL, 'good', NULL),
    ('{dispatcher}', '{a null,empty,odd}', NULL, 'good', NULL),
    ('{dispatcher}', '{huge}', NULL, '22023', NULL),
    ('{answers}', '{json null,huge}', NULL, '22023', NULL),
    ('{lease_tokens}', '{a null,null element}', '{extend_requests}', '22004', 'every lease_token'),
    -- Picks
    ('{max_jobs}', '{a null}', NULL, '22004', NULL),
    ('{max_jobs}', '{negative,zero,largest,smallest}', NULL, '22023', NULL),
    ('{max_jobs}', '{a null,largest}', '{redrive_jobs}', 'good', NULL),
    ('{worker}', '{a null,empty,odd}', NULL, 'good', NULL),
    ('{worker}', '{huge}', NULL, '22023', NULL),
    ('{worker}', '{a null}', '{announce_idle,announce_busy}', '22004', NULL),
    ('{worker}', '{empty}', '{announce_idle}', '22023', NULL),
    ('{worker}', '{huge}', '{announce_busy}', 'good', NULL),
    ('{durable,ignore_max_concurrency,skip_lost}', '{a null}', NULL, 'good', NULL),
    ('{idle_milliseconds}', '{a null}', NULL, '22004', NULL),
    ('{idle_milliseconds}', '{zero}', NULL, 'good', NULL),
    ('{idle_milliseconds}', '{negative,largest,smallest}', NULL, '22023', NULL),
    -- Releases
    ('{job_id,job_ids}', '{a null}', NULL, '22004', NULL),
    ('{job_id}', '{negative,zero,largest,smallest}', NULL, 'JQ002', 'job '),
    ('{job_id,lease_token}', '{negative,zero,largest,smallest}', '{release_job}', 'JQ003', 'lease of job '),
    ('{job_ids}', '{empty}', NULL, '22023', 'lease_tokens to have 0 elements'),
    ('{job_ids}', '{null element}', NULL, '22004', 'every job_id'),
    ('{job_ids}', '{empty,null element}', '{get_jobs,get_steps}', '0', NULL),
    ('{job_ids,lease_tokens,outputs,errors}', '{two dimensions}', NULL, '22023', NULL),
    ('{job_ids,lease_tokens,outputs,errors}', '{from zero}', NULL, 'good', NULL),
    ('{lease_token,lease_tokens,output,outputs,error,errors}', '{a null}', NULL, 'good', NULL),
    ('{lease_tokens,outputs,errors}', '{empty}', NULL, '22023', NULL),
    ('{lease_tokens,outputs,errors}', '{null element}', NULL, 'good', NULL),
    ('{output}', '{json null,huge}', NULL, 'good', NULL),
    ('{error}', '{empty,huge,odd}', NULL, 'good', NULL),
    ('{result,retry}', '{a null}', NULL, '22004', NULL),
    ('{result}', '{empty,huge,odd}', NULL, '22023', NULL),
    ('{delay_milliseconds}', '{a null,zero}', NULL, 'good', NULL),
    ('{delay_milliseconds}', '{zero}', '{release_job}', 'ready', NULL),
    ('{delay_milliseconds}', '{negative,largest,smallest}', NULL, '22023', NULL),
    -- Control and status
    ('{error_like,dead_since,dead_until}', '{a null}', NULL, 'good', NULL),
    ('{error_like}', '{empty,huge,odd}', NULL, '0', NULL),
    ('{dead_since}', '{-infinity,earliest}', NULL, 'good', NULL),
    ('{dead_since}', '{infinity,latest}', NULL, '0', NULL),
    ('{dead_until}', '{infinity,latest}', NULL, 'good', NULL),
    ('{dead_until}', '{-infinity,earliest}', NULL, '0', NULL),
    ('{preview}', '{a null}', NULL, '22004', NULL),
    ('{state}', '{a null}', NULL, '5', NULL),
    ('{state}', '{empty,huge,odd}', NULL, '22023', NULL),
    ('{before_job_id}', '{a null,largest}', NULL, 'good', NULL),
    ('{before_job_id}', '{negative,zero,smallest}', NULL, '0', NULL),
    -- Workflows
    ('{workflow}', '{a null}', '{add_job,add_jobs,schedule_job,add_job_on_change}', 'good', NULL),
    ('{workflow}', '{empty,huge,odd}', '{add_job,add_jobs,drop_workflow_version,schedule_job,add_job_on_change}', 'JQ007', 'workflow "'),
    ('{workflow_version}', '{a null}', NULL, 'good', NULL),
    ('{workflow_version}', '{negative,zero,largest,smallest}', NULL, '22004', 'a workflow with workflow_version'),
    ('{workflow,version,steps}', '{a null}', NULL, '22004', NULL),
    ('{workflow}', '{empty,huge}', NULL, '22023', NULL),
    ('{workflow}', '{odd}', NULL, 'good', NULL),
    ('{workflow}', '{a null}', '{workflow_versions}', 'good', NULL),
    ('{workflow}', '{empty,huge,odd}', '{workflow_versions}', 'null', NULL),
    ('{version}', '{negative,zero,smallest}', NULL, '22023', NULL),
    ('{version}', '{largest}', NULL, 'good', NULL),
    ('{version}', '{negative,zero,largest,smallest}', '{drop_workflow_version}', 'JQ007', 'workflow "'),
    ('{steps}', '{json null,huge}', NULL, '22023', NULL),
    ('{job_id,lease_token}', '{negative,zero,largest,smallest}', '{finish_step,remember}', 'JQ003', 'lease of job '),
    ('{lease_token}', '{a null}', '{remember}', '22004', NULL),
    ('{next}', '{a null,json null}', NULL, 'good', NULL),
    ('{next}', '{huge}', NULL, '22023', NULL),
    ('{name}', '{a null}', NULL, '22004', NULL),
    ('{name}', '{empty,huge}', NULL, '22023', NULL),
    ('{name}', '{odd}', NULL, 'good', NULL),
    ('{value}', '{a null,json null}', NULL, 'good', NULL),
    ('{value}', '{huge}', NULL, '54000', NULL),
    ('{valid_milliseconds}', '{a null}', NULL, '22004', NULL),
    ('{valid_milliseconds}', '{negative,zero,largest,smallest}', NULL, '22023', NULL),
    ('{token}', '{a null}', '{signal_by_token}', '22004', NULL),
    ('{token}', '{empty,huge,odd}', '{signal_by_token}', 'JQ008', NULL),
    ('{step}', '{a null}', NULL, 'good', NULL),
    ('{step}', '{empty,huge,odd}', NULL, '22023', NULL),
    -- Schedules and triggers
    ('{cron,time_zone,overlap,catch_up,count,every_seconds,table_name,events}', '{a null}', NULL, '22004', NULL),
    ('{name}', '{empty,huge,odd}', '{unschedule_job,pause_schedule,resume_schedule,remove_job_on_change}', 'false', NULL),
    ('{cron,time_zone,overlap,catch_up}', '{empty,huge,odd}', NULL, '22023', NULL),
    ('{count,every_seconds}', '{negative,zero,largest,smallest}', NULL, '22023', NULL),
    ('{after}', '{a null}', NULL, 'good', NULL),
    ('{after}', '{infinity,-infinity,latest,earliest}', NULL, '22023', NULL),
    ('{unique_key}', '{a null}', '{schedule_job}', 'good', NULL),
    ('{table_name}', '{of nothing}', NULL, '22023', NULL),
    ('{events}', '{empty,null element,two dimensions}', NULL, '22023', NULL),
    ('{when_changed,payload_columns}', '{empty,null element,two dimensions}', NULL, '22023', NULL),
    ('{when_changed,payload_columns}', '{a null}', NULL, 'good', NULL),
    ('{events,when_changed,payload_columns}', '{from zero}', NULL, 'good', NULL),
    ('{condition}', '{a null}', NULL, 'good', NULL),
    ('{condition,unique_key,group_key}', '{empty,odd}', '{add_job_on_change}', '42601', 'at or near'),
    ('{condition,unique_key,group_key}', '{huge}', '{add_job_on_change}', '42703', 'does not exist'),
    ('{headers}', '{huge}', '{add_job_on_change}', 'good', NULL),
    -- Access
    ('{role_name,access}', '{a null}', NULL, '22004', NULL),
    ('{role_name}', '{empty,huge,odd}', NULL, '42704', 'role "'),
    ('{access}', '{empty,huge,odd}', NULL, '22023', NULL);

CREATE TEMPORARY TABLE tried AS
SELECT p.function, p.parameter, v.kind, r.rules, r.outcome, coalesce(r.says, p.parameter) AS says, g.returns,
       pg_temp.try(pg_temp.call(p.function, p.parameter,
           replace(replace(v.value, '({})', format('(%s)::%s', g.parameters ->> p.parameter, p.type)), '{type}', p.type))) AS result
FROM parameter AS p
JOIN good AS g ON g.name = p.function
LEFT JOIN odd_value AS v ON v.type = p.type
LEFT JOIN LATERAL (
    SELECT r.outcome, r.says, count(*) OVER (PARTITION BY r.functions IS NULL) AS rules
    FROM rule AS r
    WHERE p.parameter = ANY (r.parameters) AND v.kind = ANY (r.kinds) AND (r.functions IS NULL OR p.function = ANY (r.functions))
    ORDER BY r.functions IS NULL
    LIMIT 1
) AS r ON true;
SELECT is_empty($$
    SELECT t.function, t.parameter, t.kind, t.result FROM tried AS t WHERE t.rules IS DISTINCT FROM 1
$$, 'one rule says what each odd value of each parameter must lead to');
SELECT cmp_ok((SELECT count(*) FROM tried), '>', 400::bigint, 'hundreds of calls are tried');
SELECT is_empty($$
    SELECT t.function, t.parameter, t.kind, t.outcome, left(t.result, 500)
    FROM tried AS t
    WHERE t.outcome !~ '^([0-9]{5}|JQ[0-9]{3})$'
      AND t.result IS DISTINCT FROM CASE t.outcome WHEN 'good' THEN t.returns ELSE t.outcome END
$$, 'an odd value that is allowed gives the right result');
SELECT is_empty($$
    SELECT t.function, t.parameter, t.kind, t.outcome, left(t.result, 500)
    FROM tried AS t
    WHERE t.outcome ~ '^([0-9]{5}|JQ[0-9]{3})$'
      AND (left(t.result, 6) IS DISTINCT FROM t.outcome || ' ' OR position(t.says IN substr(t.result, 7)) = 0)
$$, 'a bad value gives an error with the right SQLSTATE, which names the parameter or says what is wrong');
SELECT is_empty($$
    SELECT t.function, t.parameter, t.kind, length(t.result)
    FROM tried AS t WHERE length(t.result) > 1000
$$, 'no error repeats a huge value');

-- Lengths, in bytes: the last that is taken, and the first that is not

CREATE FUNCTION pg_temp.try_length(name text, parameter text, bytes integer)
RETURNS text
LANGUAGE sql
AS $$
    SELECT pg_temp.try(pg_temp.call(name, parameter, format(
        CASE p.type WHEN 'text[]' THEN 'ARRAY[%L]' ELSE '%L' END, repeat('é', bytes / 2) || repeat('x', bytes % 2))))
    FROM parameter AS p WHERE p.function = name AND p.parameter = try_length.parameter
$$;
CREATE TEMPORARY TABLE length (function text NOT NULL, parameter text NOT NULL, bytes integer NOT NULL, refusal text NOT NULL);
INSERT INTO length (function, parameter, bytes, refusal)
VALUES
    ('add_job', 'queue_name', 200, 'queue_name to be 1 to 200 bytes long'),
    ('add_jobs', 'queue_name', 200, 'queue_name to be 1 to 200 bytes long'),
    ('set_queue_config', 'queue_name', 200, 'queue_name to be 1 to 200 bytes long'),
    ('grant_access', 'queue_name', 200, 'queue_name to be 1 to 200 bytes long'),
    ('add_job', 'unique_key', 1000, 'unique_key to be 1 to 1000 bytes long'),
    ('add_job', 'group_key', 1000, 'group_key to be 1 to 1000 bytes long'),
    ('add_jobs', 'unique_keys', 1000, 'each of unique_keys to be 1 to 1000 bytes long'),
    ('add_jobs', 'group_keys', 1000, 'each of group_keys to be 1 to 1000 bytes long'),
    ('define_workflow', 'queue_name', 200, 'queue_name to be 1 to 200 bytes long'),
    ('define_workflow', 'workflow', 200, 'workflow to be 1 to 200 bytes long'),
    ('remember', 'name', 200, 'name to be 1 to 200 bytes long'),
    ('signal_job', 'name', 200, 'name to be 1 to 200 bytes long'),
    ('make_signal_token', 'name', 200, 'name to be 1 to 200 bytes long'),
    ('set_endpoint', 'queue_name', 200, 'queue_name to be 1 to 200 bytes long'),
    ('schedule_job', 'name', 200, 'name to be 1 to 200 bytes long'),
    ('add_job_on_change', 'name', 40, 'name to be 1 to 40 bytes long'),
    ('pick_requests', 'dispatcher', 200, 'dispatcher to be at most 200 bytes long'),
    ('pick_jobs', 'worker', 200, 'worker to be at most 200 bytes long'),
    ('release_and_pick', 'worker', 200, 'worker to be at most 200 bytes long'),
    ('announce_idle', 'worker', 200, 'worker to be 1 to 200 bytes long');
SELECT is_empty($$
    SELECT l.function, l.parameter, t.result
    FROM length AS l JOIN good AS g ON g.name = l.function
    CROSS JOIN LATERAL pg_temp.try_length(l.function, l.parameter, l.bytes) AS t (result)
    WHERE t.result IS DISTINCT FROM g.returns
$$, 'a text may be as long as is said, counted in bytes');
SELECT is_empty($$
    SELECT l.function, l.parameter, t.result
    FROM length AS l CROSS JOIN LATERAL pg_temp.try_length(l.function, l.parameter, l.bytes + 1) AS t (result)
    WHERE t.result NOT LIKE format('22023 expected %s, got ''é%%''', l.refusal)
$$, 'and no byte longer');

-- The size of payloads and headers, as stored

CREATE FUNCTION pg_temp.of_size(bytes integer)
RETURNS text
LANGUAGE sql
AS $$ SELECT format('jsonb_build_object(''a'', repeat(''x'', %s))', bytes - 17) $$;
CREATE TEMPORARY TABLE size (function text NOT NULL, parameter text NOT NULL, value text NOT NULL, refusal text NOT NULL);
INSERT INTO size (function, parameter, value, refusal)
VALUES ('add_job', 'payload', '%s', 'payload'), ('add_job', 'headers', '%s', 'headers'),
       ('add_jobs', 'payloads', 'ARRAY[%s]', 'payload'), ('add_jobs', 'headers', '%s', 'headers');
SELECT is(
    pg_temp.try(format('SELECT pg_column_size(%s)', pg_temp.of_size(1048576))), '1048576', 'there is json of a megabyte');
SELECT is_empty($$
    SELECT s.function, s.parameter, b.bytes, t.result
    FROM size AS s JOIN good AS g ON g.name = s.function
    CROSS JOIN unnest(ARRAY[1048575, 1048576]) AS b (bytes)
    CROSS JOIN LATERAL pg_temp.try(pg_temp.call(s.function, s.parameter, format(s.value, pg_temp.of_size(b.bytes)))) AS t (result)
    WHERE t.result IS DISTINCT FROM g.returns
$$, 'a payload, and headers, may have a megabyte each');
SELECT is_empty($$
    SELECT s.function, s.parameter, t.result
    FROM size AS s
    CROSS JOIN LATERAL pg_temp.try(pg_temp.call(s.function, s.parameter, format(s.value, pg_temp.of_size(1048577)))) AS t (result)
    WHERE t.result IS DISTINCT FROM format('54000 %s of 1048577 bytes is too large', s.refusal)
$$, 'and no byte more');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_payload_bytes => 1024); END $$;
SELECT is_empty($$
    SELECT s.function, s.parameter, b.bytes, t.result
    FROM size AS s JOIN good AS g ON g.name = s.function
    CROSS JOIN unnest(ARRAY[1024, 1025]) AS b (bytes)
    CROSS JOIN LATERAL pg_temp.try(pg_temp.call(s.function, s.parameter, format(s.value, pg_temp.of_size(b.bytes)))) AS t (result)
    WHERE t.result IS DISTINCT FROM
        CASE b.bytes WHEN 1024 THEN g.returns ELSE format('54000 %s of 1025 bytes is too large', s.refusal) END
$$, 'a queue may take less');
SELECT is(
    pg_temp.try(format($$ SELECT pgq.add_jobs('mail', ARRAY['1', %s, '2']) $$, pg_temp.of_size(2000))),
    '54000 payload of 2000 bytes is too large', 'the largest payload of a batch counts');
DO $$ BEGIN PERFORM pgq.set_queue_config('mail', max_payload_bytes => 3000000); END $$;
SELECT is(
    pg_temp.try(format($$ SELECT (pgq.add_job('mail', %s)).is_new $$, pg_temp.of_size(3000000))), 'true', 'or more');

-- What goes in comes out, whatever it is

CREATE FUNCTION pg_temp.round_trip(word text, value jsonb)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    v_picked pgq.picked_job;
    v_seen pgq.job_status;
BEGIN
    PERFORM pgq.add_job(word, value, unique_key => word, group_key => word, headers => jsonb_build_object(word, value));
    SELECT p.* INTO v_picked FROM pgq.pick_jobs(ARRAY[word], worker => word) AS p;
    PERFORM pgq.release_job(v_picked.job_id, 'cancelled', v_picked.lease_token, output => value, error => word);
    v_seen := pgq.get_job(v_picked.job_id);
    RETURN jsonb_build_array(v_picked.queue_name, v_picked.group_key, v_seen.queue_name, v_seen.unique_key, v_seen.group_key,
                             v_seen.worker, v_seen.error, v_seen.attempts -> 0 -> 'worker', v_seen.attempts -> 0 -> 'error')
        || jsonb_build_array(v_picked.payload, v_picked.headers -> word, v_seen.payload, v_seen.headers -> word, v_seen.output);
END
$$;
CREATE TEMPORARY TABLE word (word text NOT NULL);
INSERT INTO word (word)
VALUES ('it''s'), ('"quoted"'), (E'back\\slash\\'), (E'two\nlines'), (E'\ttab\r'), ('🐘🏳️‍🌈'), ('Grüße, 世界'), ('עברית'), (' '), ('%s %I %L %%'),
       ('null'), ('NULL'), ('{}'), ('{a,NULL}'), ('$1'), ('$$'), ('--'), ('; DROP TABLE job'), (E'\u0001\u007f'), (E'e\u0301'),
       (repeat('🐘', 50));
SELECT is_empty($$
    SELECT w.word, r.seen
    FROM word AS w CROSS JOIN LATERAL pg_temp.round_trip(w.word, to_jsonb(w.word)) AS r (seen)
    WHERE r.seen IS DISTINCT FROM to_jsonb(array_fill(w.word, ARRAY[14]))
$$, 'names, keys, workers, errors and payloads may be any text');
CREATE TEMPORARY TABLE json (value jsonb NOT NULL);
INSERT INTO json (value)
VALUES ('null'), ('true'), ('false'), ('0'), ('-1.50'), ('1e300'), ('12345678901234567890.123456789'), ('""'), ('[]'), ('{}'),
       ('[null]'), ('{"": null}'), ('[[], {"a": [{}]}]'), ('"\u0001\ud83d\ude00"');
SELECT is_empty($$
    SELECT j.value, r.seen
    FROM json AS j CROSS JOIN LATERAL pg_temp.round_trip('mails', j.value) AS r (seen)
    WHERE r.seen IS DISTINCT FROM
        to_jsonb(array_fill('mails'::text, ARRAY[9])) || to_jsonb(array_fill(j.value, ARRAY[5]))
$$, 'a payload, headers and an output may hold any json, a json null too');

-- Arrays that do not begin at 1, of several elements

CREATE FUNCTION pg_temp.shifted(elements text[], lower_bound integer)
RETURNS text
LANGUAGE sql
AS $$ SELECT format('[%s:%s]=', lower_bound, lower_bound + cardinality(elements) - 1) || elements::text $$;
CREATE TEMPORARY TABLE three AS
SELECT array_agg(p.job_id::text ORDER BY p.job_id) AS job_ids, array_agg(p.lease_token::text ORDER BY p.job_id) AS lease_tokens
FROM (SELECT count(pgq.add_jobs('three', pg_temp.shifted('{1,2,3}', -1)::jsonb[], group_keys => pg_temp.shifted('{x,y,z}', 5)::text[],
                                unique_keys => pg_temp.shifted('{k,NULL,l}', 0)::text[]))) AS a (count)
CROSS JOIN LATERAL pgq.pick_jobs(CASE WHEN a.count = 1 THEN ARRAY['three'] END, 3) AS p;
DO $$ BEGIN
    PERFORM pgq.release_jobs(pg_temp.shifted(t.job_ids[1:2], 0)::bigint[], pg_temp.shifted(t.lease_tokens[1:2], 7)::bigint[],
        'complete', outputs => pg_temp.shifted('{10,20}', -5)::jsonb[])
    FROM three AS t;
    PERFORM pgq.release_jobs(pg_temp.shifted(t.job_ids[3:3], 0)::bigint[], pg_temp.shifted(t.lease_tokens[3:3], 7)::bigint[],
        'complete', outputs => pg_temp.shifted('{30}', -5)::jsonb[])
    FROM three AS t;
END $$;
SELECT results_eq(
    $$ SELECT l.payload, l.group_key, l.unique_key, l.state, l.output FROM pgq.list_jobs('three') AS l $$,
    $$ VALUES ('3'::jsonb, 'z', 'l', 'complete', '30'::jsonb), ('2', 'y', NULL, 'complete', '20'), ('1', 'x', 'k', 'complete', '10') $$,
    'the elements of arrays belong together by their place, wherever the arrays begin');

-- The ends of time

DO $$ BEGIN
    PERFORM pgq.add_job('time', '"earliest"', start_after => '4713-01-01 00:00:00+00 BC');
    PERFORM pgq.add_job('time', '"latest"', start_after => '294276-12-31 23:59:59.999999+00');
END $$;
SELECT row_eq(
    $$ SELECT s.ready, s.scheduled, s.oldest_ready_milliseconds > 200000000000000 FROM pgq.queue_stats('time') AS s $$,
    ROW (1::bigint, 1::bigint, true), 'the statistics can tell the age of a job that is due since the beginning of time');
SELECT results_eq(
    $$ SELECT p.payload #>> '{}' FROM pgq.pick_jobs(ARRAY['time'], 9) AS p $$, ARRAY['earliest'],
    'a job that is due since the beginning of time is picked, one that is due at its end is not');
SELECT is(
    pgq.announce_idle(ARRAY['time'], 'w', 3600000), NULL, 'a worker does not wait for the end of time');

SELECT * FROM finish();
ROLLBACK;
