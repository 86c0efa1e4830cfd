CREATE TABLE @extschema@.run_signal (
    signal_id bigint GENERATED ALWAYS AS IDENTITY,
    job_id bigint NOT NULL,
    name text NOT NULL,
    payload jsonb NOT NULL,
    CONSTRAINT run_signal_pkey PRIMARY KEY (job_id, name, signal_id)
);
COMMENT ON TABLE @extschema@.run_signal IS
    'Signals that have come for runs and are not taken yet: those of one name make a queue.';

CREATE TABLE @extschema@.signal_token (
    expires_at timestamptz NOT NULL,
    job_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    name text NOT NULL,
    CONSTRAINT signal_token_pkey PRIMARY KEY (token_hash)
);
COMMENT ON TABLE @extschema@.signal_token IS
    'The tokens by which a signal may be sent once: of each only its SHA-256.';
