-- Access: tables are nobody's, functions are granted by what a role does. All grants are on this page.

CREATE OR REPLACE FUNCTION @extschema@._functions_of(access text)
RETURNS regprocedure[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT p.oid::regprocedure
        FROM pg_proc AS p
        JOIN pg_class AS job ON job.oid = '@extschema@.job'::regclass
        WHERE p.pronamespace = job.relnamespace AND p.proname = ANY (CASE access
            WHEN 'producer' THEN ARRAY['add_job', 'add_jobs', 'signal_job', 'signal_by_token']
            WHEN 'worker' THEN ARRAY['pick_jobs', 'release_job', 'release_jobs', 'release_and_pick',
                'keep_jobs_alive', 'announce_idle', 'announce_busy', 'wake_up_channel', 'maintain',
                'define_workflow', 'get_steps', 'finish_step', 'finish_steps',
                'remember', 'make_signal_token', 'drive_schedules']
            WHEN 'observer' THEN ARRAY['get_job', 'get_jobs', 'list_jobs', 'queue_stats', 'get_queue_config',
                'endpoint_status', 'native_health', 'workflow_versions', 'list_schedules', 'preview_schedule', 'list_jobs_on_change']
            -- The procedure commits, so it cannot run as its owner: it calls the two functions as who calls it.
            WHEN 'dispatcher' THEN ARRAY['pick_requests', 'answer_requests', 'extend_requests', 'endpoint_status',
                'announce_idle', 'announce_busy', 'wake_up_channel', 'maintain', 'drive_schedules', 'run_native_dispatcher',
                '_native_turn', '_native_rest']
            WHEN 'admin' THEN ARRAY['cancel_job', 'retry_job', 'redrive_jobs', 'reschedule_job',
                'set_queue_config', 'pause_queue', 'resume_queue', 'purge_queue', 'drop_queue',
                'set_endpoint', 'get_endpoint', 'remove_endpoint', 'set_endpoint_active',
                'set_endpoint_bearer_token', 'get_endpoint_bearer_token', 'set_endpoint_signing_secret',
                'forget_previous_signing_secret', 'schedule_job', 'unschedule_job', 'pause_schedule',
                'resume_schedule', 'add_job_on_change', 'remove_job_on_change', 'drop_workflow_version', 'retry_from_step']
            WHEN 'any' THEN ARRAY['installed_version', 'error_codes'] END));
END
$$;
COMMENT ON FUNCTION @extschema@._functions_of IS
    'Internal: the functions that an access grants; any stands for those that come with each.';

CREATE OR REPLACE FUNCTION @extschema@._caller()
RETURNS name
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
-- Inside these functions current_user is their owner: the caller is the role that was set, or logged in.
RETURN COALESCE(NULLIF(current_setting('role'), 'none'), session_user);
COMMENT ON FUNCTION @extschema@._caller IS 'Internal: the role that calls a public function.';

CREATE OR REPLACE FUNCTION @extschema@._has_access(queue_id integer, needed_access text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_caller name := @extschema@._caller();
BEGIN
    RETURN pg_has_role(v_caller, current_user, 'USAGE') OR EXISTS (
        SELECT FROM @extschema@.queue_access AS a
        JOIN pg_roles AS r ON r.rolname = a.role_name
        WHERE a.queue_id = _has_access.queue_id
          -- Who dispatches picks, as a worker does.
          AND (a.access IN (needed_access, 'admin') OR (a.access = 'dispatcher' AND needed_access = 'worker'))
          AND pg_has_role(v_caller, r.oid, 'USAGE'));
END
$$;
COMMENT ON FUNCTION @extschema@._has_access IS
    'Internal: whether the caller may do this with a restricted queue: its owner, a role that was granted it, or members of these.';

CREATE OR REPLACE FUNCTION @extschema@._check_access(queue_ids integer[], needed_access text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_name text;
BEGIN
    SELECT q.queue_name INTO v_queue_name
    FROM @extschema@.queue AS q
    WHERE q.queue_id = ANY (queue_ids) AND q.is_restricted
      AND NOT @extschema@._has_access(q.queue_id, needed_access)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no % access to queue "%"', needed_access, v_queue_name
            USING ERRCODE = '42501', HINT = 'grant_access gives a role access to a queue.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_access IS
    'Internal: raises 42501 when one of these queues is restricted and the caller has not this access.';

CREATE OR REPLACE FUNCTION @extschema@._check_access_to(queue_name text, needed_access text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_access(
        ARRAY(SELECT q.queue_id FROM @extschema@.queue AS q WHERE q.queue_name = _check_access_to.queue_name), needed_access);
END
$$;
COMMENT ON FUNCTION @extschema@._check_access_to IS
    'Internal: as _check_access, for a queue by its name, which need not exist.';

CREATE OR REPLACE FUNCTION @extschema@._check_job_access(job_id bigint, needed_access text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(job_id IS NOT NULL, 'job_id', NULL);
    PERFORM @extschema@._check_access(array_agg(DISTINCT j.queue_id), needed_access)
    FROM @extschema@.every_job AS j
    WHERE j.job_id = _check_job_access.job_id
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION @extschema@._check_job_access IS
    'Internal: as _check_access, for the queue of a job.';

-- Writes: grants; queue.is_restricted and queue_access when a queue is named.
CREATE OR REPLACE FUNCTION @extschema@.grant_access(role_name name, access text, queue_name text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_function regprocedure;
BEGIN
    PERFORM @extschema@._check_grant(role_name, access);
    EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %I', role_name);
    FOREACH v_function IN ARRAY @extschema@._functions_of(access) || @extschema@._functions_of('any') LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', v_function, role_name);
    END LOOP;
    IF queue_name IS NOT NULL THEN
        INSERT INTO @extschema@.queue_access (queue_id, role_name, access)
        VALUES (@extschema@._make_queue(queue_name), grant_access.role_name, grant_access.access)
        ON CONFLICT ON CONSTRAINT queue_access_pkey DO NOTHING;
        UPDATE @extschema@.queue AS q SET is_restricted = true
        WHERE q.queue_name = grant_access.queue_name AND NOT q.is_restricted;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.grant_access IS
$$Lets a role use the functions that a producer (adds), a worker (picks, releases, keeps alive), an observer (reads status), a dispatcher (sends jobs to endpoints) or an admin (controls jobs and sets queues and endpoints) needs. With a queue_name the queue becomes restricted: only roles that were granted access to it, and the owner, can use it; the function grants themselves are for all queues that are not restricted.
Errors: 22023 for another access, 42704 for a role that does not exist.$$;

-- Writes: grants; queue_access when a queue is named.
CREATE OR REPLACE FUNCTION @extschema@.revoke_access(role_name name, access text, queue_name text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_function regprocedure;
BEGIN
    PERFORM @extschema@._check_grant(role_name, access);
    IF queue_name IS NULL THEN
        FOREACH v_function IN ARRAY @extschema@._functions_of(access) LOOP
            EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %I', v_function, role_name);
        END LOOP;
        DELETE FROM @extschema@.queue_access AS a
        WHERE a.role_name = revoke_access.role_name AND a.access = revoke_access.access;
    ELSE
        DELETE FROM @extschema@.queue_access AS a
        WHERE a.queue_id = @extschema@._queue_id(queue_name, 'admin')
          AND a.role_name = revoke_access.role_name AND a.access = revoke_access.access;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.revoke_access IS
    'Takes back what grant_access gave: the access to one restricted queue, or, without a queue_name, the functions and the access to all queues. A queue stays restricted.';

CREATE OR REPLACE FUNCTION @extschema@._check_grant(role_name name, access text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(access IN ('producer', 'worker', 'observer', 'dispatcher', 'admin'),
        'access to be one of producer, worker, observer, dispatcher, admin', access);
    PERFORM @extschema@._require(role_name IS NOT NULL, 'role_name', NULL);
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
        RAISE EXCEPTION 'role "%" does not exist', role_name USING ERRCODE = '42704';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_grant IS
    'Internal: raises for arguments of grant_access and revoke_access that make no sense.';

-- Nothing is for everybody. This stands last, after every function has been made. An upgrade looks at new functions only:
-- to revoke in the script of an extension makes what others were granted the extension's own, and pg_dump leaves that out.
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN
        SELECT p.oid
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::regclass
        WHERE p.pronamespace = job.relnamespace
          AND EXISTS (SELECT FROM pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS acl
                      WHERE acl.grantee = 0)
    LOOP
        EXECUTE pg_catalog.format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', v_function);
    END LOOP;
END
$$;
