CREATE TABLE @extschema@.change_trigger (
    trigger_name text NOT NULL,
    queue_name text NOT NULL,
    workflow text,
    workflow_version integer,
    events text[] NOT NULL,
    condition text,
    when_changed text[],
    payload_columns text[],
    unique_key text,
    on_conflict text NOT NULL,
    throttle_milliseconds bigint,
    group_key text,
    delay_milliseconds bigint,
    priority integer NOT NULL,
    max_attempts integer,
    headers jsonb,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT change_trigger_pkey PRIMARY KEY (trigger_name)
);
COMMENT ON TABLE @extschema@.change_trigger IS
    'What add_job_on_change was asked for. Its table is where the triggers are that call its function.';

CREATE TYPE @extschema@.job_on_change AS (
    trigger_name text,
    table_name text,
    queue_name text,
    workflow text,
    workflow_version integer,
    events text[],
    condition text,
    when_changed text[],
    payload_columns text[],
    unique_key text,
    on_conflict text,
    throttle_milliseconds bigint,
    group_key text,
    delay_milliseconds bigint,
    priority integer,
    max_attempts integer,
    headers jsonb,
    problem text,
    created_at timestamptz
);
COMMENT ON TYPE @extschema@.job_on_change IS
    'Jobs that are added when rows of a table change. table_name is null when the table was dropped; problem says why it does not work.';
