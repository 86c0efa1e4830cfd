-- The ring of finished jobs. A row goes to the slot of the day on which it expires (UTC day modulo
-- 40), and a slot is truncated when its day has passed. A job is kept for at most 30 days, so the
-- other slots are at least 9 days of grace for a maintain() that does not come.
CREATE TABLE @extschema@.finished_job (
    job_id bigint NOT NULL,
    finished_at timestamptz NOT NULL,
    start_after timestamptz NOT NULL,
    added_at timestamptz NOT NULL,
    picked_at timestamptz,
    parent_job_id bigint,
    queue_id integer NOT NULL,
    timeout_milliseconds integer,
    workflow_version integer,
    slot smallint NOT NULL,
    priority smallint NOT NULL,
    attempt smallint NOT NULL,
    max_attempts smallint,
    state text NOT NULL,
    timeout_with_result text,
    group_key text,
    unique_key text,
    worker text,
    workflow text,
    step text,
    headers jsonb,
    attempts jsonb,
    error text,
    output jsonb,
    -- That of job, and what its step had remembered (once) and its run had been told (signals).
    progress jsonb,
    payload jsonb NOT NULL
) PARTITION BY LIST (slot);
COMMENT ON TABLE @extschema@.finished_job IS
    'The history: jobs that are complete, dead or cancelled, for as long as their queue keeps them.';

DO $$
BEGIN
    FOR v_slot IN 0..39 LOOP
        EXECUTE pg_catalog.format(
            'CREATE TABLE @extschema@.finished_job_%1$s PARTITION OF @extschema@.finished_job FOR VALUES IN (%2$s)',
            pg_catalog.lpad(v_slot::text, 2, '0'), v_slot);
        EXECUTE pg_catalog.format(
            'COMMENT ON TABLE @extschema@.finished_job_%s IS %L',
            pg_catalog.lpad(v_slot::text, 2, '0'),
            'A slot of the history ring: the jobs that expire on the same day.');
    END LOOP;
END
$$;

CREATE INDEX finished_job_job_id_idx ON @extschema@.finished_job (job_id);
CREATE INDEX finished_job_dead_idx ON @extschema@.finished_job (queue_id, finished_at, job_id)
    WHERE state = 'dead';
-- Rows come in the order of finished_at, so a block range index finds the last minute and costs nothing.
CREATE INDEX finished_job_finished_at_idx ON @extschema@.finished_job USING brin (finished_at)
    WITH (autosummarize = on);

CREATE TABLE @extschema@.history_slot (
    slot smallint NOT NULL,
    emptied_for_day integer NOT NULL,
    CONSTRAINT history_slot_pkey PRIMARY KEY (slot)
);
COMMENT ON TABLE @extschema@.history_slot IS
    'Which day''s expired jobs a slot of the ring was last emptied of (days since 1970-01-01, UTC).';
