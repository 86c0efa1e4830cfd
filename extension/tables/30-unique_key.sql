CREATE TABLE @extschema@.unique_key (
    job_id bigint NOT NULL,
    holds_until timestamptz,
    throttle_milliseconds bigint,
    queue_id integer NOT NULL,
    unique_key text NOT NULL,
    CONSTRAINT unique_key_pkey PRIMARY KEY (queue_id, unique_key)
);
COMMENT ON TABLE @extschema@.unique_key IS
    'The unique keys in force: held by a live job (holds_until is null), or by a throttle until holds_until.';
