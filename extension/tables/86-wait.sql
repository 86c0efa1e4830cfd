CREATE TABLE @extschema@.run_wait (
    job_id bigint NOT NULL,
    -- The oldest of the children tells one wait of a run from the wait before.
    first_child_id bigint,
    due_at timestamptz,
    queue_id integer NOT NULL,
    children_left integer,
    children_failed integer,
    children_may_fail integer,
    signal text,
    child_ids bigint[],
    CONSTRAINT run_wait_pkey PRIMARY KEY (job_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE @extschema@.run_wait IS
    'What the held runs wait for: their children, or a signal until due_at. Written by who has locked the run''s job.';

CREATE TABLE @extschema@.run_hint (
    hint_id bigint GENERATED ALWAYS AS IDENTITY,
    job_id bigint NOT NULL,
    first_child_id bigint,
    due_at timestamptz NOT NULL,
    queue_id integer NOT NULL,
    done integer NOT NULL DEFAULT 0,
    failed integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE @extschema@.run_hint IS
    'Runs to look at from due_at on: so many of their children are done, and so many of these failed, or a signal has come, or the time for it is over. A pick takes the rows.';
CREATE INDEX run_hint_idx ON @extschema@.run_hint (queue_id, due_at, hint_id);
