-- Waits: runs that are held until their children are finished or a signal has come. Who causes that leaves a hint and
-- locks nothing; a pick takes the hints that are due and lets the runs through.

-- Writes: run_hint; queue.has_waits the first time.  Locks: the queue's row, the first time.
CREATE OR REPLACE FUNCTION @extschema@._hint_run(queue_id integer, job_id bigint, due_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.queue AS q SET has_waits = true WHERE q.queue_id = _hint_run.queue_id AND NOT q.has_waits;
    INSERT INTO @extschema@.run_hint (queue_id, job_id, due_at)
    VALUES (_hint_run.queue_id, _hint_run.job_id, _hint_run.due_at);
    PERFORM @extschema@._wake_workers(ARRAY[queue_id], due_at);
END
$$;
COMMENT ON FUNCTION @extschema@._hint_run IS
    'Internal: asks picks to look at this run from due_at on.';

-- Writes: run_wait, run_hint, what _start_children writes; queue.has_waits the first time.
-- Locks: the caller has locked the job rows; the queue's row, the first time.
CREATE OR REPLACE FUNCTION @extschema@._begin_waits(job_ids bigint[], nexts jsonb[], begun_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_mergejoin = off
AS $$
DECLARE
    v_parents record;
BEGIN
    UPDATE @extschema@.queue AS q SET has_waits = true
    WHERE NOT q.has_waits
      AND q.queue_id IN (SELECT j.queue_id FROM @extschema@.job AS j WHERE j.job_id = ANY (job_ids));
    WITH begun AS (
        INSERT INTO @extschema@.run_wait AS w (job_id, queue_id, signal, due_at)
        SELECT j.job_id, j.queue_id, g.next ->> 'signal',
               begun_at + (g.next ->> 'timeout_milliseconds')::bigint * interval '1 millisecond'
        FROM @extschema@.job AS j
        JOIN unnest(job_ids, nexts) AS g (job_id, next) ON g.job_id = j.job_id
        WHERE j.job_id = ANY (job_ids) AND g.next ? 'signal'
        RETURNING w.job_id, w.queue_id, w.due_at
    )
    -- It may have come already; and it may not come in time.
    INSERT INTO @extschema@.run_hint (queue_id, job_id, due_at)
    SELECT b.queue_id, b.job_id, d.due_at
    FROM begun AS b
    CROSS JOIN LATERAL (VALUES (begun_at), (b.due_at)) AS d (due_at)
    WHERE d.due_at IS NOT NULL;

    SELECT array_agg(g.job_id) AS job_ids, array_agg(g.next) AS nexts INTO v_parents
    FROM unnest(job_ids, nexts) AS g (job_id, next)
    WHERE g.next ? 'children';
    IF v_parents.job_ids IS NOT NULL THEN
        PERFORM @extschema@._start_children(v_parents.job_ids, v_parents.nexts, begun_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._begin_waits IS
    'Internal: notes what these runs, which are held, wait for, and starts their children.';

-- Writes: deletes due rows of run_hint.  Locks: these rows, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._take_run_hints(queue_id integer, max_hints integer)
RETURNS @extschema@.run_hint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_mark text := format('pgq.run_hints_%s_%s', '@extschema@.run_hint'::regclass::oid, queue_id);
    v_from @extschema@.watermark := @extschema@._watermark(v_mark, v_now);
    v_began timestamptz := clock_timestamp();
    v_work bigint := @extschema@._scan_work('@extschema@.run_hint_idx');
    v_took interval;
    v_hints @extschema@.run_hint[];
BEGIN
    WITH taken AS (
        DELETE FROM @extschema@.run_hint AS h
        WHERE h.ctid = ANY (ARRAY(
            SELECT due.ctid
            FROM @extschema@.run_hint AS due
            WHERE due.queue_id = _take_run_hints.queue_id
              AND (due.due_at, due.hint_id) >= (v_from.from_at, v_from.from_id)
              AND due.due_at <= v_now
            ORDER BY due.due_at, due.hint_id
            LIMIT _take_run_hints.max_hints
            FOR UPDATE SKIP LOCKED))
        RETURNING h
    )
    SELECT array_agg(t.h) INTO v_hints FROM taken AS t;

    v_took := clock_timestamp() - v_began;
    PERFORM @extschema@._note_scan(v_mark, v_from.is_set,
        @extschema@._is_slow(@extschema@._scan_work('@extschema@.run_hint_idx') - v_work,
            400 + 2 * max_hints, v_took), v_took,
        COALESCE((SELECT min(h.due_at) FROM unnest(v_hints) AS h), v_now - interval '100 milliseconds'), 0, v_now);
    RETURN COALESCE(v_hints, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._take_run_hints IS
    'Internal: takes up to max_hints due hints of the queue.';

-- Writes: run_wait, run_hint, run_signal, child_result, what _move_runs and _let_die write.
-- Locks: the rows of the held jobs, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._heed_run_hints(hints @extschema@.run_hint[])
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_job_ids bigint[] := ARRAY(SELECT DISTINCT h.job_id FROM unnest(hints) AS h);
    v_locked bigint[];
    v_ready @extschema@.run_wait[];
BEGIN
    v_locked := ARRAY(SELECT j.job_id FROM @extschema@.job AS j
                      WHERE j.job_id = ANY (v_job_ids) AND j.held_by IN ('children', 'signal')
                      FOR NO KEY UPDATE SKIP LOCKED);
    IF cardinality(v_locked) < cardinality(v_job_ids) THEN
        -- Those that do not wait any more need no hint; those that somebody has locked are looked at again soon.
        INSERT INTO @extschema@.run_hint (queue_id, job_id, first_child_id, due_at, done, failed)
        SELECT h.queue_id, h.job_id, h.first_child_id, v_now + interval '5 milliseconds', sum(h.done), sum(h.failed)
        FROM unnest(hints) AS h
        JOIN @extschema@.job AS j ON j.job_id = h.job_id
        WHERE j.job_id = ANY (v_job_ids) AND j.held_by IN ('children', 'signal') AND j.job_id <> ALL (v_locked)
        GROUP BY h.queue_id, h.job_id, h.first_child_id;
    END IF;
    UPDATE @extschema@.run_wait AS w
    SET children_left = w.children_left - c.done, children_failed = w.children_failed + c.failed
    FROM (SELECT h.job_id, h.first_child_id, sum(h.done) AS done, sum(h.failed) AS failed
          FROM unnest(hints) AS h
          WHERE h.done > 0
          GROUP BY h.job_id, h.first_child_id) AS c
    WHERE w.job_id = ANY (v_locked) AND w.job_id = c.job_id AND w.first_child_id = c.first_child_id;

    WITH over AS (
        DELETE FROM @extschema@.run_wait AS w
        WHERE w.job_id = ANY (v_locked)
          AND (w.children_left <= 0 OR w.due_at <= v_now
               OR EXISTS (SELECT FROM @extschema@.run_signal AS s WHERE s.job_id = w.job_id AND s.name = w.signal OFFSET 0))
        RETURNING w
    )
    SELECT array_agg(o.w) INTO v_ready FROM over AS o;
    RETURN CASE WHEN v_ready IS NULL THEN 0 ELSE @extschema@._end_waits(v_ready, v_now) END;
END
$$;
COMMENT ON FUNCTION @extschema@._heed_run_hints IS
    'Internal: counts the children that are done, and lets the runs through that wait no more; returns their number.';

-- Writes: deletes from run_signal, child_result; what _move_runs and _let_die write.
-- Locks: the caller has locked the job rows.
CREATE OR REPLACE FUNCTION @extschema@._end_waits(waits @extschema@.run_wait[], ended_at timestamptz)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_job_ids bigint[] := ARRAY(SELECT w.job_id FROM unnest(waits) AS w);
    v_moves @extschema@.run_move[];
    v_failed @extschema@.run_move[];
BEGIN
    WITH taken AS (
        DELETE FROM @extschema@.run_signal AS s
        WHERE s.job_id = ANY (v_job_ids)
          AND s.signal_id IN (
              SELECT (SELECT min(first.signal_id) FROM @extschema@.run_signal AS first
                      WHERE first.job_id = w.job_id AND first.name = w.signal)
              FROM unnest(waits) AS w)
        RETURNING s.job_id, jsonb_build_object('signal', jsonb_build_object('name', s.name, 'payload', s.payload)) AS signal
    ), given AS (
        SELECT j.job_id, j.step, j.progress, w.children_failed,
               w.children_failed > w.children_may_fail OR c.results IS NULL AS is_failed,
               CASE WHEN w.signal IS NULL THEN jsonb_build_object('children', c.results)
                    ELSE COALESCE(t.signal, '{}') END AS result
        FROM @extschema@.job AS j
        JOIN unnest(waits) AS w ON w.job_id = j.job_id
        CROSS JOIN LATERAL (SELECT CASE WHEN w.signal IS NULL
            THEN @extschema@._results_of(w.job_id, w.first_child_id) ELSE '[]' END AS results OFFSET 0) AS c
        LEFT JOIN taken AS t ON t.job_id = j.job_id
        WHERE j.job_id = ANY (v_job_ids)
    )
    SELECT array_agg(ROW(g.job_id, NULL, g.step, ended_at, NULL, (g.progress - 'waits_since') || g.result, NULL, NULL
                        )::@extschema@.run_move) FILTER (WHERE g.is_failed IS NOT TRUE),
           array_agg(ROW(g.job_id, NULL, NULL, NULL, NULL, g.progress || g.result, NULL,
                         @extschema@._why_children_failed(g.result -> 'children', g.children_failed)
                        )::@extschema@.run_move) FILTER (WHERE g.is_failed)
    INTO v_moves, v_failed
    FROM given AS g;

    DELETE FROM @extschema@.child_result AS c WHERE c.parent_job_id = ANY (v_job_ids);
    IF v_moves IS NOT NULL THEN
        PERFORM @extschema@._move_runs(v_moves, ended_at);
    END IF;
    IF v_failed IS NOT NULL THEN
        UPDATE @extschema@.job AS j SET progress = f.progress
        FROM unnest(v_failed) AS f
        WHERE j.job_id = ANY (v_job_ids) AND j.job_id = f.job_id;
        PERFORM @extschema@._let_die(array_agg(f.job_id), array_agg(f.error), NULL, ended_at) FROM unnest(v_failed) AS f;
    END IF;
    RETURN COALESCE(cardinality(v_moves), 0);
END
$$;
COMMENT ON FUNCTION @extschema@._end_waits IS
    'Internal: gives these runs the results of their children, or their signal, and lets them go on; those of which too many children have failed, or have too large results, die. Returns how many go on. Inherits the settings of _heed_run_hints.';

CREATE OR REPLACE FUNCTION @extschema@._why_children_failed(results jsonb, failed integer)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(results) = 'null' THEN
        RETURN format('the outputs and errors of its children are larger than %s bytes together', @extschema@._max_results_bytes());
    END IF;
    RETURN (
        SELECT concat(format('%s of %s children did not complete: job %s is %s', failed, jsonb_array_length(results),
                             c.child ->> 'job_id', c.child ->> 'state'), ', ' || (c.child ->> 'error'))
        FROM jsonb_array_elements(results) WITH ORDINALITY AS c (child, place)
        WHERE c.child ->> 'state' <> 'complete'
        ORDER BY c.place LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._why_children_failed IS
    'Internal: the error of a run of which too many children have failed, or whose results are null, because they are too large.';

-- Writes, locks: as _take_run_hints and _heed_run_hints.
CREATE OR REPLACE FUNCTION @extschema@._let_runs_through(queue_id integer, enough integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_began timestamptz := clock_timestamp();
    v_hints @extschema@.run_hint[];
    v_let_through integer := 0;
BEGIN
    LOOP
        v_hints := @extschema@._take_run_hints(queue_id, LEAST(200, GREATEST(20, enough * 2)));
        EXIT WHEN v_hints = '{}';
        v_let_through := v_let_through + @extschema@._heed_run_hints(v_hints);
        EXIT WHEN v_let_through >= enough OR clock_timestamp() - v_began > CASE v_let_through
            WHEN 0 THEN interval '200 milliseconds' ELSE interval '20 milliseconds' END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._let_runs_through IS
    'Internal: looks at the runs of the queue that have due hints until enough of them are let through.';
