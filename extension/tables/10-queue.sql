CREATE TABLE @extschema@.queue (
    queue_id integer GENERATED ALWAYS AS IDENTITY,
    queue_name text NOT NULL,
    max_concurrency integer,
    max_concurrency_per_group integer,
    group_order text NOT NULL DEFAULT 'loose',
    max_attempts integer NOT NULL DEFAULT 10,
    retry_backoff text NOT NULL DEFAULT 'exponential',
    pause_between_retries_milliseconds bigint NOT NULL DEFAULT 5000,
    max_pause_between_retries_milliseconds bigint NOT NULL DEFAULT 3600000,
    timeout_milliseconds integer NOT NULL DEFAULT 30000,
    timeout_with_result text NOT NULL DEFAULT 'failed',
    keep_history text NOT NULL DEFAULT 'all',
    history_days integer NOT NULL DEFAULT 7,
    dead_days integer NOT NULL DEFAULT 30,
    max_payload_bytes integer NOT NULL DEFAULT 1048576,
    paused_until timestamptz,
    pause_reason text,
    -- A group limit was set at some time: jobs may be held even if the limit is gone again.
    has_groups boolean NOT NULL DEFAULT false,
    -- A run waited for children or a signal at some time, or was sent one.
    has_waits boolean NOT NULL DEFAULT false,
    -- Only roles of queue_access may use it.
    is_restricted boolean NOT NULL DEFAULT false,
    -- The row stays when a queue is dropped, so that an add that was under way finds its queue.
    is_dropped boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT queue_pkey PRIMARY KEY (queue_id),
    CONSTRAINT queue_queue_name_key UNIQUE (queue_name),
    CONSTRAINT queue_queue_name_check CHECK (queue_name <> '' AND pg_catalog.octet_length(queue_name) <= 200),
    CONSTRAINT queue_max_concurrency_check CHECK (max_concurrency > 0),
    CONSTRAINT queue_max_concurrency_per_group_check CHECK (max_concurrency_per_group > 0),
    CONSTRAINT queue_group_order_check CHECK (group_order IN ('loose', 'strict')),
    CONSTRAINT queue_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 1000),
    CONSTRAINT queue_retry_backoff_check CHECK (retry_backoff IN ('exponential', 'fixed')),
    CONSTRAINT queue_pause_between_retries_milliseconds_check
        CHECK (pause_between_retries_milliseconds BETWEEN 0 AND 604800000),
    CONSTRAINT queue_max_pause_between_retries_milliseconds_check
        CHECK (max_pause_between_retries_milliseconds BETWEEN 0 AND 604800000),
    CONSTRAINT queue_timeout_milliseconds_check CHECK (timeout_milliseconds BETWEEN 100 AND 604800000),
    CONSTRAINT queue_timeout_with_result_check
        CHECK (timeout_with_result IN ('failed', 'paused', 'complete', 'cancelled')),
    CONSTRAINT queue_keep_history_check CHECK (keep_history IN ('all', 'dead', 'none')),
    CONSTRAINT queue_history_days_check CHECK (history_days BETWEEN 1 AND 30),
    CONSTRAINT queue_dead_days_check CHECK (dead_days BETWEEN 1 AND 30),
    CONSTRAINT queue_max_payload_bytes_check CHECK (max_payload_bytes BETWEEN 1024 AND 268435456)
);
COMMENT ON TABLE @extschema@.queue IS
    'The queues and their settings; read and written through get_queue_config and set_queue_config.';

CREATE TYPE @extschema@.queue_config AS (
    queue_name text,
    max_concurrency integer,
    max_concurrency_per_group integer,
    group_order text,
    max_attempts integer,
    retry_backoff text,
    pause_between_retries_milliseconds bigint,
    max_pause_between_retries_milliseconds bigint,
    timeout_milliseconds integer,
    timeout_with_result text,
    keep_history text,
    history_days integer,
    dead_days integer,
    max_payload_bytes integer,
    paused_until timestamptz,
    pause_reason text,
    created_at timestamptz
);
COMMENT ON TYPE @extschema@.queue_config IS
    'The settings of a queue; the comment on set_queue_config states unit, range and default of each.';
