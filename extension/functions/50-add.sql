-- Add: one job or a batch, in the caller's transaction.

CREATE OR REPLACE FUNCTION @extschema@._check_add(
    start_after timestamptz,
    priority integer,
    max_attempts integer,
    has_key boolean,
    on_conflict text,
    throttle_milliseconds bigint,
    timeout_milliseconds integer,
    timeout_with_result text
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(COALESCE(isfinite(start_after), true),
        'start_after to be a finite time', start_after::text);
    PERFORM @extschema@._require(priority BETWEEN -100 AND 100,
        'priority to be between -100 and 100', priority::text);
    PERFORM @extschema@._require(COALESCE(max_attempts BETWEEN 1 AND 1000, true),
        'max_attempts to be between 1 and 1000', max_attempts::text);
    PERFORM @extschema@._require(on_conflict IN ('skip', 'replace', 'debounce', 'throttle'),
        'on_conflict to be one of skip, replace, debounce, throttle', on_conflict);
    PERFORM @extschema@._require(has_key OR on_conflict = 'skip',
        format('a unique_key with on_conflict %s', on_conflict), NULL);
    PERFORM @extschema@._require(
        CASE on_conflict WHEN 'throttle' THEN throttle_milliseconds BETWEEN 1 AND 31536000000
                         ELSE throttle_milliseconds IS NULL END,
        'throttle_milliseconds to be between 1 and 31536000000 with on_conflict throttle, and null without',
        throttle_milliseconds::text);
    PERFORM @extschema@._require(COALESCE(timeout_milliseconds BETWEEN 100 AND 604800000, true),
        'timeout_milliseconds to be between 100 and 604800000', timeout_milliseconds::text);
    PERFORM @extschema@._require(
        COALESCE(timeout_with_result IN ('failed', 'paused', 'complete', 'cancelled'), true),
        'timeout_with_result to be one of failed, paused, complete, cancelled', timeout_with_result);
END
$$;
COMMENT ON FUNCTION @extschema@._check_add IS
    'Internal: raises 22023 or 22004 for an option of add_job or add_jobs that is out of its range.';

CREATE OR REPLACE FUNCTION @extschema@._check_size(name text, largest_bytes integer, max_bytes integer)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF largest_bytes > max_bytes THEN
        RAISE EXCEPTION '% of % bytes is too large', name, largest_bytes
            USING ERRCODE = '54000',
                  DETAIL = format('The queue takes %s bytes as stored.', max_bytes),
                  HINT = 'Store the data elsewhere and add a reference to it, or set max_payload_bytes of the queue.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_size IS 'Internal: raises 54000 when a payload or headers are too large.';

-- Writes: queue and lane, when they are new.
CREATE OR REPLACE FUNCTION @extschema@._prepare_add(
    queue_name text,
    priority integer,
    payload_bytes integer,
    headers_bytes integer
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue record;
BEGIN
    PERFORM @extschema@._make_queue(queue_name)
    WHERE NOT EXISTS (SELECT FROM @extschema@.queue AS q
                      WHERE q.queue_name = _prepare_add.queue_name AND NOT q.is_dropped);
    SELECT q.queue_id, q.max_payload_bytes, q.is_restricted INTO v_queue
    FROM @extschema@.queue AS q WHERE q.queue_name = _prepare_add.queue_name;
    IF v_queue.is_restricted THEN
        PERFORM @extschema@._check_access(ARRAY[v_queue.queue_id], 'producer');
    END IF;
    PERFORM @extschema@._check_size('payload', payload_bytes, v_queue.max_payload_bytes);
    PERFORM @extschema@._check_size('headers', headers_bytes, v_queue.max_payload_bytes);
    INSERT INTO @extschema@.lane (queue_id, priority)
    SELECT v_queue.queue_id, _prepare_add.priority
    WHERE NOT EXISTS (SELECT FROM @extschema@.lane AS l
                      WHERE l.queue_id = v_queue.queue_id AND l.priority = _prepare_add.priority);
    RETURN v_queue.queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._prepare_add IS
    'Internal: makes the queue and the lane if they are missing and returns the queue_id; raises 42501 or 54000 when the queue does not take such a job.';

-- Writes: inserts into job; lane, unique_key, group_hint and queue when they need it.
-- Locks: nothing, unless unique_key is given: see _claim_key.
CREATE OR REPLACE FUNCTION @extschema@.add_job(
    queue_name text,
    payload jsonb,
    start_after timestamptz DEFAULT NULL,
    priority integer DEFAULT 0,
    max_attempts integer DEFAULT NULL,
    unique_key text DEFAULT NULL,
    on_conflict text DEFAULT 'skip',
    throttle_milliseconds bigint DEFAULT NULL,
    group_key text DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    timeout_with_result text DEFAULT NULL,
    headers jsonb DEFAULT NULL,
    workflow text DEFAULT NULL,
    workflow_version integer DEFAULT NULL
)
RETURNS @extschema@.added_job
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_job_id bigint;
    v_queue_id integer;
    v_held_by text;
    v_has_idle_worker boolean;
    v_claimed @extschema@.added_job;
    v_is_prepared boolean;
    v_first @extschema@.workflow_step;
    v_progress jsonb;
BEGIN
    -- The plain case has a statement of its own: a transaction prepares each column and expression of a statement anew.
    IF payload IS NOT NULL AND priority = 0 AND on_conflict = 'skip'
        AND num_nonnulls(start_after, max_attempts, unique_key, throttle_milliseconds, group_key, timeout_milliseconds,
            timeout_with_result, headers, workflow, workflow_version) = 0
    THEN
        INSERT INTO @extschema@.job AS j (queue_id, priority, start_after, added_at, payload)
        SELECT q.queue_id, 0, v_now, v_now, add_job.payload
        FROM @extschema@.queue AS q
        WHERE q.queue_name = add_job.queue_name AND NOT q.is_dropped AND NOT q.is_restricted
          AND pg_column_size(add_job.payload) <= q.max_payload_bytes
        RETURNING j.job_id, (
            SELECT true FROM @extschema@.idle_worker AS w
            WHERE w.queue_id = j.queue_id AND w.until > v_now LIMIT 1)
        INTO v_job_id, v_has_idle_worker;
    ELSE
        PERFORM @extschema@._check_add(start_after, priority, max_attempts, unique_key IS NOT NULL, on_conflict,
            throttle_milliseconds, timeout_milliseconds, timeout_with_result);
        PERFORM @extschema@._require(payload IS NOT NULL, 'payload', payload::text);
        PERFORM @extschema@._require(jsonb_typeof(headers) = 'object' OR headers IS NULL,
            'headers to be a json object', headers::text);
        PERFORM @extschema@._check_keys('unique_key', ARRAY[unique_key]);
        PERFORM @extschema@._check_keys('group_key', ARRAY[group_key]);
        PERFORM @extschema@._require(workflow IS NOT NULL OR workflow_version IS NULL,
            'a workflow with workflow_version', workflow);
        IF workflow IS NOT NULL THEN
            v_first := @extschema@._first_step(
                @extschema@._prepare_add(queue_name, priority, pg_column_size(payload), pg_column_size(headers)),
                workflow, workflow_version);
            v_progress := @extschema@._own_settings(max_attempts, timeout_milliseconds, timeout_with_result);
            max_attempts := COALESCE(v_first.max_attempts, max_attempts);
            timeout_milliseconds := COALESCE(v_first.timeout_milliseconds, timeout_milliseconds);
            timeout_with_result := COALESCE(v_first.timeout_with_result, timeout_with_result);
        END IF;
        IF unique_key IS NOT NULL THEN
            v_claimed := @extschema@._claim_key(
                @extschema@._prepare_add(queue_name, priority, pg_column_size(payload), pg_column_size(headers)),
                unique_key, on_conflict, throttle_milliseconds, payload, headers, start_after, first_step => v_first);
            IF NOT v_claimed.is_new THEN
                RETURN v_claimed;
            END IF;
        END IF;
    END IF;

    WHILE v_job_id IS NULL LOOP
        INSERT INTO @extschema@.job AS j (
            job_id, queue_id, priority, start_after, added_at, max_attempts, held_by, group_key, unique_key,
            timeout_milliseconds, timeout_with_result, workflow, workflow_version, step, headers, progress, payload)
        OVERRIDING SYSTEM VALUE
        SELECT COALESCE(v_claimed.job_id, nextval('@extschema@.job_job_id_seq'::regclass)),
            q.queue_id, add_job.priority, COALESCE(add_job.start_after, v_now), v_now, add_job.max_attempts,
            CASE WHEN add_job.group_key IS NOT NULL AND q.max_concurrency_per_group IS NOT NULL THEN 'group' END,
            add_job.group_key, add_job.unique_key, add_job.timeout_milliseconds,
            add_job.timeout_with_result, add_job.workflow, v_first.version, v_first.step, add_job.headers,
            v_progress, add_job.payload
        FROM @extschema@.queue AS q
        WHERE q.queue_name = add_job.queue_name
          AND (v_is_prepared OR (
              NOT q.is_dropped AND NOT q.is_restricted
              AND GREATEST(pg_column_size(add_job.payload), pg_column_size(add_job.headers)) <= q.max_payload_bytes
              -- A queue is made with the lane of priority 0.
              AND (add_job.priority = 0 OR (
                  SELECT true FROM @extschema@.lane AS l
                  WHERE l.queue_id = q.queue_id AND l.priority = add_job.priority LIMIT 1))))
        RETURNING j.job_id, j.queue_id, j.held_by,
            (SELECT true FROM @extschema@.idle_worker AS w
             WHERE w.queue_id = j.queue_id AND w.until > GREATEST(v_now, j.start_after) LIMIT 1)
        INTO v_job_id, v_queue_id, v_held_by, v_has_idle_worker;
        IF v_job_id IS NULL THEN
            -- The queue or the lane is missing, or the queue does not take this job.
            PERFORM @extschema@._prepare_add(
                queue_name, priority, pg_column_size(payload), pg_column_size(headers));
            v_is_prepared := true;
        ELSIF v_held_by IS NOT NULL THEN
            PERFORM @extschema@._hint_group(v_queue_id, group_key, COALESCE(start_after, v_now));
        END IF;
    END LOOP;
    IF v_has_idle_worker THEN
        PERFORM pg_notify(@extschema@._channel(), queue_name);
    END IF;
    RETURN (v_job_id, true)::@extschema@.added_job;
END
$$;
COMMENT ON FUNCTION @extschema@.add_job IS
$$Adds a job to a queue, which is made if it does not exist. Returns job_id and is_new.
payload: any json value. start_after: not to be picked before; default now. priority: -100 to 100, higher first, default 0.
max_attempts: attempts in all, 1 to 1000, default the queue's. headers: a json object that goes with the job, such as a traceparent.
unique_key (1 to 1000 bytes): at most one job that waits holds it in the queue; on_conflict says what happens to the job that is added while another holds the key:
skip: it is not added (the default). replace: the waiting job gets its payload and headers, and its start_after if given. debounce: the same, and start_after moves to the given time, never earlier than it was. throttle: as skip, and the key holds for throttle_milliseconds (1 to 31536000000) after the job ended. A job that runs already cannot be replaced: replace and debounce then add a new one, which gets the key.
group_key (1 to 1000 bytes): the group whose limit is the queue's max_concurrency_per_group.
timeout_milliseconds (100 to 604800000) and timeout_with_result (failed, paused, complete, cancelled): the job's own lease; default the queue's.
workflow: the job is a run of this workflow, in workflow_version, default the highest that is defined. Of max_attempts, timeout_milliseconds and timeout_with_result those of the step come before those given here.
Errors: 22004 for a null and 22023 for a value out of range, JQ007 for a workflow that is not defined, 54000 for a payload or headers above the queue's max_payload_bytes.$$;

-- Writes: inserts into job; lane, unique_key, group_hint and queue when they need it.
-- Locks: nothing, unless unique_keys are given: their rows in the order of the keys.
CREATE OR REPLACE FUNCTION @extschema@.add_jobs(
    queue_name text,
    payloads jsonb[],
    start_after timestamptz DEFAULT NULL,
    priority integer DEFAULT 0,
    max_attempts integer DEFAULT NULL,
    unique_keys text[] DEFAULT NULL,
    on_conflict text DEFAULT 'skip',
    throttle_milliseconds bigint DEFAULT NULL,
    group_keys text[] DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    timeout_with_result text DEFAULT NULL,
    headers jsonb DEFAULT NULL,
    workflow text DEFAULT NULL,
    workflow_version integer DEFAULT NULL
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_id integer;
    v_count integer := cardinality(payloads);
    v_job_ids bigint[];
    v_first @extschema@.workflow_step;
BEGIN
    PERFORM @extschema@._require(payloads IS NOT NULL, 'payloads', NULL);
    PERFORM @extschema@._require(COALESCE(array_ndims(payloads), 1) = 1,
        'payloads to have one dimension', array_dims(payloads));
    PERFORM @extschema@._require(unique_keys IS NULL OR cardinality(unique_keys) = v_count,
        format('unique_keys to have %s elements', v_count), cardinality(unique_keys)::text);
    PERFORM @extschema@._require(group_keys IS NULL OR cardinality(group_keys) = v_count,
        format('group_keys to have %s elements', v_count), cardinality(group_keys)::text);
    PERFORM @extschema@._check_add(start_after, priority, max_attempts, unique_keys IS NOT NULL, on_conflict,
        throttle_milliseconds, timeout_milliseconds, timeout_with_result);
    PERFORM @extschema@._require(jsonb_typeof(headers) = 'object' OR headers IS NULL,
        'headers to be a json object', headers::text);
    PERFORM @extschema@._require(array_position(payloads, NULL) IS NULL, 'every payload', NULL);
    PERFORM @extschema@._check_keys('each of unique_keys', unique_keys);
    PERFORM @extschema@._check_keys('each of group_keys', group_keys);
    PERFORM @extschema@._require(workflow IS NOT NULL OR workflow_version IS NULL,
        'a workflow with workflow_version', workflow);

    v_queue_id := @extschema@._prepare_add(queue_name, priority,
        -- Unnested where it is selected, because a function in FROM would store them all first.
        (SELECT max(pg_column_size(p.payload)) FROM (SELECT unnest(payloads) AS payload) AS p), pg_column_size(headers));
    IF v_count = 0 THEN
        RETURN ARRAY[]::bigint[];
    END IF;
    IF workflow IS NOT NULL THEN
        v_first := @extschema@._first_step(v_queue_id, workflow, workflow_version);
    END IF;
    IF unique_keys IS NOT NULL THEN
        v_job_ids := @extschema@._claim_keys(v_queue_id, unique_keys, on_conflict,
            throttle_milliseconds, payloads, headers, start_after, v_first);
    END IF;
    v_job_ids := @extschema@._insert_jobs(v_queue_id, v_job_ids, payloads, unique_keys, group_keys,
        COALESCE(start_after, v_now), v_now, priority, max_attempts, timeout_milliseconds,
        timeout_with_result, headers, v_first);
    PERFORM @extschema@._wake_workers(ARRAY[v_queue_id], start_after);
    RETURN v_job_ids;
END
$$;
COMMENT ON FUNCTION @extschema@.add_jobs IS
    'Adds a job for each payload in one call; returns their ids in the order of the payloads. unique_keys and group_keys have one element, or null, for each payload; the other options are those of add_job and are the same for all. A payload whose unique_key is held gives the id of the job that holds it. Errors: as add_job; then nothing is added.';

CREATE OR REPLACE FUNCTION @extschema@._check_keys(name text, keys text[])
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_bad text;
BEGIN
    SELECT k.key INTO v_bad FROM unnest(keys) AS k (key) WHERE octet_length(k.key) NOT BETWEEN 1 AND 1000 LIMIT 1;
    IF FOUND THEN
        PERFORM @extschema@._require(false, format('%s to be 1 to 1000 bytes long', name), v_bad);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_keys IS 'Internal: raises 22023 for a unique_key or group_key of a wrong length.';

-- Writes: inserts into job and group_hint.
CREATE OR REPLACE FUNCTION @extschema@._insert_jobs(
    queue_id integer,
    claimed_ids bigint[],
    payloads jsonb[],
    unique_keys text[],
    group_keys text[],
    start_after timestamptz,
    added_at timestamptz,
    priority integer,
    max_attempts integer,
    timeout_milliseconds integer,
    timeout_with_result text,
    headers jsonb,
    first_step @extschema@.workflow_step DEFAULT NULL
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job_ids bigint[];
    v_holds_groups boolean;
    v_progress jsonb;
BEGIN
    IF first_step.step IS NOT NULL THEN
        v_progress := @extschema@._own_settings(max_attempts, timeout_milliseconds, timeout_with_result);
        max_attempts := COALESCE(first_step.max_attempts, max_attempts);
        timeout_milliseconds := COALESCE(first_step.timeout_milliseconds, timeout_milliseconds);
        timeout_with_result := COALESCE(first_step.timeout_with_result, timeout_with_result);
    END IF;
    IF claimed_ids IS NULL AND group_keys IS NULL THEN
        WITH new AS (
            INSERT INTO @extschema@.job AS j (
                queue_id, priority, start_after, added_at, max_attempts, timeout_milliseconds,
                timeout_with_result, workflow, workflow_version, step, headers, progress, payload)
            SELECT _insert_jobs.queue_id, _insert_jobs.priority, _insert_jobs.start_after,
                _insert_jobs.added_at, _insert_jobs.max_attempts, _insert_jobs.timeout_milliseconds,
                _insert_jobs.timeout_with_result, first_step.workflow, first_step.version, first_step.step,
                _insert_jobs.headers, v_progress, p.payload
            -- Unnested where it is selected, as in add_jobs.
            FROM (SELECT unnest(payloads) AS payload) AS p
            RETURNING j.job_id
        )
        -- In the order of the payloads: rows are returned as they are inserted.
        SELECT array_agg(n.job_id) INTO v_job_ids FROM new AS n;
        RETURN v_job_ids;
    END IF;

    SELECT q.max_concurrency_per_group IS NOT NULL INTO v_holds_groups
    FROM @extschema@.queue AS q WHERE q.queue_id = _insert_jobs.queue_id;
    -- A negative id is that of a job that holds the key already: nothing is inserted for it.
    v_job_ids := COALESCE(claimed_ids, ARRAY(
        SELECT nextval('@extschema@.job_job_id_seq'::regclass)
        FROM generate_series(1, cardinality(payloads))));
    INSERT INTO @extschema@.job (
        job_id, queue_id, priority, start_after, added_at, max_attempts, held_by, group_key, unique_key,
        timeout_milliseconds, timeout_with_result, workflow, workflow_version, step, headers, progress, payload)
    OVERRIDING SYSTEM VALUE
    SELECT p.job_id, _insert_jobs.queue_id, _insert_jobs.priority, _insert_jobs.start_after,
        _insert_jobs.added_at, _insert_jobs.max_attempts,
        CASE WHEN v_holds_groups AND p.group_key IS NOT NULL THEN 'group' END, p.group_key, p.unique_key,
        _insert_jobs.timeout_milliseconds, _insert_jobs.timeout_with_result, first_step.workflow,
        first_step.version, first_step.step, _insert_jobs.headers, v_progress, p.payload
    FROM unnest(v_job_ids, payloads, unique_keys, group_keys) AS p (job_id, payload, unique_key, group_key)
    WHERE p.job_id > 0;
    IF v_holds_groups THEN
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT DISTINCT _insert_jobs.queue_id, p.group_key, _insert_jobs.start_after
        FROM unnest(group_keys) AS p (group_key)
        WHERE p.group_key IS NOT NULL;
    END IF;
    RETURN ARRAY(SELECT abs(i.job_id) FROM unnest(v_job_ids) WITH ORDINALITY AS i (job_id, place)
                 ORDER BY i.place);
END
$$;
COMMENT ON FUNCTION @extschema@._insert_jobs IS
    'Internal: inserts a job for each payload and returns the ids; claimed_ids are those that _claim_keys gave, first_step is where they begin if they are runs.';
