CREATE TABLE @extschema@.workflow (
    defined_at timestamptz NOT NULL,
    queue_id integer NOT NULL,
    version integer NOT NULL,
    workflow text NOT NULL,
    steps jsonb NOT NULL,
    CONSTRAINT workflow_pkey PRIMARY KEY (queue_id, workflow, version),
    CONSTRAINT workflow_workflow_check CHECK (workflow <> '' AND pg_catalog.octet_length(workflow) <= 200),
    CONSTRAINT workflow_version_check CHECK (version > 0)
);
COMMENT ON TABLE @extschema@.workflow IS
    'The versions of the workflows, as define_workflow was given them.';

-- The same, in the form in which a run looks up where it stands.
CREATE TABLE @extschema@.workflow_step (
    pause_between_retries_milliseconds bigint,
    max_pause_between_retries_milliseconds bigint,
    queue_id integer NOT NULL,
    version integer NOT NULL,
    place integer NOT NULL,
    timeout_milliseconds integer,
    max_attempts smallint,
    compensates boolean NOT NULL,
    workflow text NOT NULL,
    step text NOT NULL,
    next_step text,
    retry_backoff text,
    timeout_with_result text,
    CONSTRAINT workflow_step_pkey PRIMARY KEY (queue_id, workflow, version, step)
);
COMMENT ON TABLE @extschema@.workflow_step IS
    'The steps of workflow.steps, one a row: place counts from 1, next_step is null for the last; a setting that is null is the run''s own or the queue''s.';

CREATE TYPE @extschema@.workflow_version AS (
    queue_name text,
    workflow text,
    version integer,
    step_ids text[],
    open_runs bigint,
    open_runs_by_step jsonb,
    is_newest boolean,
    defined_at timestamptz
);
COMMENT ON TYPE @extschema@.workflow_version IS
    'A version of a workflow and the runs that are not finished: open_runs_by_step has their numbers by the step at which they stand.';
