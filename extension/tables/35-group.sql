CREATE TABLE @extschema@.group_hint (
    hint_id bigint GENERATED ALWAYS AS IDENTITY,
    due_at timestamptz NOT NULL,
    queue_id integer NOT NULL,
    group_key text NOT NULL
);
COMMENT ON TABLE @extschema@.group_hint IS
    'Groups to look at from due_at on: a job was added or one has given its turn back, so that the next held one may be let through. A pick takes the rows.';
CREATE INDEX group_hint_idx ON @extschema@.group_hint (queue_id, due_at, hint_id);
