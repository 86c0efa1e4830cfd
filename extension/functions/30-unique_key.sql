-- Unique keys: at most one waiting job holds a key. The order of locks is job, then key, everywhere.

-- Writes: unique_key; job.payload and its kin when the holder is replaced.
-- Locks: the holder's job row when it is replaced; the key's row when it changes hands.
CREATE OR REPLACE FUNCTION @extschema@._claim_key(
    queue_id integer,
    unique_key text,
    on_conflict text,
    throttle_milliseconds bigint,
    payload jsonb,
    headers jsonb,
    start_after timestamptz,
    new_id bigint DEFAULT NULL,
    first_step @extschema@.workflow_step DEFAULT NULL
)
RETURNS @extschema@.added_job
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job_id bigint := COALESCE(new_id, nextval('@extschema@.job_job_id_seq'::regclass));
    v_holder record;
    v_replaced record;
    v_claimed @extschema@.added_job;
BEGIN
    WHILE v_claimed.job_id IS NULL LOOP
        INSERT INTO @extschema@.unique_key (queue_id, unique_key, job_id, throttle_milliseconds)
        VALUES (_claim_key.queue_id, _claim_key.unique_key, v_job_id, _claim_key.throttle_milliseconds)
        ON CONFLICT ON CONSTRAINT unique_key_pkey DO NOTHING;
        IF FOUND THEN
            v_claimed := (v_job_id, true);
            CONTINUE;
        END IF;

        SELECT k.job_id, k.holds_until INTO v_holder
        FROM @extschema@.unique_key AS k
        WHERE k.queue_id = _claim_key.queue_id AND k.unique_key = _claim_key.unique_key;
        CONTINUE WHEN NOT FOUND;

        IF v_holder.holds_until > @extschema@._now()
           OR (v_holder.holds_until IS NULL AND on_conflict IN ('skip', 'throttle')) THEN
            v_claimed := (v_holder.job_id, false);
            CONTINUE;
        END IF;

        IF v_holder.holds_until IS NULL THEN
            UPDATE @extschema@.job AS j SET
                payload = _claim_key.payload,
                headers = _claim_key.headers,
                workflow = first_step.workflow,
                workflow_version = first_step.version,
                step = first_step.step,
                start_after = CASE
                    WHEN on_conflict = 'debounce'
                        THEN GREATEST(_claim_key.start_after, j.start_after, @extschema@._now())
                    ELSE COALESCE(_claim_key.start_after, j.start_after) END
            WHERE j.job_id = v_holder.job_id AND j.lease_token IS NULL
              AND NOT (j.workflow IS NOT NULL AND @extschema@._has_begun(
                  j.queue_id, j.workflow, j.workflow_version, j.step, j.held_by))
            RETURNING j.held_by, j.group_key, j.start_after INTO v_replaced;
            IF FOUND THEN
                IF v_replaced.held_by = 'group' THEN
                    PERFORM @extschema@._hint_group(queue_id, v_replaced.group_key, v_replaced.start_after);
                ELSIF v_replaced.group_key IS NOT NULL AND v_replaced.start_after > @extschema@._now() THEN
                    PERFORM @extschema@._give_way(v_holder.job_id);
                END IF;
                v_claimed := (v_holder.job_id, false);
                CONTINUE;
            END IF;
        END IF;

        -- The holder runs already, so that it would not see the new payload, or its throttle is
        -- over: the key goes to a new job.
        UPDATE @extschema@.unique_key AS k SET
            job_id = v_job_id, holds_until = NULL, throttle_milliseconds = _claim_key.throttle_milliseconds
        WHERE k.queue_id = _claim_key.queue_id AND k.unique_key = _claim_key.unique_key
          AND k.job_id = v_holder.job_id AND k.holds_until IS NOT DISTINCT FROM v_holder.holds_until;
        IF FOUND THEN
            v_claimed := (v_job_id, true);
        END IF;
    END LOOP;
    RETURN v_claimed;
END
$$;
COMMENT ON FUNCTION @extschema@._claim_key IS
    'Internal: takes the key for a job that is about to be added (is_new, with the id it must have), or deals with the job that holds it as on_conflict says.';

-- Writes: unique_key.  Locks: the keys' rows, in the order of the keys.
CREATE OR REPLACE FUNCTION @extschema@._free_keys(tails @extschema@.job_tail[], freed_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = on
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    WITH ended AS (
        SELECT k.queue_id, k.unique_key, k.throttle_milliseconds
        FROM unnest(tails) AS t
        JOIN @extschema@.unique_key AS k
            ON k.queue_id = t.queue_id AND k.unique_key = t.unique_key AND k.job_id = t.job_id
        WHERE t.unique_key IS NOT NULL
        ORDER BY k.queue_id, k.unique_key
        FOR UPDATE OF k
    ), throttled AS (
        UPDATE @extschema@.unique_key AS k
        SET holds_until = freed_at + e.throttle_milliseconds * interval '1 millisecond'
        FROM ended AS e
        WHERE k.queue_id = e.queue_id AND k.unique_key = e.unique_key
          AND e.throttle_milliseconds IS NOT NULL
    )
    DELETE FROM @extschema@.unique_key AS k
    USING ended AS e
    WHERE k.queue_id = e.queue_id AND k.unique_key = e.unique_key AND e.throttle_milliseconds IS NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._free_keys IS
    'Internal: frees the keys of jobs that ended, or starts their throttle.';

-- Writes, locks: as _claim_key; the keys are taken in one order, so that two batches do not deadlock.
CREATE OR REPLACE FUNCTION @extschema@._claim_keys(
    queue_id integer,
    unique_keys text[],
    on_conflict text,
    throttle_milliseconds bigint,
    payloads jsonb[],
    headers jsonb,
    start_after timestamptz,
    first_step @extschema@.workflow_step DEFAULT NULL
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_new_ids bigint[];
    v_job_ids bigint[];
    v_heirs bigint[];
    v_given record;
    v_added @extschema@.added_job;
BEGIN
    v_new_ids := ARRAY(SELECT nextval('@extschema@.job_job_id_seq'::regclass)
                       FROM generate_series(1, cardinality(unique_keys)));
    -- Of the payloads of this batch with the same key one is the heir: the first, or the last
    -- where a later one replaces it.
    v_heirs := ARRAY(
        SELECT CASE
            WHEN g.unique_key IS NULL THEN g.place
            WHEN on_conflict IN ('skip', 'throttle') THEN min(g.place) OVER same_key
            ELSE max(g.place) OVER same_key END
        FROM unnest(unique_keys) WITH ORDINALITY AS g (unique_key, place)
        WINDOW same_key AS (PARTITION BY g.unique_key)
        ORDER BY g.place);
    -- A key that its holder frees just now may come out of the order. Who is chosen to end such a deadlock begins anew.
    FOR v_try IN 1 .. 5 LOOP
        v_job_ids := v_new_ids;
        BEGIN
            FOR v_given IN
                WITH given AS MATERIALIZED (
                    SELECT g.job_id, g.unique_key, g.payload, g.place
                    FROM unnest(v_new_ids, unique_keys, payloads, v_heirs)
                        WITH ORDINALITY AS g (job_id, unique_key, payload, heir, place)
                    WHERE g.unique_key IS NOT NULL AND g.heir = g.place
                ), taken AS (
                    INSERT INTO @extschema@.unique_key AS k (queue_id, unique_key, job_id, throttle_milliseconds)
                    SELECT _claim_keys.queue_id, g.unique_key, g.job_id, _claim_keys.throttle_milliseconds
                    FROM given AS g
                    ORDER BY g.unique_key
                    ON CONFLICT ON CONSTRAINT unique_key_pkey DO NOTHING
                    RETURNING k.job_id
                )
                SELECT g.place, g.unique_key, g.payload
                FROM given AS g
                WHERE g.job_id NOT IN (SELECT t.job_id FROM taken AS t)
                ORDER BY g.unique_key
            LOOP
                v_added := @extschema@._claim_key(_claim_keys.queue_id, v_given.unique_key, on_conflict,
                    throttle_milliseconds, v_given.payload, headers, start_after, v_new_ids[v_given.place], first_step);
                v_job_ids[v_given.place] := CASE WHEN v_added.is_new THEN v_added.job_id ELSE -v_added.job_id END;
            END LOOP;
            EXIT;
        EXCEPTION WHEN deadlock_detected THEN
            IF v_try = 5 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    RETURN ARRAY(
        SELECT CASE WHEN h.heir = h.place THEN v_job_ids[h.place] ELSE -abs(v_job_ids[h.heir]) END
        FROM unnest(v_heirs) WITH ORDINALITY AS h (heir, place)
        ORDER BY h.place);
END
$$;
COMMENT ON FUNCTION @extschema@._claim_keys IS
    'Internal: an id for each payload: that of the job to insert, or, negative, that of the job that holds the key.';
