CREATE TABLE @extschema@.endpoint_state (
    queue_id integer NOT NULL,
    -- Null: not lowered, so max_in_flight counts.
    in_flight_limit real,
    consecutive_failures integer NOT NULL DEFAULT 0,
    held_at timestamptz,
    held_until timestamptz,
    hold_reason text,
    last_decrease_at timestamptz,
    CONSTRAINT endpoint_state_pkey PRIMARY KEY (queue_id)
);
COMMENT ON TABLE @extschema@.endpoint_state IS
    'How an endpoint is doing: circuit breaker, hold, and lowered limit. A row is written only when a value changes; its lock is held by who picks for the endpoint.';

CREATE TYPE @extschema@.endpoint_state_info AS (
    queue_name text,
    is_active boolean,
    is_paused boolean,
    in_flight integer,
    in_flight_limit integer,
    max_in_flight integer,
    breaker text,
    held_until timestamptz,
    hold_reason text,
    consecutive_failures integer
);
COMMENT ON TYPE @extschema@.endpoint_state_info IS
    'How an endpoint is doing. in_flight: requests under way; in_flight_limit: how many there may be now. breaker: closed, open (nothing is sent until held_until) or half_open (one request tries). held_until and hold_reason: why nothing is sent now, also for other reasons.';

CREATE TYPE @extschema@.answer_verdict AS (
    place integer,
    queue_id integer,
    job_id bigint,
    lease_token bigint,
    sent_at timestamptz,
    result text,
    output jsonb,
    error text,
    delay_milliseconds bigint,
    retry boolean,
    jobs jsonb,
    is_good boolean,
    is_pressure boolean,
    hold_milliseconds bigint,
    is_gone boolean,
    next jsonb,
    is_undoing boolean
);
COMMENT ON TYPE @extschema@.answer_verdict IS
    'Internal: what an answer means: for its job (result to retry as in release_job, jobs to add, next as in finish_step; is_undoing: of a step that is compensated), and for its endpoint: is_good tells a success from a failure (null: neither), is_pressure asks for fewer requests, hold_milliseconds for none so long, is_gone for none ever.';
