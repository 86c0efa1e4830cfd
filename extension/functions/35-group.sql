-- Groups: only as many jobs of a group are in line as its limit allows, the others are held. Adds and
-- releases leave hints; a pick takes the hints that are due and lets the next jobs through.

-- Writes: inserts into group_hint.
CREATE OR REPLACE FUNCTION @extschema@._hint_group(queue_id integer, group_key text, due_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
    VALUES (_hint_group.queue_id, _hint_group.group_key, _hint_group.due_at);
END
$$;
COMMENT ON FUNCTION @extschema@._hint_group IS
    'Internal: asks picks to look at this group from due_at on.';

-- Writes: deletes due rows of group_hint.  Locks: these rows, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._take_hints(queue_id integer, max_hints integer)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_mark text := format('pgq.hints_%s_%s', '@extschema@.group_hint'::regclass::oid, queue_id);
    v_from @extschema@.watermark := @extschema@._watermark(v_mark, v_now);
    v_began timestamptz := clock_timestamp();
    v_work bigint := @extschema@._scan_work('@extschema@.group_hint_idx');
    v_took interval;
    v_groups text[];
    v_first_at timestamptz;
BEGIN
    WITH taken AS (
        DELETE FROM @extschema@.group_hint AS h
        WHERE h.ctid = ANY (ARRAY(
            SELECT due.ctid
            FROM @extschema@.group_hint AS due
            WHERE due.queue_id = _take_hints.queue_id
              AND (due.due_at, due.hint_id) >= (v_from.from_at, v_from.from_id)
              AND due.due_at <= v_now
            ORDER BY due.due_at, due.hint_id
            LIMIT _take_hints.max_hints
            FOR UPDATE SKIP LOCKED))
        RETURNING h.group_key, h.due_at
    )
    SELECT array_agg(DISTINCT t.group_key), min(t.due_at) INTO v_groups, v_first_at FROM taken AS t;

    v_took := clock_timestamp() - v_began;
    PERFORM @extschema@._note_scan(v_mark, v_from.is_set,
        @extschema@._is_slow(@extschema@._scan_work('@extschema@.group_hint_idx') - v_work,
            400 + 2 * max_hints, v_took), v_took,
        COALESCE(v_first_at, v_now - interval '100 milliseconds'), 0, v_now);
    RETURN COALESCE(v_groups, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._take_hints IS
    'Internal: takes up to max_hints due hints of the queue and returns their groups, each once.';

-- Writes: job.held_by and job.start_after of the jobs let through.
-- Locks: the caller holds the group's lock; the rows of the held jobs, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._let_group_through(
    queue_id integer,
    group_key text,
    group_limit integer,
    is_strict boolean
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_free integer := 1000;
    v_next tid[];
    v_locked tid[];
BEGIN
    IF group_limit IS NOT NULL THEN
        SELECT group_limit - count(*) INTO v_free
        FROM (SELECT FROM @extschema@.job AS j
              WHERE j.queue_id = _let_group_through.queue_id
                AND j.group_key = _let_group_through.group_key
                AND j.held_by IS NULL
              LIMIT group_limit) AS in_line;
    END IF;
    IF v_free <= 0 THEN
        RETURN 0;
    END IF;

    v_next := ARRAY(
        SELECT j.ctid
        FROM @extschema@.job AS j
        WHERE j.queue_id = _let_group_through.queue_id
          AND j.group_key = _let_group_through.group_key
          AND j.held_by = 'group'
          AND j.start_after <= v_now
        ORDER BY j.priority DESC, j.start_after, j.job_id
        LIMIT v_free);
    IF v_next = '{}' THEN
        RETURN 0;
    END IF;
    v_locked := ARRAY(SELECT j.ctid FROM @extschema@.job AS j WHERE j.ctid = ANY (v_next)
                      FOR UPDATE SKIP LOCKED);
    -- Somebody is changing one of them: its turn is not given to another in a strict line.
    IF v_locked = '{}' OR (is_strict AND cardinality(v_locked) < cardinality(v_next)) THEN
        RETURN -1;
    END IF;
    -- They come to the end of the line of their queue, one after the other: groups take turns.
    UPDATE @extschema@.job AS j
    SET held_by = NULL,
        start_after = v_now - (cardinality(v_next) - array_position(v_next, j.ctid)) * interval '1 microsecond'
    WHERE j.ctid = ANY (v_locked);
    RETURN CASE WHEN cardinality(v_locked) = cardinality(v_next) AND group_limit IS NOT NULL
                THEN cardinality(v_locked) ELSE -cardinality(v_locked) END;
END
$$;
COMMENT ON FUNCTION @extschema@._let_group_through IS
    'Internal: lets as many held jobs of the group into the line as its limit allows; returns their number, negative when there may be more that could not be had now.';

-- Writes: job.held_by and job.start_after of jobs let through; group_hint.
-- Locks: hint rows with SKIP LOCKED; each group's advisory lock, only if it is free at once.
CREATE OR REPLACE FUNCTION @extschema@._let_groups_through(
    queue_id integer,
    group_limit integer,
    is_strict boolean,
    enough integer
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_began timestamptz := clock_timestamp();
    v_lock_space bigint := ('@extschema@.job'::regclass::oid::bigint << 32) + queue_id;
    v_groups text[];
    v_group text;
    v_count integer;
    v_let_through integer := 0;
BEGIN
    IF group_limit IS NOT NULL THEN
        PERFORM @extschema@._require_read_committed();
    END IF;
    -- A flood of hints of groups that have no turn must not hide the others for long: go on
    -- longer as long as nothing is found.
    LOOP
        v_groups := @extschema@._take_hints(queue_id, LEAST(200, GREATEST(20, enough * 2)));
        FOREACH v_group IN ARRAY v_groups LOOP
            IF pg_try_advisory_xact_lock(hashtextextended(v_group, v_lock_space)) THEN
                v_count := @extschema@._let_group_through(queue_id, v_group, group_limit, is_strict);
                v_let_through := v_let_through + abs(v_count);
            ELSE
                v_count := -1;
            END IF;
            IF v_count < 0 THEN
                PERFORM @extschema@._hint_group(queue_id, v_group,
                    @extschema@._now() + interval '5 milliseconds');
            END IF;
        END LOOP;
        EXIT WHEN v_groups = '{}' OR v_let_through >= enough
            OR clock_timestamp() - v_began > CASE v_let_through
                WHEN 0 THEN interval '200 milliseconds' ELSE interval '20 milliseconds' END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._let_groups_through IS
    'Internal: looks at the groups of the queue that have due hints until enough jobs are let through.';

-- Writes: job.held_by; inserts into group_hint.  Locks: the caller has locked the job row.
CREATE OR REPLACE FUNCTION @extschema@._give_way(job_id bigint)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_job record;
BEGIN
    UPDATE @extschema@.job AS j SET held_by = 'group'
    FROM @extschema@.queue AS q
    WHERE j.job_id = _give_way.job_id AND j.group_key IS NOT NULL AND j.held_by IS NULL
      AND q.queue_id = j.queue_id AND q.max_concurrency_per_group IS NOT NULL
      -- In a strict line a job that has failed keeps its turn, whenever it is tried again.
      AND (q.group_order = 'loose' OR j.attempt = 0)
    RETURNING j.queue_id, j.group_key, j.start_after INTO v_job;
    IF FOUND THEN
        PERFORM @extschema@._hint_group(v_job.queue_id, v_job.group_key, @extschema@._now());
        PERFORM @extschema@._hint_group(v_job.queue_id, v_job.group_key, v_job.start_after);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._give_way IS
    'Internal: has a waiting job that was let through, but is put off, give its turn to the next of its group.';

-- Writes: job.held_by, job.start_after; inserts into group_hint.
-- Locks: the rows of the group jobs that wait.
CREATE OR REPLACE FUNCTION @extschema@._apply_group_limit(queue_id integer, group_limit integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
BEGIN
    IF group_limit IS NOT NULL THEN
        -- One that was let through has the time of that: held again, it goes before those that waited.
        UPDATE @extschema@.job AS j SET
            held_by = 'group',
            start_after = CASE WHEN j.attempt = 0 AND j.start_after <= v_now THEN j.added_at ELSE j.start_after END
        WHERE j.queue_id = _apply_group_limit.queue_id AND j.group_key IS NOT NULL
          AND j.held_by IS NULL AND j.lease_token IS NULL;
    END IF;
    -- One for each time at which one of them is due: a job that backs off has no other hint.
    INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
    SELECT DISTINCT _apply_group_limit.queue_id, j.group_key, GREATEST(j.start_after, v_now)
    FROM @extschema@.job AS j
    WHERE j.queue_id = _apply_group_limit.queue_id AND j.group_key IS NOT NULL AND j.held_by = 'group';
    PERFORM @extschema@._wake_workers(ARRAY[queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@._apply_group_limit IS
    'Internal: holds the waiting group jobs of the queue and has their groups looked at under the new limit.';
