-- Speed rests on this layout: a pick writes lease_until, lease_token, attempt, picked_at and worker, none of
-- which is in an index or an index predicate, and the fillfactor leaves room on the page. So every
-- pick is a HOT update, and its debris is pruned without vacuum. Do not index those columns.
-- Only functions write here, and they check what they are given: a CHECK would be read anew at every pick.
-- The fixed-width columns come first, the widest before the narrower, so that no padding is stored.
CREATE TABLE @extschema@.job (
    job_id bigint GENERATED ALWAYS AS IDENTITY,
    start_after timestamptz NOT NULL,
    added_at timestamptz NOT NULL,
    lease_until timestamptz,
    lease_token bigint,
    picked_at timestamptz,
    parent_job_id bigint,
    queue_id integer NOT NULL,
    timeout_milliseconds integer,
    workflow_version integer,
    priority smallint NOT NULL,
    attempt smallint NOT NULL DEFAULT 0,
    max_attempts smallint,
    held_by text,
    timeout_with_result text,
    group_key text,
    unique_key text,
    worker text,
    workflow text,
    step text,
    headers jsonb,
    attempts jsonb,
    -- Of a run: {outputs?, children?, signal?, waits_since?, own?, to_compensate?, failure?, failed_step?, compensated?}.
    progress jsonb,
    payload jsonb NOT NULL,
    CONSTRAINT job_pkey PRIMARY KEY (job_id)
) WITH (
    fillfactor = 45,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE @extschema@.job IS
    'The live jobs: scheduled, ready, running or held. A finished job is in finished_job.';

-- The line of each lane (queue and priority). Held jobs are not in it.
CREATE INDEX job_ready_idx ON @extschema@.job (queue_id, priority, start_after, job_id)
    WHERE held_by IS NULL;
-- The line of each group: those let through (held_by IS NULL) and those that wait for their turn.
CREATE INDEX job_group_idx ON @extschema@.job
    (queue_id, group_key, held_by, priority DESC, start_after, job_id)
    WHERE group_key IS NOT NULL;
