-- The dispatcher inside Postgres: pg_cron runs its loop, pg_net carries the requests. What to send and what an answer means
-- is decided by pick_requests and answer_requests, as for every dispatcher. Both extensions may be missing, or come later,
-- so they are called by dynamic SQL. pg_net loses requests and answers, sends some twice, and forgets its ids in a crash:
-- each case ends in an attempt that is made again.

CREATE OR REPLACE FUNCTION @extschema@._native_dispatcher()
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN 'pg_net'::text;
COMMENT ON FUNCTION @extschema@._native_dispatcher IS
    'Internal: the name of the native dispatcher in request and in the history of jobs. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._native_worker_pid()
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
-- Who may not see the type of another's process sees its application_name.
RETURN (
    SELECT a.pid FROM pg_stat_activity AS a
    WHERE a.datname = current_database()
      AND (a.backend_type LIKE 'pg_net%' OR a.application_name LIKE 'pg_net%')
    ORDER BY a.pid LIMIT 1);
COMMENT ON FUNCTION @extschema@._native_worker_pid IS
    'Internal: the process of pg_net''s worker in this database, null when there is none.';

CREATE OR REPLACE FUNCTION @extschema@._native_batch()
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
RETURN GREATEST(COALESCE(NULLIF(current_setting('pg_net.batch_size', true), '')::integer, 200), 1);
COMMENT ON FUNCTION @extschema@._native_batch IS 'Internal: how many requests pg_net sends at once.';

-- By the catalog, because to_regclass raises where the schema may not be used.
CREATE OR REPLACE FUNCTION @extschema@._native_queue_oid()
RETURNS oid
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'net' AND c.relname = 'http_request_queue');
COMMENT ON FUNCTION @extschema@._native_queue_oid IS
    'Internal: the table in which pg_net''s requests wait, null when pg_net is not installed.';

CREATE OR REPLACE FUNCTION @extschema@._native_trouble()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_database text := current_setting('pg_net.database_name', true);
BEGIN
    IF @extschema@._native_queue_oid() IS NULL THEN
        RETURN 'pg_net is not installed in this database';
    ELSIF NOT has_schema_privilege('net', 'USAGE') THEN
        RETURN format('role "%s" may not use pg_net (schema net)', current_user);
    ELSIF to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') IS NULL
       OR to_regprocedure('net.http_get(text,jsonb,jsonb,integer)') IS NULL
       OR to_regclass('net._http_response') IS NULL THEN
        RETURN 'this version of pg_net is not supported: 0.7 is the first that is';
    ELSIF NOT has_table_privilege('net._http_response', 'SELECT')
       OR NOT has_table_privilege('net.http_request_queue', 'SELECT') THEN
        RETURN format('role "%s" may not read the tables of pg_net', current_user);
    ELSIF COALESCE(current_setting('pg_net.batch_size', true), '') = '' THEN
        RETURN 'pg_net is not in shared_preload_libraries';
    ELSIF COALESCE(NULLIF(v_database, ''), 'postgres') <> current_database() THEN
        RETURN format('pg_net works in database "%s" (pg_net.database_name), not in this one', v_database);
    ELSIF @extschema@._native_worker_pid() IS NULL THEN
        RETURN 'the worker of pg_net is not running';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._native_trouble IS
    'Internal: why pg_net can send nothing now; null when it can.';

-- Writes: native_epoch, native_request; what answer_requests writes.  Locks: as answer_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_boot()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_oid oid := COALESCE(@extschema@._native_queue_oid(), 0);
    v_lost jsonb;
BEGIN
    INSERT INTO @extschema@.native_epoch AS e (queue_oid, begun_at, turn_at)
    VALUES (v_queue_oid, v_now, v_now)
    ON CONFLICT ON CONSTRAINT native_epoch_pkey DO UPDATE
    SET queue_oid = EXCLUDED.queue_oid, begun_at = EXCLUDED.begun_at
    WHERE e.queue_oid <> EXCLUDED.queue_oid;
    IF FOUND THEN
        -- pg_net was dropped and made anew, or these rows come from a dump: its ids mean something else now.
        DELETE FROM @extschema@.native_request AS n WHERE true;
    END IF;
    -- Both rows of a request were written in one transaction, so one without the other was lost in a crash.
    SELECT jsonb_agg(jsonb_build_object('job_id', r.job_id, 'lease_token', r.lease_token, 'lost', true))
    INTO v_lost
    FROM @extschema@.request AS r
    WHERE r.dispatcher = @extschema@._native_dispatcher()
      AND NOT EXISTS (SELECT FROM @extschema@.native_request AS n
                      WHERE n.job_id = r.job_id AND n.lease_token = r.lease_token);
    IF v_lost IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM @extschema@.answer_requests(v_lost);
    RETURN jsonb_array_length(v_lost);
END
$$;
COMMENT ON FUNCTION @extschema@._native_boot IS
    'Internal: has the jobs tried again whose requests pg_net has lost in a crash; returns their number.';

-- Writes: native_request.seen_at, worker_pid, restarts; deletes from native_request and net.http_request_queue; what
-- extend_requests and answer_requests write.  Locks: as these.
CREATE OR REPLACE FUNCTION @extschema@._native_sweep()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    c_most_restarts constant integer := 3;
    v_now timestamptz := @extschema@._now();
    v_worker_pid integer := @extschema@._native_worker_pid();
    v_waiting bigint[];
    v_gone bigint[];
    v_stuck bigint[];
    v_cancelled bigint[];
    v_stale bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.native_request AS n WHERE n.sent_at <= v_now - interval '3 seconds') THEN
        RETURN 0;
    END IF;
    -- Not in the queue can mean under way, in some versions: only time tells it from lost.
    EXECUTE format($sql$
        SELECT COALESCE(array_agg(n.request_id) FILTER (WHERE q.id IS NOT NULL), '{}'),
               COALESCE(array_agg(n.request_id) FILTER (
                   WHERE q.id IS NULL
                     AND n.seen_at <= $1 - n.timeout_milliseconds * interval '1 millisecond' - interval '20 seconds'), '{}')
        FROM @extschema@.native_request AS n
        LEFT JOIN %I.http_request_queue AS q ON q.id = n.request_id
        WHERE n.sent_at <= $1 - interval '3 seconds' $sql$, 'net')
    INTO v_waiting, v_gone USING v_now;

    UPDATE @extschema@.native_request AS n
    SET restarts = n.restarts + CASE WHEN n.worker_pid <> v_worker_pid THEN 1 ELSE 0 END, worker_pid = v_worker_pid
    WHERE n.request_id = ANY (v_waiting) AND n.worker_pid IS DISTINCT FROM v_worker_pid AND v_worker_pid IS NOT NULL;
    v_stuck := @extschema@._native_withdraw(ARRAY(
        SELECT n.request_id FROM @extschema@.native_request AS n
        WHERE n.request_id = ANY (v_waiting) AND n.restarts >= c_most_restarts));
    v_cancelled := @extschema@._native_withdraw(@extschema@._native_extend(v_waiting, v_now));
    -- Endpoints refuse a signature that is minutes old: pg_net is down, or busy with others. (What it sends now is locked.)
    v_stale := @extschema@._native_withdraw(ARRAY(
        SELECT n.request_id FROM @extschema@.native_request AS n
        WHERE n.request_id = ANY (v_waiting) AND n.sent_at <= v_now - interval '1 minute'));
    RETURN @extschema@._native_give_up(v_stuck, '{"error": "the worker of pg_net fails while it sends it"}')
         + @extschema@._native_give_up(v_cancelled || v_stale, '{"given_back": true}')
         + @extschema@._native_give_up(@extschema@._native_unanswered(v_gone), '{"lost": true}');
END
$$;
COMMENT ON FUNCTION @extschema@._native_sweep IS
    'Internal: looks after requests that take long: keeps those alive that wait in pg_net, takes those out that wait for a minute, whose jobs are cancelled, or that make its worker fail, and has those sent again that are lost. Returns the number of those that are over.';

-- Writes: native_request.seen_at; what extend_requests writes.  Locks: as extend_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_extend(request_ids bigint[], at timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ids bigint[];
    v_job_ids bigint[];
    v_lease_tokens bigint[];
    v_lost bigint[];
BEGIN
    -- A lease has 30 seconds to spare.
    WITH seen AS (
        UPDATE @extschema@.native_request AS n SET seen_at = _native_extend.at
        WHERE n.request_id = ANY (request_ids) AND n.seen_at <= _native_extend.at - interval '8 seconds'
        RETURNING n.request_id, n.job_id, n.lease_token
    )
    SELECT array_agg(s.request_id), array_agg(s.job_id), array_agg(s.lease_token)
    INTO v_ids, v_job_ids, v_lease_tokens
    FROM seen AS s;
    IF v_ids IS NULL THEN
        RETURN ARRAY[]::bigint[];
    END IF;
    v_lost := ARRAY(SELECT e.job_id FROM @extschema@.extend_requests(v_job_ids, v_lease_tokens) AS e
                    WHERE e.state <> 'running');
    RETURN ARRAY(SELECT s.request_id FROM unnest(v_ids, v_job_ids) AS s (request_id, job_id)
                 WHERE s.job_id = ANY (v_lost));
END
$$;
COMMENT ON FUNCTION @extschema@._native_extend IS
    'Internal: extends the leases of requests that wait in pg_net; returns those whose lease is gone, because the job was cancelled or timed out.';

-- Writes: deletes from net.http_request_queue.  Locks: its rows, with SKIP LOCKED: those that are being sent are left.
CREATE OR REPLACE FUNCTION @extschema@._native_withdraw(request_ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
DECLARE
    v_withdrawn bigint[];
BEGIN
    -- (A list of privileges asks for any of them.)
    IF request_ids <> '{}' AND has_table_privilege('net.http_request_queue', 'SELECT')
       AND has_table_privilege('net.http_request_queue', 'UPDATE') AND has_table_privilege('net.http_request_queue', 'DELETE') THEN
        EXECUTE format($sql$
            WITH gone AS (
                DELETE FROM %1$I.http_request_queue AS q
                WHERE q.ctid = ANY (ARRAY(
                    SELECT mine.ctid FROM %1$I.http_request_queue AS mine
                    WHERE mine.id = ANY ($1) FOR UPDATE SKIP LOCKED))
                RETURNING q.id
            )
            SELECT array_agg(g.id) FROM gone AS g $sql$, 'net')
        INTO v_withdrawn USING request_ids;
    END IF;
    RETURN COALESCE(v_withdrawn, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._native_withdraw IS
    'Internal: takes those of these requests out of pg_net''s queue that are not being sent; returns them.';

CREATE OR REPLACE FUNCTION @extschema@._native_unanswered(request_ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_answered bigint[];
BEGIN
    IF request_ids = '{}' THEN
        RETURN request_ids;
    END IF;
    EXECUTE format($sql$
        SELECT array_agg(r.id) FROM %I._http_response AS r
        WHERE r.id = ANY ($1)
          AND r.created >= (SELECT min(n.sent_at) FROM @extschema@.native_request AS n WHERE n.request_id = ANY ($1))
                           - interval '1 minute' $sql$, 'net')
    INTO v_answered USING request_ids;
    RETURN ARRAY(SELECT g.id FROM unnest(request_ids) AS g (id)
                 WHERE g.id <> ALL (COALESCE(v_answered, '{}')));
END
$$;
COMMENT ON FUNCTION @extschema@._native_unanswered IS
    'Internal: those of these requests for which no answer waits to be taken.';

-- Writes: deletes from native_request; what answer_requests writes.  Locks: as answer_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_give_up(request_ids bigint[], answer jsonb)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_answers jsonb;
BEGIN
    WITH gone AS (
        DELETE FROM @extschema@.native_request AS n
        WHERE n.request_id = ANY (request_ids)
        RETURNING n.job_id, n.lease_token
    )
    SELECT jsonb_agg(jsonb_build_object('job_id', g.job_id, 'lease_token', g.lease_token) || _native_give_up.answer)
    INTO v_answers
    FROM gone AS g;
    IF v_answers IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM @extschema@.answer_requests(v_answers);
    RETURN jsonb_array_length(v_answers);
END
$$;
COMMENT ON FUNCTION @extschema@._native_give_up IS
    'Internal: reports the same answer for each of these requests, for which none will come; returns their number.';
