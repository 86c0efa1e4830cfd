-- Unlogged, like the tables of pg_net: a crash, a promotion and the loss of an answer's id come to all of them at once. So
-- an id that pg_net gives out anew never finds the job that had it before.
CREATE UNLOGGED TABLE @extschema@.native_request (
    request_id bigint NOT NULL,
    job_id bigint NOT NULL,
    lease_token bigint NOT NULL,
    sent_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    timeout_milliseconds integer NOT NULL,
    max_response_bytes integer NOT NULL,
    worker_pid integer,
    restarts smallint NOT NULL DEFAULT 0,
    CONSTRAINT native_request_pkey PRIMARY KEY (request_id)
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE @extschema@.native_request IS
    'The requests that pg_net has, by their ids there. seen_at: when one was last known to wait in its queue; worker_pid, restarts: how often its worker began anew since, with the request still there.';

CREATE UNLOGGED TABLE @extschema@.native_epoch (
    is_current boolean NOT NULL DEFAULT true,
    queue_oid oid NOT NULL,
    begun_at timestamptz NOT NULL,
    turn_at timestamptz NOT NULL,
    purged_at timestamptz,
    fault text,
    fault_at timestamptz,
    CONSTRAINT native_epoch_pkey PRIMARY KEY (is_current),
    CONSTRAINT native_epoch_is_current_check CHECK (is_current)
);
COMMENT ON TABLE @extschema@.native_epoch IS
    'One row: since when the tables of pg_net (queue_oid) keep what they are given, when the dispatcher took its last turn, and what went wrong last.';

CREATE TYPE @extschema@.native_turn AS (
    started_at timestamptz,
    ends_at timestamptz,
    is_over boolean,
    checked_at timestamptz,
    trouble text,
    pause_seconds double precision
);
COMMENT ON TYPE @extschema@.native_turn IS
    'Internal: what the loop of the native dispatcher carries from turn to turn: trouble is why nothing can be sent now.';

CREATE TYPE @extschema@.native_health AS (
    is_healthy boolean,
    problems text[],
    pg_net_version text,
    pg_cron_version text,
    schedule text,
    last_turn_at timestamptz,
    in_flight integer,
    oldest_milliseconds bigint,
    last_fault text,
    last_fault_at timestamptz
);
COMMENT ON TYPE @extschema@.native_health IS
    'How the dispatcher inside Postgres is doing. problems: what keeps it from working, or will. in_flight: requests that pg_net has; oldest_milliseconds: the age of the oldest. last_fault: the step that failed last, and its SQLSTATE.';
