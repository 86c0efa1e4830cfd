CREATE TABLE @extschema@.schedule (
    schedule_name text NOT NULL,
    queue_id integer NOT NULL,
    -- NULL while it is paused.
    next_at timestamptz,
    last_at timestamptz,
    last_job_id bigint,
    last_error text,
    cron text NOT NULL,
    time_zone text NOT NULL,
    overlap text NOT NULL,
    catch_up text NOT NULL,
    priority integer NOT NULL,
    max_attempts integer,
    timeout_milliseconds integer,
    workflow_version integer,
    workflow text,
    timeout_with_result text,
    unique_key text,
    group_key text,
    headers jsonb,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT schedule_pkey PRIMARY KEY (schedule_name),
    CONSTRAINT schedule_overlap_check CHECK (overlap IN ('skip', 'allow')),
    CONSTRAINT schedule_catch_up_check CHECK (catch_up IN ('skip', 'one', 'all'))
);
COMMENT ON TABLE @extschema@.schedule IS
    'Jobs that are added again and again, by a cron expression: see schedule_job.';
CREATE INDEX schedule_next_at_idx ON @extschema@.schedule (next_at);

CREATE TYPE @extschema@.schedule_status AS (
    schedule_name text,
    queue_name text,
    workflow text,
    workflow_version integer,
    cron text,
    time_zone text,
    payload jsonb,
    overlap text,
    catch_up text,
    priority integer,
    max_attempts integer,
    unique_key text,
    group_key text,
    timeout_milliseconds integer,
    timeout_with_result text,
    headers jsonb,
    is_paused boolean,
    next_at timestamptz,
    last_at timestamptz,
    last_job_id bigint,
    last_error text,
    created_at timestamptz
);
COMMENT ON TYPE @extschema@.schedule_status IS
    'A schedule: what it adds and when. last_at is the last due time that it was driven for, last_error why it added nothing then.';
