-- extension/header.extension.sql
-- First in the script of the extension: it is loaded by CREATE EXTENSION only.
\echo Use "CREATE EXTENSION pgq" to load this file. \quit

-- extension/header.install.sql
-- First in every script that installs: nothing is mixed with what another has put into the schema.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_class AS c
               WHERE c.relnamespace = pg_catalog.to_regnamespace('@extschema@'))
       OR EXISTS (SELECT FROM pg_catalog.pg_proc AS p
                  WHERE p.pronamespace = pg_catalog.to_regnamespace('@extschema@')) THEN
        RAISE EXCEPTION 'schema @extschema@ exists and is not empty'
            USING ERRCODE = '55000',
                  DETAIL = 'It holds an installation of this queue, or of something else such as Skytools PgQ.',
                  HINT = 'Drop that schema, or install the plain SQL of this queue into another one.';
    END IF;
END
$$;

-- extension/tables/00-base.sql
CREATE TYPE @extschema@.error_code AS (
    code text,
    name text,
    meaning text
);
COMMENT ON TYPE @extschema@.error_code IS
    'An SQLSTATE of this queue''s own, its name in the SDK, and what it means.';

CREATE TYPE @extschema@.watermark AS (
    from_at timestamptz,
    from_id bigint,
    is_set boolean
);
COMMENT ON TYPE @extschema@.watermark IS
    'Internal: the position from which a scan begins; is_set is false for a scan from the beginning.';

-- extension/tables/10-queue.sql
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

-- extension/tables/20-job.sql
-- Speed rests on this layout: a pick writes lease_until, lease_token, attempt, picked_at and worker, none of
-- which is in an index or an index predicate, and the fillfactor leaves room on the page. So every
-- pick is a HOT update, and its debris is pruned without vacuum. Do not index those columns.
-- Only functions write here, and they check what they are given: a CHECK would be read anew at every pick.
-- The fixed-width columns come first, the widest before the narrower, so that no padding is stored.
CREATE TABLE @extschema@.job (
    job_id bigint GENERATED ALWAYS AS IDENTITY,
    start_after timestamptz NOT NULL,
    added_at timestamptz NOT NULL,
    lease_until timestamptz,
    lease_token bigint,
    picked_at timestamptz,
    queue_id integer NOT NULL,
    timeout_milliseconds integer,
    priority smallint NOT NULL,
    attempt smallint NOT NULL DEFAULT 0,
    max_attempts smallint,
    held_by text,
    timeout_with_result text,
    group_key text,
    unique_key text,
    worker text,
    headers jsonb,
    attempts jsonb,
    payload jsonb NOT NULL,
    CONSTRAINT job_pkey PRIMARY KEY (job_id)
) WITH (
    fillfactor = 45,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE @extschema@.job IS
    'The live jobs: scheduled, ready, running or held. A finished job is in finished_job.';

-- The line of each lane (queue and priority). Held jobs are not in it.
CREATE INDEX job_ready_idx ON @extschema@.job (queue_id, priority, start_after, job_id)
    WHERE held_by IS NULL;
-- The line of each group: those let through (held_by IS NULL) and those that wait for their turn.
CREATE INDEX job_group_idx ON @extschema@.job
    (queue_id, group_key, held_by, priority DESC, start_after, job_id)
    WHERE group_key IS NOT NULL;

-- extension/tables/25-history.sql
-- The ring of finished jobs. A row goes to the slot of the day on which it expires (UTC day modulo
-- 40), and a slot is truncated when its day has passed. A job is kept for at most 30 days, so the
-- other slots are at least 9 days of grace for a maintain() that does not come.
CREATE TABLE @extschema@.finished_job (
    job_id bigint NOT NULL,
    finished_at timestamptz NOT NULL,
    start_after timestamptz NOT NULL,
    added_at timestamptz NOT NULL,
    picked_at timestamptz,
    queue_id integer NOT NULL,
    timeout_milliseconds integer,
    slot smallint NOT NULL,
    priority smallint NOT NULL,
    attempt smallint NOT NULL,
    max_attempts smallint,
    state text NOT NULL,
    timeout_with_result text,
    group_key text,
    unique_key text,
    worker text,
    headers jsonb,
    attempts jsonb,
    error text,
    output jsonb,
    payload jsonb NOT NULL
) PARTITION BY LIST (slot);
COMMENT ON TABLE @extschema@.finished_job IS
    'The history: jobs that are complete, dead or cancelled, for as long as their queue keeps them.';

DO $$
BEGIN
    FOR v_slot IN 0..39 LOOP
        EXECUTE pg_catalog.format(
            'CREATE TABLE @extschema@.finished_job_%1$s PARTITION OF @extschema@.finished_job FOR VALUES IN (%2$s)',
            pg_catalog.lpad(v_slot::text, 2, '0'), v_slot);
        EXECUTE pg_catalog.format(
            'COMMENT ON TABLE @extschema@.finished_job_%s IS %L',
            pg_catalog.lpad(v_slot::text, 2, '0'),
            'A slot of the history ring: the jobs that expire on the same day.');
    END LOOP;
END
$$;

CREATE INDEX finished_job_job_id_idx ON @extschema@.finished_job (job_id);
CREATE INDEX finished_job_dead_idx ON @extschema@.finished_job (queue_id, finished_at, job_id)
    WHERE state = 'dead';
-- Rows come in the order of finished_at, so a block range index finds the last minute and costs nothing.
CREATE INDEX finished_job_finished_at_idx ON @extschema@.finished_job USING brin (finished_at)
    WITH (autosummarize = on);

CREATE TABLE @extschema@.history_slot (
    slot smallint NOT NULL,
    emptied_for_day integer NOT NULL,
    CONSTRAINT history_slot_pkey PRIMARY KEY (slot)
);
COMMENT ON TABLE @extschema@.history_slot IS
    'Which day''s expired jobs a slot of the ring was last emptied of (days since 1970-01-01, UTC).';

-- extension/tables/30-unique_key.sql
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

-- extension/tables/35-group.sql
CREATE TABLE @extschema@.group_hint (
    hint_id bigint GENERATED ALWAYS AS IDENTITY,
    due_at timestamptz NOT NULL,
    queue_id integer NOT NULL,
    group_key text NOT NULL
);
COMMENT ON TABLE @extschema@.group_hint IS
    'Groups to look at from due_at on: a job was added or one has given its turn back, so that the next held one may be let through. A pick takes the rows.';
CREATE INDEX group_hint_idx ON @extschema@.group_hint (queue_id, due_at, hint_id);

-- extension/tables/40-limit.sql
CREATE TABLE @extschema@.running_job (
    running_id bigint GENERATED ALWAYS AS IDENTITY,
    job_id bigint NOT NULL,
    lease_until timestamptz NOT NULL,
    queue_id integer NOT NULL,
    CONSTRAINT running_job_pkey PRIMARY KEY (job_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE @extschema@.running_job IS
    'The running jobs of queues with a max_concurrency, to be counted by a pick. A row is written under the lock of its queue, so running_id grows in the order of commits.';
CREATE INDEX running_job_queue_idx ON @extschema@.running_job (queue_id, running_id);

-- extension/tables/45-worker.sql
CREATE TABLE @extschema@.idle_worker (
    until timestamptz NOT NULL,
    queue_id integer NOT NULL,
    worker text NOT NULL,
    CONSTRAINT idle_worker_pkey PRIMARY KEY (worker, queue_id)
);
COMMENT ON TABLE @extschema@.idle_worker IS
    'Workers that wait for a job and listen: an add to such a queue notifies them.';
CREATE INDEX idle_worker_until_idx ON @extschema@.idle_worker (queue_id, until);

-- extension/tables/50-add.sql
CREATE TYPE @extschema@.added_job AS (
    job_id bigint,
    is_new boolean
);
COMMENT ON TYPE @extschema@.added_job IS
    'What add_job returns: is_new is false when a job with the same unique_key was there and job_id is that one.';

-- extension/tables/52-lane.sql
CREATE TABLE @extschema@.lane (
    queue_id integer NOT NULL,
    priority smallint NOT NULL
);
COMMENT ON TABLE @extschema@.lane IS
    'The priorities in use in each queue, so that a pick looks for no job of another. A row may stand twice: a unique key would make the first adds to a lane wait for each other.';
CREATE INDEX lane_idx ON @extschema@.lane (queue_id, priority);

CREATE TYPE @extschema@.lane_visit AS (
    queue_id integer,
    queue_name text,
    priority smallint,
    max_attempts integer,
    timeout_milliseconds integer,
    max_concurrency integer,
    is_special boolean
);
COMMENT ON TYPE @extschema@.lane_visit IS
    'Internal: a lane that a pick visits, with the settings of its queue. is_special: it has groups or is restricted.';

CREATE TYPE @extschema@.queue_share AS (
    queue_name text,
    share integer,
    found integer
);
COMMENT ON TYPE @extschema@.queue_share IS
    'Internal: how many jobs a pick from several queues takes from one, and how many it saw there.';

-- extension/tables/55-pick.sql
CREATE TYPE @extschema@.picked_job AS (
    job_id bigint,
    queue_name text,
    lease_token bigint,
    lease_until timestamptz,
    attempt integer,
    max_attempts integer,
    payload jsonb,
    headers jsonb,
    priority integer,
    group_key text,
    start_after timestamptz,
    added_at timestamptz,
    timeout_milliseconds integer
);
COMMENT ON TYPE @extschema@.picked_job IS
    'A job as a worker gets it. lease_token proves the lease at release and keep-alive; timeout_milliseconds is the length of the lease; attempt counts from 1.';

-- extension/tables/62-settle.sql
CREATE TYPE @extschema@.settle_rule AS (
    slot integer,
    has_groups boolean,
    is_limited boolean
);
COMMENT ON TYPE @extschema@.settle_rule IS
    'Internal: what the settings of its queue mean for a job that ends: its slot in the history, if it is kept, and what else is to be settled.';

-- What a job leaves behind when it gives up its lease or its life: see _settle_tails.
CREATE TYPE @extschema@.job_tail AS (
    job_id bigint,
    queue_id integer,
    group_key text,
    unique_key text,
    is_limited boolean
);
COMMENT ON TYPE @extschema@.job_tail IS
    'Internal: what a released job holds beside its row: a group turn, a unique key, a place under max_concurrency.';

-- extension/tables/70-lease.sql
CREATE TYPE @extschema@.job_lease AS (
    job_id bigint,
    state text,
    lease_until timestamptz
);
COMMENT ON TYPE @extschema@.job_lease IS
    'What keep_jobs_alive tells of a lease: state is running, lost or cancelled; lease_until is null unless it runs.';

-- extension/tables/71-address.sql
CREATE TABLE @extschema@.endpoint_allowed_host (
    pattern text NOT NULL,
    CONSTRAINT endpoint_allowed_host_pkey PRIMARY KEY (pattern)
);
COMMENT ON TABLE @extschema@.endpoint_allowed_host IS
    'The hosts that endpoints may have, such as api.example.com or *.example.com; all, when it is empty.';

-- extension/tables/73-breaker.sql
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
    is_gone boolean
);
COMMENT ON TYPE @extschema@.answer_verdict IS
    'Internal: what an answer means: for its job (result to retry as in release_job, jobs to add), and for its endpoint: is_good tells a success from a failure (null: neither), is_pressure asks for fewer requests, hold_milliseconds for none so long, is_gone for none ever.';

-- extension/tables/74-endpoint.sql
CREATE TABLE @extschema@.endpoint (
    queue_id integer NOT NULL,
    url text NOT NULL,
    is_active boolean NOT NULL,
    method text NOT NULL,
    timeout_milliseconds integer NOT NULL,
    manual_release boolean NOT NULL,
    max_in_flight integer NOT NULL,
    headers jsonb NOT NULL,
    bearer_token_location text NOT NULL,
    -- The id of the secret in Vault; null when the token is in endpoint_secret, or not set yet.
    bearer_token_ref text,
    client_error_attempts integer NOT NULL,
    max_response_bytes integer NOT NULL,
    is_insecure_allowed boolean NOT NULL,
    -- Job ids begin at 1 in every installation: this makes webhook-id unique over all of them.
    message_prefix text NOT NULL,
    -- The checksum of the url and the headers that set_endpoint has found good: see _address_checksum.
    checked_as text NOT NULL,
    CONSTRAINT endpoint_pkey PRIMARY KEY (queue_id),
    CONSTRAINT endpoint_method_check CHECK (method IN ('POST', 'GET')),
    CONSTRAINT endpoint_timeout_milliseconds_check CHECK (timeout_milliseconds BETWEEN 1000 AND 900000),
    CONSTRAINT endpoint_max_in_flight_check CHECK (max_in_flight BETWEEN 1 AND 10000),
    CONSTRAINT endpoint_bearer_token_location_check
        CHECK (bearer_token_location IN ('', 'inline', 'supabase_vault')),
    CONSTRAINT endpoint_client_error_attempts_check CHECK (client_error_attempts BETWEEN 1 AND 1000),
    CONSTRAINT endpoint_max_response_bytes_check CHECK (max_response_bytes BETWEEN 0 AND 16777216)
);
COMMENT ON TABLE @extschema@.endpoint IS
    'The HTTP endpoints that jobs are sent to, at most one for a queue; written by set_endpoint.';

CREATE TABLE @extschema@.endpoint_secret (
    queue_id integer NOT NULL,
    kind text NOT NULL,
    secret text NOT NULL,
    -- Of a signing secret: the two pads of its HMAC key, made once and not at every signature.
    pads bytea,
    CONSTRAINT endpoint_secret_pkey PRIMARY KEY (queue_id, kind),
    CONSTRAINT endpoint_secret_kind_check CHECK (kind IN ('bearer', 'signing', 'previous_signing'))
);
COMMENT ON TABLE @extschema@.endpoint_secret IS
    'Bearer tokens and signing secrets of endpoints, in clear: readable by nobody but the functions that send.';

CREATE TYPE @extschema@.endpoint_settings AS (
    queue_name text,
    is_active boolean,
    url text,
    method text,
    timeout_milliseconds integer,
    manual_release boolean,
    max_in_flight integer,
    headers jsonb,
    bearer_token_location text,
    client_error_attempts integer,
    max_response_bytes integer,
    is_insecure_allowed boolean,
    has_bearer_token boolean,
    has_signing_secret boolean,
    has_previous_signing_secret boolean
);
COMMENT ON TYPE @extschema@.endpoint_settings IS
    'The settings of an endpoint, without its secrets; the comment on set_endpoint states unit, range and default of each.';

-- extension/tables/77-dispatch.sql
-- Logged, although it lives for seconds: after a crash of the server the dispatchers go on, and their answers must find
-- what they answer. A row is written under the lock of its endpoint's state, so request_id grows in the order of commits.
CREATE TABLE @extschema@.request (
    request_id bigint GENERATED ALWAYS AS IDENTITY,
    job_id bigint NOT NULL,
    lease_token bigint NOT NULL,
    sent_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    queue_id integer NOT NULL,
    timeout_milliseconds integer NOT NULL,
    dispatcher text,
    CONSTRAINT request_pkey PRIMARY KEY (job_id, lease_token)
) WITH (
    fillfactor = 90,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);
COMMENT ON TABLE @extschema@.request IS
    'The requests under way: jobs that were handed to a dispatcher and are not answered yet. A row past expires_at counts no more: its dispatcher has died.';
CREATE INDEX request_queue_idx ON @extschema@.request (queue_id, request_id);

CREATE TYPE @extschema@.dispatch_request AS (
    queue_name text,
    job_id bigint,
    lease_token bigint,
    lease_until timestamptz,
    attempt integer,
    method text,
    url text,
    headers jsonb,
    body text,
    timeout_milliseconds integer,
    max_response_bytes integer,
    manual_release boolean,
    is_insecure_allowed boolean
);
COMMENT ON TYPE @extschema@.dispatch_request IS
    'A request that a dispatcher is to send as it is: headers is an object of strings, body is null for GET; unless is_insecure_allowed no host may lead to a private address. Its answer goes to answer_requests with job_id and lease_token.';

CREATE TYPE @extschema@.endpoint_turn AS (
    queue_id integer,
    queue_name text,
    budget integer,
    share integer,
    url text,
    method text,
    timeout_milliseconds integer,
    manual_release boolean,
    is_insecure_allowed boolean,
    max_response_bytes integer,
    headers jsonb,
    message_prefix text,
    pads bytea[]
);
COMMENT ON TYPE @extschema@.endpoint_turn IS
    'Internal: an endpoint that a pick has locked: how many requests it may get, how many of them now, and what they are made of.';

-- extension/tables/78-native.sql
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

-- extension/tables/79-answer.sql
CREATE TYPE @extschema@.dispatch_outcome AS (
    job_id bigint,
    lease_token bigint,
    outcome text,
    state text,
    error text
);
COMMENT ON TYPE @extschema@.dispatch_outcome IS
    'What an answer led to. outcome: complete, failed, paused or cancelled as in release_job; accepted (the job runs until its handler releases it), ignored (it is answered already, or its lease is lost) or invalid (no answer at all). state: the state of the job now, null when it was not touched. error: what was noted with the job.';

CREATE TYPE @extschema@.follow_up AS (
    queue_name text,
    payload jsonb,
    start_after timestamptz,
    priority integer,
    max_attempts integer,
    unique_key text,
    on_conflict text,
    throttle_milliseconds bigint,
    group_key text,
    timeout_milliseconds integer,
    timeout_with_result text,
    headers jsonb
);
COMMENT ON TYPE @extschema@.follow_up IS 'Internal: a job that an answer asks to add: the parameters of add_job.';

CREATE TYPE @extschema@.answering_endpoint AS (
    queue_id integer,
    manual_release boolean,
    client_error_attempts integer,
    max_response_bytes integer,
    bearer_token text
);
COMMENT ON TYPE @extschema@.answering_endpoint IS
    'Internal: what is to be known of an endpoint to judge its answers.';

-- extension/tables/80-status.sql
CREATE TYPE @extschema@.job_status AS (
    job_id bigint,
    queue_name text,
    state text,
    payload jsonb,
    headers jsonb,
    priority integer,
    attempt integer,
    max_attempts integer,
    start_after timestamptz,
    added_at timestamptz,
    picked_at timestamptz,
    lease_until timestamptz,
    finished_at timestamptz,
    worker text,
    held_by text,
    group_key text,
    unique_key text,
    timeout_milliseconds integer,
    timeout_with_result text,
    output jsonb,
    error text,
    attempts jsonb
);
COMMENT ON TYPE @extschema@.job_status IS
    'A job, live or finished. state: scheduled, ready, running, held, complete, dead or cancelled. attempts: an array, oldest first, of {attempt, picked_at, ended_at, milliseconds, worker, outcome, error}.';

CREATE TYPE @extschema@.queue_stat AS (
    queue_name text,
    ready bigint,
    scheduled bigint,
    running bigint,
    held bigint,
    dead bigint,
    oldest_ready_milliseconds bigint,
    finished_last_minute bigint,
    failed_share_last_minute double precision,
    is_paused boolean
);
COMMENT ON TYPE @extschema@.queue_stat IS
    'The state of a queue: numbers of jobs, the age of the oldest ready one in milliseconds, and of the jobs finished in the last minute the share (0 to 1) that died.';

-- extension/tables/85-maintain.sql
CREATE TYPE @extschema@.maintenance AS (
    expired_unique_keys integer,
    gone_idle_workers integer,
    emptied_history_slots integer
);
COMMENT ON TYPE @extschema@.maintenance IS 'How much of each kind a call of maintain() has put in order.';

-- extension/tables/90-access.sql
CREATE TABLE @extschema@.queue_access (
    queue_id integer NOT NULL,
    role_name name NOT NULL,
    access text NOT NULL,
    CONSTRAINT queue_access_pkey PRIMARY KEY (queue_id, role_name, access),
    CONSTRAINT queue_access_access_check CHECK (access IN ('producer', 'worker', 'observer', 'dispatcher', 'admin'))
);
COMMENT ON TABLE @extschema@.queue_access IS
    'Who may do what with a restricted queue; written by grant_access and revoke_access.';

-- extension/functions/00-base.sql
-- What all other functions stand on: the clock, the errors, the checks of arguments, the version.

-- Without a search_path of its own, so that it is inlined wherever it stands.
CREATE OR REPLACE FUNCTION @extschema@._now()
RETURNS timestamptz
LANGUAGE sql
VOLATILE
PARALLEL SAFE
RETURN pg_catalog.clock_timestamp();
COMMENT ON FUNCTION @extschema@._now IS
    'The one clock: the time of the call, not of the transaction, whose now() would give leases that are born expired. Tests replace it inside their transaction.';

CREATE OR REPLACE FUNCTION @extschema@.installed_version()
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN '0.1.0'::text;
COMMENT ON FUNCTION @extschema@.installed_version IS
    'Returns the version of the installed SQL, such as 0.1.0.';

CREATE OR REPLACE FUNCTION @extschema@.error_codes()
RETURNS SETOF @extschema@.error_code
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.code, e.name, e.meaning
    FROM (VALUES
        ('JQ001', 'queue_not_found', 'no queue has this name'),
        ('JQ002', 'job_not_found', 'no job has this id, or its history is no longer kept'),
        ('JQ003', 'lease_lost', 'the lease token no longer holds the job: it timed out, was cancelled or was picked anew'),
        ('JQ004', 'job_in_another_state', 'the job is not in a state in which this can be done'),
        ('JQ005', 'queue_paused', 'the queue is paused'),
        ('JQ006', 'endpoint_not_found', 'the queue has no endpoint')
    ) AS e (code, name, meaning);
END;
COMMENT ON FUNCTION @extschema@.error_codes IS
    'Returns the SQLSTATEs of this queue''s own, each with its name in the SDK and its meaning.';

CREATE OR REPLACE FUNCTION @extschema@._require(is_met boolean, expected text, given text)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF is_met IS NOT TRUE THEN
        RAISE EXCEPTION 'expected %, got %', expected, COALESCE(quote_literal(left(given, 100)), 'null')
            USING ERRCODE = CASE WHEN given IS NULL THEN '22004' ELSE '22023' END;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require IS
    'Internal: raises 22023 (22004 for a null) with what was expected and what came, unless is_met.';

-- extension/functions/05-watermark.sql
-- Watermarks: a scan that had to step over many dead or running rows leaves, in a setting of the
-- session, the position below which it found nothing, and the next scan begins there. So nobody reads
-- the graveyard of finished jobs twice while an old snapshot keeps it from being cleaned. What comes
-- to be below the mark (a late commit, a lease that ran out) is met by the next scan from the
-- beginning, which is due after ten times the time that the last one took.
-- A scan is slow by what it read, and not by the time it took: among many busy sessions most of that is waiting.

CREATE OR REPLACE FUNCTION @extschema@._scan_work(index regclass)
RETURNS bigint
LANGUAGE sql
VOLATILE
PARALLEL SAFE
RETURN pg_catalog.pg_stat_get_xact_tuples_returned(index) OPERATOR(pg_catalog.+)
    (20 OPERATOR(pg_catalog.*) pg_catalog.pg_stat_get_xact_blocks_fetched(index));
COMMENT ON FUNCTION @extschema@._scan_work IS
    'Internal: grows with what this session reads by the index: 1 for an entry that it follows, 20 for a page. Stands still without track_counts. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._is_slow(work bigint, allowed bigint, took interval)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN (work OPERATOR(pg_catalog.>) allowed)
    OR (took OPERATOR(pg_catalog.>) interval '20 milliseconds');
COMMENT ON FUNCTION @extschema@._is_slow IS
    'Internal: whether a scan that read so much, and was allowed so much, is worth a watermark; by the time it took where work is not counted. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._watermark(mark text, at timestamptz)
RETURNS @extschema@.watermark
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parts text[] := string_to_array(NULLIF(current_setting(mark, true), ''), '|');
BEGIN
    IF v_parts IS NULL OR to_timestamp(v_parts[3]::double precision) <= at THEN
        RETURN ('-infinity', 0, false)::@extschema@.watermark;
    END IF;
    RETURN (to_timestamp(v_parts[1]::double precision), v_parts[2]::bigint, true)::@extschema@.watermark;
END
$$;
COMMENT ON FUNCTION @extschema@._watermark IS
    'Internal: where the scan that has this mark begins now; mark is the name of a setting of the session, at is the time.';

CREATE OR REPLACE FUNCTION @extschema@._note_scan(
    mark text,
    was_set boolean,
    is_slow boolean,
    took interval,
    found_at timestamptz,
    found_id bigint,
    at timestamptz
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_full_scan_at double precision;
BEGIN
    IF is_slow THEN
        v_full_scan_at := CASE
            WHEN was_set THEN split_part(current_setting(mark), '|', 3)::double precision
            ELSE EXTRACT(epoch FROM at + took * 10) END;
        PERFORM set_config(mark,
            concat_ws('|', EXTRACT(epoch FROM found_at), found_id, v_full_scan_at), false);
    ELSIF NOT was_set AND current_setting(mark, true) <> '' THEN
        PERFORM set_config(mark, '', false);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._note_scan IS
    'Internal: moves the mark to the position at which a slow scan found its first row; a fast scan from the beginning takes the mark away.';

-- extension/functions/10-queue.sql
-- Queues: their settings, pausing, emptying and dropping them.

-- Writes: queue and lane, when the queue is new or had been dropped.
-- Locks: the queue's row, then; a second creator waits for the first to commit.
CREATE OR REPLACE FUNCTION @extschema@._make_queue(queue_name text)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
BEGIN
    PERFORM @extschema@._require(queue_name <> '' AND octet_length(queue_name) <= 200,
        'queue_name to be 1 to 200 bytes long', queue_name);
    INSERT INTO @extschema@.queue AS q (queue_name)
    VALUES (_make_queue.queue_name)
    ON CONFLICT ON CONSTRAINT queue_queue_name_key DO UPDATE SET
        is_dropped = false,
        created_at = CASE WHEN q.is_dropped THEN clock_timestamp() ELSE q.created_at END
    RETURNING q.queue_id INTO v_queue_id;
    IF NOT EXISTS (SELECT FROM @extschema@.lane AS l WHERE l.queue_id = v_queue_id AND l.priority = 0) THEN
        INSERT INTO @extschema@.lane (queue_id, priority) VALUES (v_queue_id, 0);
    END IF;
    RETURN v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._make_queue IS
    'Internal: makes the queue with the default settings unless it exists; returns its queue_id.';

CREATE OR REPLACE FUNCTION @extschema@._queue_id(queue_name text, needed_access text)
RETURNS integer
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_is_restricted boolean;
BEGIN
    PERFORM @extschema@._require(queue_name IS NOT NULL, 'queue_name', queue_name);
    SELECT q.queue_id, q.is_restricted INTO v_queue_id, v_is_restricted
    FROM @extschema@.queue AS q
    WHERE q.queue_name = _queue_id.queue_name
      -- An add that was under way when the queue was dropped has brought it back.
      AND (NOT q.is_dropped OR EXISTS (SELECT FROM @extschema@.job AS j WHERE j.queue_id = q.queue_id));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'queue "%" not found', left(queue_name, 200)
            USING ERRCODE = 'JQ001', HINT = 'add_job and set_queue_config make a queue.';
    END IF;
    IF v_is_restricted THEN
        PERFORM @extschema@._check_access(ARRAY[v_queue_id], needed_access);
    END IF;
    RETURN v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._queue_id IS
    'Internal: the id of the queue, which the caller may use with needed_access; raises JQ001 or 42501.';

CREATE OR REPLACE FUNCTION @extschema@._queue_config(queue_id integer)
RETURNS @extschema@.queue_config
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT q.queue_name, q.max_concurrency, q.max_concurrency_per_group, q.group_order, q.max_attempts,
           q.retry_backoff, q.pause_between_retries_milliseconds,
           q.max_pause_between_retries_milliseconds, q.timeout_milliseconds, q.timeout_with_result,
           q.keep_history, q.history_days, q.dead_days, q.max_payload_bytes, q.paused_until,
           q.pause_reason, q.created_at
    FROM @extschema@.queue AS q
    WHERE q.queue_id = _queue_config.queue_id;
END;
COMMENT ON FUNCTION @extschema@._queue_config IS 'Internal: the settings of a queue by its id.';

CREATE OR REPLACE FUNCTION @extschema@.get_queue_config(queue_name text)
RETURNS @extschema@.queue_config
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._queue_config(@extschema@._queue_id(queue_name, 'observer'));
END
$$;
COMMENT ON FUNCTION @extschema@.get_queue_config IS
    'Returns the settings of a queue; a limit that is null is no limit. Raises JQ001 when the queue does not exist.';

-- Writes: queue; when a limit changes, running_job, or job.held_by and group_hint.
-- Locks: the queue's row; when max_concurrency changes, the queue's advisory lock.
CREATE OR REPLACE FUNCTION @extschema@.set_queue_config(
    queue_name text,
    max_concurrency integer DEFAULT NULL,
    max_concurrency_per_group integer DEFAULT NULL,
    group_order text DEFAULT NULL,
    max_attempts integer DEFAULT NULL,
    retry_backoff text DEFAULT NULL,
    pause_between_retries_milliseconds bigint DEFAULT NULL,
    max_pause_between_retries_milliseconds bigint DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    timeout_with_result text DEFAULT NULL,
    keep_history text DEFAULT NULL,
    history_days integer DEFAULT NULL,
    dead_days integer DEFAULT NULL,
    max_payload_bytes integer DEFAULT NULL
)
RETURNS @extschema@.queue_config
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_old_limit integer;
    v_old_group_limit integer;
    v_new_limit integer;
    v_new_group_limit integer;
BEGIN
    PERFORM @extschema@._check_queue_config(
        max_concurrency, max_concurrency_per_group, group_order, max_attempts, retry_backoff,
        pause_between_retries_milliseconds, max_pause_between_retries_milliseconds,
        timeout_milliseconds, timeout_with_result, keep_history, history_days, dead_days,
        max_payload_bytes);
    v_queue_id := @extschema@._make_queue(queue_name);
    PERFORM @extschema@._queue_id(queue_name, 'admin');
    SELECT q.max_concurrency, q.max_concurrency_per_group INTO v_old_limit, v_old_group_limit
    FROM @extschema@.queue AS q WHERE q.queue_id = v_queue_id FOR UPDATE;

    UPDATE @extschema@.queue AS q SET
        max_concurrency = CASE set_queue_config.max_concurrency
            WHEN 0 THEN NULL ELSE COALESCE(set_queue_config.max_concurrency, q.max_concurrency) END,
        max_concurrency_per_group = CASE set_queue_config.max_concurrency_per_group
            WHEN 0 THEN NULL
            ELSE COALESCE(set_queue_config.max_concurrency_per_group, q.max_concurrency_per_group) END,
        has_groups = q.has_groups OR COALESCE(set_queue_config.max_concurrency_per_group, 0) > 0,
        group_order = COALESCE(set_queue_config.group_order, q.group_order),
        max_attempts = COALESCE(set_queue_config.max_attempts, q.max_attempts),
        retry_backoff = COALESCE(set_queue_config.retry_backoff, q.retry_backoff),
        pause_between_retries_milliseconds = COALESCE(
            set_queue_config.pause_between_retries_milliseconds, q.pause_between_retries_milliseconds),
        max_pause_between_retries_milliseconds = COALESCE(
            set_queue_config.max_pause_between_retries_milliseconds,
            q.max_pause_between_retries_milliseconds),
        timeout_milliseconds = COALESCE(set_queue_config.timeout_milliseconds, q.timeout_milliseconds),
        timeout_with_result = COALESCE(set_queue_config.timeout_with_result, q.timeout_with_result),
        keep_history = COALESCE(set_queue_config.keep_history, q.keep_history),
        history_days = COALESCE(set_queue_config.history_days, q.history_days),
        dead_days = COALESCE(set_queue_config.dead_days, q.dead_days),
        max_payload_bytes = COALESCE(set_queue_config.max_payload_bytes, q.max_payload_bytes)
    WHERE q.queue_id = v_queue_id
    RETURNING q.max_concurrency, q.max_concurrency_per_group INTO v_new_limit, v_new_group_limit;

    IF v_new_limit IS DISTINCT FROM v_old_limit THEN
        PERFORM @extschema@._apply_limit(v_queue_id, v_old_limit, v_new_limit);
    END IF;
    IF v_new_group_limit IS DISTINCT FROM v_old_group_limit THEN
        PERFORM @extschema@._apply_group_limit(v_queue_id, v_new_group_limit);
    END IF;
    RETURN @extschema@._queue_config(v_queue_id);
END
$$;
COMMENT ON FUNCTION @extschema@.set_queue_config IS
$$Sets what is given and leaves the rest as it is; makes the queue if it does not exist. Returns all settings. Jobs that other transactions pick or add while a limit is being set, and commit only later, do not count against it.
max_concurrency: jobs of the queue that may run at once; from 1; 0 sets no limit; default no limit.
max_concurrency_per_group: jobs with the same group_key that may run at once; from 1; 0 sets no limit; default no limit.
group_order: loose (a job that failed gives its group's turn to the next) or strict (it keeps the turn while it backs off); default loose.
max_attempts: attempts in all before a job is dead; 1 to 1000; default 10.
retry_backoff: exponential (a random pause up to the doubled pause of the attempt before: full jitter) or fixed; default exponential.
pause_between_retries_milliseconds: the pause after the first failed attempt; 0 to 604800000; default 5000.
max_pause_between_retries_milliseconds: the longest pause that exponential reaches; 0 to 604800000; default 3600000.
timeout_milliseconds: the length of a lease, unless the job or the pick has its own; 100 to 604800000; default 30000.
timeout_with_result: what a lease that ran out counts as: failed, paused, complete or cancelled; default failed.
keep_history: which finished jobs are kept: all, dead or none; default all.
history_days: how long complete and cancelled jobs are kept; 1 to 30 days; default 7.
dead_days: how long dead jobs are kept; 1 to 30 days; default 30.
max_payload_bytes: the largest payload, and the largest headers, as stored; 1024 to 268435456 bytes; default 1048576.
Errors: 22023 for a value out of its range.$$;

CREATE OR REPLACE FUNCTION @extschema@._check_queue_config(
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
    max_payload_bytes integer
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_range record;
    v_choice record;
BEGIN
    FOR v_range IN
        SELECT r.name, r.given, r.low, r.high
        FROM (VALUES
            ('max_concurrency', max_concurrency::bigint, 0, 2147483647),
            ('max_concurrency_per_group', max_concurrency_per_group, 0, 2147483647),
            ('max_attempts', max_attempts, 1, 1000),
            ('pause_between_retries_milliseconds', pause_between_retries_milliseconds, 0, 604800000),
            ('max_pause_between_retries_milliseconds', max_pause_between_retries_milliseconds, 0, 604800000),
            ('timeout_milliseconds', timeout_milliseconds, 100, 604800000),
            ('history_days', history_days, 1, 30),
            ('dead_days', dead_days, 1, 30),
            ('max_payload_bytes', max_payload_bytes, 1024, 268435456)
        ) AS r (name, given, low, high)
        WHERE r.given NOT BETWEEN r.low AND r.high
    LOOP
        PERFORM @extschema@._require(false,
            format('%s to be between %s and %s', v_range.name, v_range.low, v_range.high),
            v_range.given::text);
    END LOOP;
    FOR v_choice IN
        SELECT c.name, c.given, c.choices
        FROM (VALUES
            ('group_order', group_order, ARRAY['loose', 'strict']),
            ('retry_backoff', retry_backoff, ARRAY['exponential', 'fixed']),
            ('timeout_with_result', timeout_with_result, ARRAY['failed', 'paused', 'complete', 'cancelled']),
            ('keep_history', keep_history, ARRAY['all', 'dead', 'none'])
        ) AS c (name, given, choices)
        WHERE c.given <> ALL (c.choices)
    LOOP
        PERFORM @extschema@._require(false,
            format('%s to be one of %s', v_choice.name, array_to_string(v_choice.choices, ', ')),
            v_choice.given);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._check_queue_config IS
    'Internal: raises 22023 for the first setting that is given and out of its range.';

-- Writes: queue.paused_until, queue.pause_reason.  Locks: the queue's row.
CREATE OR REPLACE FUNCTION @extschema@.pause_queue(
    queue_name text,
    paused_until timestamptz DEFAULT 'infinity',
    reason text DEFAULT NULL
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    PERFORM @extschema@._require(paused_until IS NOT NULL, 'paused_until', paused_until::text);
    UPDATE @extschema@.queue AS q
    SET paused_until = pause_queue.paused_until, pause_reason = pause_queue.reason
    WHERE q.queue_id = v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@.pause_queue IS
    'Stops picks from the queue until paused_until (default: until resume_queue). Adds go on, and running jobs may finish. The reason is shown by get_queue_config. Raises JQ001 when the queue does not exist.';

-- Writes: queue.paused_until, queue.pause_reason.  Locks: the queue's row.
CREATE OR REPLACE FUNCTION @extschema@.resume_queue(queue_name text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    UPDATE @extschema@.queue AS q SET paused_until = NULL, pause_reason = NULL
    WHERE q.queue_id = v_queue_id;
    PERFORM @extschema@._wake_workers(ARRAY[v_queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@.resume_queue IS
    'Lets jobs of a paused queue be picked again. Raises JQ001 when the queue does not exist.';

-- Writes: deletes from job, unique_key; group_hint.  Locks: the job rows, those being picked excepted.
CREATE OR REPLACE FUNCTION @extschema@.purge_queue(queue_name text)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
    v_purged bigint;
BEGIN
    WITH gone AS (
        DELETE FROM @extschema@.job AS j
        WHERE j.job_id IN (
            SELECT waiting.job_id FROM @extschema@.job AS waiting
            WHERE waiting.queue_id = v_queue_id AND waiting.lease_token IS NULL
            FOR UPDATE SKIP LOCKED)
        RETURNING j.job_id, j.unique_key, j.group_key
    ), hinted AS (
        -- One that was being changed is still there, and may be held.
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT DISTINCT v_queue_id, gone.group_key, @extschema@._now()
        FROM gone
        WHERE gone.group_key IS NOT NULL
    ), freed AS (
        DELETE FROM @extschema@.unique_key AS k
        USING gone
        WHERE k.queue_id = v_queue_id AND k.unique_key = gone.unique_key AND k.job_id = gone.job_id
    )
    SELECT count(*) INTO v_purged FROM gone;
    RETURN v_purged;
END
$$;
COMMENT ON FUNCTION @extschema@.purge_queue IS
    'Deletes the jobs of the queue that wait (ready, scheduled or held), without history; running ones stay. Returns their number. Raises JQ001 when the queue does not exist.';

-- Writes: deletes the queue's rows in job, finished_job, unique_key, group_hint, running_job, idle_worker,
-- queue_access, request and those of its endpoint; sets queue back to the defaults.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.drop_queue(queue_name text, force boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    IF NOT COALESCE(force, false)
       AND EXISTS (SELECT FROM @extschema@.job AS j WHERE j.queue_id = v_queue_id) THEN
        RAISE EXCEPTION 'queue "%" has live jobs', queue_name
            USING ERRCODE = '55000', HINT = 'Purge it or wait for them, or pass force => true.';
    END IF;
    DELETE FROM @extschema@.job AS j WHERE j.queue_id = v_queue_id;
    DELETE FROM @extschema@.unique_key AS k WHERE k.queue_id = v_queue_id;
    DELETE FROM @extschema@.running_job AS r WHERE r.queue_id = v_queue_id;
    DELETE FROM @extschema@.group_hint AS h WHERE h.queue_id = v_queue_id;
    DELETE FROM @extschema@.finished_job AS f WHERE f.queue_id = v_queue_id;
    DELETE FROM @extschema@.idle_worker AS w WHERE w.queue_id = v_queue_id;
    DELETE FROM @extschema@.queue_access AS a WHERE a.queue_id = v_queue_id;
    DELETE FROM @extschema@.request AS r WHERE r.queue_id = v_queue_id;
    PERFORM @extschema@._remove_endpoint(v_queue_id);
    UPDATE @extschema@.queue AS q SET
        max_concurrency = NULL, max_concurrency_per_group = NULL, group_order = DEFAULT,
        max_attempts = DEFAULT, retry_backoff = DEFAULT,
        pause_between_retries_milliseconds = DEFAULT, max_pause_between_retries_milliseconds = DEFAULT,
        timeout_milliseconds = DEFAULT, timeout_with_result = DEFAULT, keep_history = DEFAULT,
        history_days = DEFAULT, dead_days = DEFAULT, max_payload_bytes = DEFAULT,
        paused_until = NULL, pause_reason = NULL, is_restricted = false, is_dropped = true
    WHERE q.queue_id = v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@.drop_queue IS
    'Removes the queue with its settings and history. Refuses (55000) while it has live jobs, unless force => true, which deletes them too, the running ones included. An add that was under way makes the queue anew. Raises JQ001 when the queue does not exist.';

-- extension/functions/25-history.sql
-- The history ring: where a finished job goes, and the way back from it.

CREATE OR REPLACE FUNCTION @extschema@._day(at timestamptz)
RETURNS integer
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.floor(pg_catalog.date_part('epoch', at) OPERATOR(pg_catalog./) 86400)::integer;
COMMENT ON FUNCTION @extschema@._day IS
    'Internal: the UTC day of a time, in days since 1970-01-01. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._slot(
    keep_history text,
    history_days integer,
    dead_days integer,
    state text,
    at timestamptz
)
RETURNS integer
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN CASE
    WHEN keep_history OPERATOR(pg_catalog.=) 'all'
         OR keep_history OPERATOR(pg_catalog.=) 'dead' AND state OPERATOR(pg_catalog.=) 'dead'
    THEN (@extschema@._day(at) OPERATOR(pg_catalog.+)
          CASE WHEN state OPERATOR(pg_catalog.=) 'dead' THEN dead_days ELSE history_days END)
         OPERATOR(pg_catalog.%) 40 END;
COMMENT ON FUNCTION @extschema@._slot IS
    'Internal: the slot of the history for a job that ends now, null when its queue does not keep it. Without a search_path of its own, so that it is inlined.';

-- One attempt as it stands in job.attempts. Error texts are cut so that a row stays small.
CREATE OR REPLACE FUNCTION @extschema@._attempt(
    attempt integer,
    picked_at timestamptz,
    ended_at timestamptz,
    worker text,
    outcome text,
    error text
)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'attempt', attempt,
        'picked_at', picked_at,
        'ended_at', ended_at,
        'milliseconds', round(EXTRACT(epoch FROM ended_at - picked_at) * 1000, 3),
        'worker', worker,
        'outcome', outcome,
        'error', left(error, 4000)));
END
$$;
COMMENT ON FUNCTION @extschema@._attempt IS
    'Internal: an attempt as jsonb, with the first 4000 characters of its error.';

-- The last 100 attempts are kept: a job that fails for ever must not grow for ever.
CREATE OR REPLACE FUNCTION @extschema@._with_attempt(attempts jsonb, ended jsonb)
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN jsonb_array_length(attempts) >= 100 THEN attempts - 0 ELSE COALESCE(attempts, '[]') END
    || jsonb_build_array(ended);
COMMENT ON FUNCTION @extschema@._with_attempt IS
    'Internal: the attempts with one more; the last 100 are kept.';

-- Writes: deletes from finished_job; inserts into job, lane, unique_key, group_hint.
-- Locks: the finished rows that are revived.
CREATE OR REPLACE FUNCTION @extschema@._revive_jobs(job_ids bigint[], start_after timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_start_after timestamptz := GREATEST(start_after, v_now);
    v_free_ids bigint[];
    v_revived bigint[];
    v_queue_ids integer[];
BEGIN
    -- A key that another job holds by now, or that two of these had, lets only one job in.
    WITH candidate AS (
        SELECT DISTINCT ON (f.queue_id, COALESCE(f.unique_key, f.job_id::text), f.unique_key IS NULL)
            f.job_id, f.queue_id, f.unique_key
        FROM @extschema@.finished_job AS f
        WHERE f.job_id = ANY (job_ids)
        ORDER BY f.queue_id, COALESCE(f.unique_key, f.job_id::text), f.unique_key IS NULL, f.job_id
    ), taken AS (
        INSERT INTO @extschema@.unique_key AS k (queue_id, unique_key, job_id)
        SELECT c.queue_id, c.unique_key, c.job_id
        FROM candidate AS c
        WHERE c.unique_key IS NOT NULL
        ORDER BY c.queue_id, c.unique_key
        ON CONFLICT ON CONSTRAINT unique_key_pkey DO UPDATE
            SET job_id = EXCLUDED.job_id, holds_until = NULL, throttle_milliseconds = NULL
            WHERE k.holds_until IS NOT NULL
        RETURNING k.job_id
    )
    SELECT array_agg(c.job_id) INTO v_free_ids
    FROM candidate AS c
    WHERE c.unique_key IS NULL OR c.job_id IN (SELECT t.job_id FROM taken AS t);

    WITH back AS (
        DELETE FROM @extschema@.finished_job AS f
        WHERE f.job_id = ANY (v_free_ids)
        RETURNING f.job_id, f.queue_id, f.priority, f.max_attempts, f.added_at, f.picked_at, f.finished_at,
            f.attempt, f.state, f.error, f.worker, f.attempts, f.timeout_milliseconds,
            f.timeout_with_result, f.group_key, f.unique_key, f.headers, f.payload
    ), live AS (
        INSERT INTO @extschema@.job AS j (
            job_id, queue_id, priority, start_after, added_at, attempt, max_attempts, held_by,
            attempts, timeout_milliseconds, timeout_with_result, group_key, unique_key, headers, payload)
        OVERRIDING SYSTEM VALUE
        SELECT b.job_id, b.queue_id, b.priority, v_start_after, b.added_at, 0, b.max_attempts,
            CASE WHEN b.group_key IS NOT NULL AND q.max_concurrency_per_group IS NOT NULL THEN 'group' END,
            CASE WHEN b.picked_at IS NULL THEN b.attempts
                 ELSE @extschema@._with_attempt(b.attempts, @extschema@._attempt(
                     b.attempt, b.picked_at, b.finished_at, b.worker,
                     CASE b.state WHEN 'dead' THEN 'failed' ELSE b.state END, b.error)) END,
            b.timeout_milliseconds, b.timeout_with_result, b.group_key, b.unique_key, b.headers, b.payload
        FROM back AS b
        JOIN @extschema@.queue AS q ON q.queue_id = b.queue_id
        ORDER BY b.job_id
        RETURNING j.job_id, j.queue_id, j.priority, j.group_key, j.held_by
    ), lanes AS (
        INSERT INTO @extschema@.lane (queue_id, priority)
        SELECT DISTINCT l.queue_id, l.priority
        FROM live AS l
        WHERE NOT EXISTS (SELECT FROM @extschema@.lane AS known
                          WHERE known.queue_id = l.queue_id AND known.priority = l.priority)
    ), hints AS (
        INSERT INTO @extschema@.group_hint (queue_id, due_at, group_key)
        SELECT DISTINCT l.queue_id, v_start_after, l.group_key
        FROM live AS l
        WHERE l.held_by = 'group'
    )
    SELECT array_agg(l.job_id), array_agg(DISTINCT l.queue_id) INTO v_revived, v_queue_ids
    FROM live AS l;
    PERFORM @extschema@._wake_workers(v_queue_ids);
    RETURN COALESCE(v_revived, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._revive_jobs IS
    'Internal: brings finished jobs back to their line with attempts anew; returns the ids of those whose unique key was free.';

-- extension/functions/30-unique_key.sql
-- Unique keys: at most one waiting job holds a key. The order of locks is job, then key, everywhere.

-- Writes: unique_key; job.payload and its kin when the holder is replaced.
-- Locks: the holder's job row when it is replaced; the key's row when it changes hands.
CREATE OR REPLACE FUNCTION @extschema@._claim_key(
    queue_id integer,
    unique_key text,
    on_conflict text,
    throttle_milliseconds bigint,
    payload jsonb,
    headers jsonb,
    start_after timestamptz,
    new_id bigint DEFAULT NULL
)
RETURNS @extschema@.added_job
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job_id bigint := COALESCE(new_id, nextval('@extschema@.job_job_id_seq'::regclass));
    v_holder record;
    v_replaced record;
    v_claimed @extschema@.added_job;
BEGIN
    WHILE v_claimed.job_id IS NULL LOOP
        INSERT INTO @extschema@.unique_key (queue_id, unique_key, job_id, throttle_milliseconds)
        VALUES (_claim_key.queue_id, _claim_key.unique_key, v_job_id, _claim_key.throttle_milliseconds)
        ON CONFLICT ON CONSTRAINT unique_key_pkey DO NOTHING;
        IF FOUND THEN
            v_claimed := (v_job_id, true);
            CONTINUE;
        END IF;

        SELECT k.job_id, k.holds_until INTO v_holder
        FROM @extschema@.unique_key AS k
        WHERE k.queue_id = _claim_key.queue_id AND k.unique_key = _claim_key.unique_key;
        CONTINUE WHEN NOT FOUND;

        IF v_holder.holds_until > @extschema@._now()
           OR (v_holder.holds_until IS NULL AND on_conflict IN ('skip', 'throttle')) THEN
            v_claimed := (v_holder.job_id, false);
            CONTINUE;
        END IF;

        IF v_holder.holds_until IS NULL THEN
            UPDATE @extschema@.job AS j SET
                payload = _claim_key.payload,
                headers = _claim_key.headers,
                start_after = CASE
                    WHEN on_conflict = 'debounce'
                        THEN GREATEST(_claim_key.start_after, j.start_after, @extschema@._now())
                    ELSE COALESCE(_claim_key.start_after, j.start_after) END
            WHERE j.job_id = v_holder.job_id AND j.lease_token IS NULL
            RETURNING j.held_by, j.group_key, j.start_after INTO v_replaced;
            IF FOUND THEN
                IF v_replaced.held_by = 'group' THEN
                    PERFORM @extschema@._hint_group(queue_id, v_replaced.group_key, v_replaced.start_after);
                ELSIF v_replaced.group_key IS NOT NULL AND v_replaced.start_after > @extschema@._now() THEN
                    PERFORM @extschema@._give_way(v_holder.job_id);
                END IF;
                v_claimed := (v_holder.job_id, false);
                CONTINUE;
            END IF;
        END IF;

        -- The holder runs already, so that it would not see the new payload, or its throttle is
        -- over: the key goes to a new job.
        UPDATE @extschema@.unique_key AS k SET
            job_id = v_job_id, holds_until = NULL, throttle_milliseconds = _claim_key.throttle_milliseconds
        WHERE k.queue_id = _claim_key.queue_id AND k.unique_key = _claim_key.unique_key
          AND k.job_id = v_holder.job_id AND k.holds_until IS NOT DISTINCT FROM v_holder.holds_until;
        IF FOUND THEN
            v_claimed := (v_job_id, true);
        END IF;
    END LOOP;
    RETURN v_claimed;
END
$$;
COMMENT ON FUNCTION @extschema@._claim_key IS
    'Internal: takes the key for a job that is about to be added (is_new, with the id it must have), or deals with the job that holds it as on_conflict says.';

-- Writes: unique_key.  Locks: the keys' rows, in the order of the keys.
CREATE OR REPLACE FUNCTION @extschema@._free_keys(tails @extschema@.job_tail[], freed_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = on
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
BEGIN
    WITH ended AS (
        SELECT k.queue_id, k.unique_key, k.throttle_milliseconds
        FROM unnest(tails) AS t
        JOIN @extschema@.unique_key AS k
            ON k.queue_id = t.queue_id AND k.unique_key = t.unique_key AND k.job_id = t.job_id
        WHERE t.unique_key IS NOT NULL
        ORDER BY k.queue_id, k.unique_key
        FOR UPDATE OF k
    ), throttled AS (
        UPDATE @extschema@.unique_key AS k
        SET holds_until = freed_at + e.throttle_milliseconds * interval '1 millisecond'
        FROM ended AS e
        WHERE k.queue_id = e.queue_id AND k.unique_key = e.unique_key
          AND e.throttle_milliseconds IS NOT NULL
    )
    DELETE FROM @extschema@.unique_key AS k
    USING ended AS e
    WHERE k.queue_id = e.queue_id AND k.unique_key = e.unique_key AND e.throttle_milliseconds IS NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._free_keys IS
    'Internal: frees the keys of jobs that ended, or starts their throttle.';

-- Writes, locks: as _claim_key; the keys are taken in one order, so that two batches do not deadlock.
CREATE OR REPLACE FUNCTION @extschema@._claim_keys(
    queue_id integer,
    unique_keys text[],
    on_conflict text,
    throttle_milliseconds bigint,
    payloads jsonb[],
    headers jsonb,
    start_after timestamptz
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_job_ids bigint[];
    v_heirs bigint[];
    v_given record;
    v_added @extschema@.added_job;
BEGIN
    v_job_ids := ARRAY(SELECT nextval('@extschema@.job_job_id_seq'::regclass)
                       FROM generate_series(1, cardinality(unique_keys)));
    -- Of the payloads of this batch with the same key one is the heir: the first, or the last
    -- where a later one replaces it.
    v_heirs := ARRAY(
        SELECT CASE
            WHEN g.unique_key IS NULL THEN g.place
            WHEN on_conflict IN ('skip', 'throttle') THEN min(g.place) OVER same_key
            ELSE max(g.place) OVER same_key END
        FROM unnest(unique_keys) WITH ORDINALITY AS g (unique_key, place)
        WINDOW same_key AS (PARTITION BY g.unique_key)
        ORDER BY g.place);
    FOR v_given IN
        WITH given AS MATERIALIZED (
            SELECT g.job_id, g.unique_key, g.payload, g.place
            FROM unnest(v_job_ids, unique_keys, payloads, v_heirs)
                WITH ORDINALITY AS g (job_id, unique_key, payload, heir, place)
            WHERE g.unique_key IS NOT NULL AND g.heir = g.place
        ), taken AS (
            INSERT INTO @extschema@.unique_key AS k (queue_id, unique_key, job_id, throttle_milliseconds)
            SELECT _claim_keys.queue_id, g.unique_key, g.job_id, _claim_keys.throttle_milliseconds
            FROM given AS g
            ORDER BY g.unique_key
            ON CONFLICT ON CONSTRAINT unique_key_pkey DO NOTHING
            RETURNING k.job_id
        )
        SELECT g.place, g.unique_key, g.payload
        FROM given AS g
        WHERE g.job_id NOT IN (SELECT t.job_id FROM taken AS t)
        ORDER BY g.unique_key
    LOOP
        v_added := @extschema@._claim_key(_claim_keys.queue_id, v_given.unique_key, on_conflict,
            throttle_milliseconds, v_given.payload, headers, start_after, v_job_ids[v_given.place]);
        v_job_ids[v_given.place] := CASE WHEN v_added.is_new THEN v_added.job_id ELSE -v_added.job_id END;
    END LOOP;
    RETURN ARRAY(
        SELECT CASE WHEN h.heir = h.place THEN v_job_ids[h.place] ELSE -abs(v_job_ids[h.heir]) END
        FROM unnest(v_heirs) WITH ORDINALITY AS h (heir, place)
        ORDER BY h.place);
END
$$;
COMMENT ON FUNCTION @extschema@._claim_keys IS
    'Internal: an id for each payload: that of the job to insert, or, negative, that of the job that holds the key.';

-- extension/functions/35-group.sql
-- Groups: only as many jobs of a group are in line as its limit allows, the others are held. Adds and
-- releases leave hints; a pick takes the hints that are due and lets the next jobs through.

-- Writes: inserts into group_hint.
CREATE OR REPLACE FUNCTION @extschema@._hint_group(queue_id integer, group_key text, due_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
    VALUES (_hint_group.queue_id, _hint_group.group_key, _hint_group.due_at);
END
$$;
COMMENT ON FUNCTION @extschema@._hint_group IS
    'Internal: asks picks to look at this group from due_at on.';

-- Writes: deletes due rows of group_hint.  Locks: these rows, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._take_hints(queue_id integer, max_hints integer)
RETURNS text[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_mark text := format('pgq.hints_%s_%s', '@extschema@.group_hint'::regclass::oid, queue_id);
    v_from @extschema@.watermark := @extschema@._watermark(v_mark, v_now);
    v_began timestamptz := clock_timestamp();
    v_work bigint := @extschema@._scan_work('@extschema@.group_hint_idx');
    v_took interval;
    v_groups text[];
    v_first_at timestamptz;
BEGIN
    WITH taken AS (
        DELETE FROM @extschema@.group_hint AS h
        WHERE h.ctid = ANY (ARRAY(
            SELECT due.ctid
            FROM @extschema@.group_hint AS due
            WHERE due.queue_id = _take_hints.queue_id
              AND (due.due_at, due.hint_id) >= (v_from.from_at, v_from.from_id)
              AND due.due_at <= v_now
            ORDER BY due.due_at, due.hint_id
            LIMIT _take_hints.max_hints
            FOR UPDATE SKIP LOCKED))
        RETURNING h.group_key, h.due_at
    )
    SELECT array_agg(DISTINCT t.group_key), min(t.due_at) INTO v_groups, v_first_at FROM taken AS t;

    v_took := clock_timestamp() - v_began;
    PERFORM @extschema@._note_scan(v_mark, v_from.is_set,
        @extschema@._is_slow(@extschema@._scan_work('@extschema@.group_hint_idx') - v_work,
            400 + 2 * max_hints, v_took), v_took,
        COALESCE(v_first_at, v_now - interval '100 milliseconds'), 0, v_now);
    RETURN COALESCE(v_groups, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._take_hints IS
    'Internal: takes up to max_hints due hints of the queue and returns their groups, each once.';

-- Writes: job.held_by and job.start_after of the jobs let through.
-- Locks: the caller holds the group's lock; the rows of the held jobs, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._let_group_through(
    queue_id integer,
    group_key text,
    group_limit integer,
    is_strict boolean
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_free integer := 1000;
    v_next tid[];
    v_locked tid[];
BEGIN
    IF group_limit IS NOT NULL THEN
        SELECT group_limit - count(*) INTO v_free
        FROM (SELECT FROM @extschema@.job AS j
              WHERE j.queue_id = _let_group_through.queue_id
                AND j.group_key = _let_group_through.group_key
                AND j.held_by IS NULL
              LIMIT group_limit) AS in_line;
    END IF;
    IF v_free <= 0 THEN
        RETURN 0;
    END IF;

    v_next := ARRAY(
        SELECT j.ctid
        FROM @extschema@.job AS j
        WHERE j.queue_id = _let_group_through.queue_id
          AND j.group_key = _let_group_through.group_key
          AND j.held_by = 'group'
          AND j.start_after <= v_now
        ORDER BY j.priority DESC, j.start_after, j.job_id
        LIMIT v_free);
    IF v_next = '{}' THEN
        RETURN 0;
    END IF;
    v_locked := ARRAY(SELECT j.ctid FROM @extschema@.job AS j WHERE j.ctid = ANY (v_next)
                      FOR UPDATE SKIP LOCKED);
    -- Somebody is changing one of them: its turn is not given to another in a strict line.
    IF v_locked = '{}' OR (is_strict AND cardinality(v_locked) < cardinality(v_next)) THEN
        RETURN -1;
    END IF;
    -- They come to the end of the line of their queue, one after the other: groups take turns.
    UPDATE @extschema@.job AS j
    SET held_by = NULL,
        start_after = v_now - (cardinality(v_next) - array_position(v_next, j.ctid)) * interval '1 microsecond'
    WHERE j.ctid = ANY (v_locked);
    RETURN CASE WHEN cardinality(v_locked) = cardinality(v_next) AND group_limit IS NOT NULL
                THEN cardinality(v_locked) ELSE -cardinality(v_locked) END;
END
$$;
COMMENT ON FUNCTION @extschema@._let_group_through IS
    'Internal: lets as many held jobs of the group into the line as its limit allows; returns their number, negative when there may be more that could not be had now.';

-- Writes: job.held_by and job.start_after of jobs let through; group_hint.
-- Locks: hint rows with SKIP LOCKED; each group's advisory lock, only if it is free at once.
CREATE OR REPLACE FUNCTION @extschema@._let_groups_through(
    queue_id integer,
    group_limit integer,
    is_strict boolean,
    enough integer
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_began timestamptz := clock_timestamp();
    v_lock_space bigint := ('@extschema@.job'::regclass::oid::bigint << 32) + queue_id;
    v_groups text[];
    v_group text;
    v_count integer;
    v_let_through integer := 0;
BEGIN
    IF group_limit IS NOT NULL THEN
        PERFORM @extschema@._require_read_committed();
    END IF;
    -- A flood of hints of groups that have no turn must not hide the others for long: go on
    -- longer as long as nothing is found.
    LOOP
        v_groups := @extschema@._take_hints(queue_id, LEAST(200, GREATEST(20, enough * 2)));
        FOREACH v_group IN ARRAY v_groups LOOP
            IF pg_try_advisory_xact_lock(hashtextextended(v_group, v_lock_space)) THEN
                v_count := @extschema@._let_group_through(queue_id, v_group, group_limit, is_strict);
                v_let_through := v_let_through + abs(v_count);
            ELSE
                v_count := -1;
            END IF;
            IF v_count < 0 THEN
                PERFORM @extschema@._hint_group(queue_id, v_group,
                    @extschema@._now() + interval '5 milliseconds');
            END IF;
        END LOOP;
        EXIT WHEN v_groups = '{}' OR v_let_through >= enough
            OR clock_timestamp() - v_began > CASE v_let_through
                WHEN 0 THEN interval '200 milliseconds' ELSE interval '20 milliseconds' END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._let_groups_through IS
    'Internal: looks at the groups of the queue that have due hints until enough jobs are let through.';

-- Writes: job.held_by; inserts into group_hint.  Locks: the caller has locked the job row.
CREATE OR REPLACE FUNCTION @extschema@._give_way(job_id bigint)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    v_job record;
BEGIN
    UPDATE @extschema@.job AS j SET held_by = 'group'
    FROM @extschema@.queue AS q
    WHERE j.job_id = _give_way.job_id AND j.group_key IS NOT NULL AND j.held_by IS NULL
      AND q.queue_id = j.queue_id AND q.max_concurrency_per_group IS NOT NULL
      -- In a strict line a job that has failed keeps its turn, whenever it is tried again.
      AND (q.group_order = 'loose' OR j.attempt = 0)
    RETURNING j.queue_id, j.group_key, j.start_after INTO v_job;
    IF FOUND THEN
        PERFORM @extschema@._hint_group(v_job.queue_id, v_job.group_key, @extschema@._now());
        PERFORM @extschema@._hint_group(v_job.queue_id, v_job.group_key, v_job.start_after);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._give_way IS
    'Internal: has a waiting job that was let through, but is put off, give its turn to the next of its group.';

-- Writes: job.held_by, job.start_after; inserts into group_hint.
-- Locks: the rows of the group jobs that wait.
CREATE OR REPLACE FUNCTION @extschema@._apply_group_limit(queue_id integer, group_limit integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
BEGIN
    IF group_limit IS NOT NULL THEN
        -- One that was let through has the time of that: held again, it goes before those that waited.
        UPDATE @extschema@.job AS j SET
            held_by = 'group',
            start_after = CASE WHEN j.attempt = 0 AND j.start_after <= v_now THEN j.added_at ELSE j.start_after END
        WHERE j.queue_id = _apply_group_limit.queue_id AND j.group_key IS NOT NULL
          AND j.held_by IS NULL AND j.lease_token IS NULL;
    END IF;
    -- One for each time at which one of them is due: a job that backs off has no other hint.
    INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
    SELECT DISTINCT _apply_group_limit.queue_id, j.group_key, GREATEST(j.start_after, v_now)
    FROM @extschema@.job AS j
    WHERE j.queue_id = _apply_group_limit.queue_id AND j.group_key IS NOT NULL AND j.held_by = 'group';
    PERFORM @extschema@._wake_workers(ARRAY[queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@._apply_group_limit IS
    'Internal: holds the waiting group jobs of the queue and has their groups looked at under the new limit.';

-- extension/functions/40-limit.sql
-- max_concurrency: a queue with this limit counts its running jobs in a narrow side table, under a lock.

CREATE OR REPLACE FUNCTION @extschema@._require_read_committed()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'a queue with a limit cannot be picked in a "%" transaction',
            current_setting('transaction_isolation')
            USING ERRCODE = '0A000',
                  DETAIL = 'Its snapshot may be older than the jobs that run now, so that a limit could be passed.',
                  HINT = 'Pick in a read committed transaction.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_read_committed IS
    'Internal: raises 0A000 in a transaction whose snapshot is too old to count by.';

CREATE OR REPLACE FUNCTION @extschema@._lock_space()
RETURNS integer
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN '@extschema@.job'::regclass::oid::bigint::bit(32)::integer;
COMMENT ON FUNCTION @extschema@._lock_space IS
    'Internal: the first key of the advisory locks of queues; the second is the queue_id. Without a search_path of its own, so that it is inlined.';

-- Locks: the queue's advisory lock, until the transaction ends; waits 50 milliseconds at most.
CREATE OR REPLACE FUNCTION @extschema@._lock_queue(queue_id integer)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_space integer := @extschema@._lock_space();
    v_lock_timeout text := current_setting('lock_timeout');
BEGIN
    IF pg_try_advisory_xact_lock(v_space, queue_id) THEN
        RETURN true;
    END IF;
    BEGIN
        PERFORM set_config('lock_timeout', '50ms', true);
        PERFORM pg_advisory_xact_lock(v_space, queue_id);
        PERFORM set_config('lock_timeout', v_lock_timeout, true);
        RETURN true;
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_queue IS
    'Internal: locks the queue against other picks and returns true, or false when a long transaction has it.';

-- Writes: settles jobs whose lease ran out, when the queue is full.
-- Locks: the queue's advisory lock; rows of expired jobs with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._room(
    queue_id integer,
    max_concurrency integer,
    ignore_max_concurrency boolean
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_mark text := format('pgq.running_%s_%s', '@extschema@.running_job'::regclass::oid, queue_id);
    v_from bigint := COALESCE(NULLIF(current_setting(v_mark, true), ''), '0')::bigint;
    v_running integer;
    v_oldest bigint;
    v_expired bigint[];
BEGIN
    PERFORM @extschema@._require_read_committed();
    IF NOT @extschema@._lock_queue(queue_id) THEN
        RETURN 0;
    END IF;
    IF ignore_max_concurrency THEN
        RETURN 2147483647;
    END IF;
    -- Rows are written under the lock, with growing ids: none can come to be below the oldest.
    SELECT count(*), min(r.running_id), array_agg(r.job_id) FILTER (WHERE r.lease_until <= @extschema@._now())
    INTO v_running, v_oldest, v_expired
    FROM @extschema@.running_job AS r
    WHERE r.queue_id = _room.queue_id AND r.running_id >= v_from;

    IF v_oldest > v_from THEN
        PERFORM set_config(v_mark, v_oldest::text, false);
    END IF;
    IF v_running >= max_concurrency AND v_expired IS NOT NULL THEN
        v_running := v_running - @extschema@._time_out_jobs(v_expired);
    END IF;
    RETURN GREATEST(max_concurrency - v_running, 0);
END
$$;
COMMENT ON FUNCTION @extschema@._room IS
    'Internal: how many more jobs of a queue with a max_concurrency may run now. Counts every job that has a lease, also one that ran out and is not settled yet. None while a long transaction has the queue locked.';

-- Writes: running_job.  Locks: the queue's advisory lock.
CREATE OR REPLACE FUNCTION @extschema@._apply_limit(queue_id integer, old_limit integer, new_limit integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF old_limit IS NULL OR new_limit IS NULL THEN
        PERFORM pg_advisory_xact_lock(@extschema@._lock_space(), queue_id);
        DELETE FROM @extschema@.running_job AS r WHERE r.queue_id = _apply_limit.queue_id;
    END IF;
    IF old_limit IS NULL THEN
        INSERT INTO @extschema@.running_job (queue_id, job_id, lease_until)
        SELECT j.queue_id, j.job_id, j.lease_until
        FROM @extschema@.job AS j
        WHERE j.queue_id = _apply_limit.queue_id AND j.lease_token IS NOT NULL;
    END IF;
    PERFORM @extschema@._wake_workers(ARRAY[queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@._apply_limit IS
    'Internal: begins to count the running jobs of a queue that gets a max_concurrency, or stops it.';

-- Writes: inserts into running_job.  Locks: the caller's pick has locked the queue.
CREATE OR REPLACE FUNCTION @extschema@._count_as_running(
    queue_id integer,
    priority smallint,
    began_from @extschema@.watermark,
    picked_at timestamptz,
    picked integer
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = on
AS $$
BEGIN
    INSERT INTO @extschema@.running_job AS r (queue_id, job_id, lease_until)
    SELECT j.queue_id, j.job_id, j.lease_until
    FROM @extschema@.job AS j
    WHERE j.queue_id = _count_as_running.queue_id AND j.priority = _count_as_running.priority
      AND j.held_by IS NULL
      AND (j.start_after, j.job_id) >= (began_from.from_at, began_from.from_id)
      AND j.start_after <= _count_as_running.picked_at
      AND j.picked_at = _count_as_running.picked_at AND j.lease_token IS NOT NULL
      AND NOT EXISTS (SELECT FROM @extschema@.running_job AS counted WHERE counted.job_id = j.job_id)
    ORDER BY j.start_after, j.job_id
    LIMIT picked;
END
$$;
COMMENT ON FUNCTION @extschema@._count_as_running IS
    'Internal: counts the jobs of a lane that were picked now against the max_concurrency of their queue.';

-- extension/functions/45-worker.sql
-- Wake-ups: an add notifies only if a worker of the queue is idle, because NOTIFY makes commits wait
-- for each other. A notification is a hint; polling is the truth.

CREATE OR REPLACE FUNCTION @extschema@._channel()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('pgq_', '@extschema@.job'::regclass::oid);
COMMENT ON FUNCTION @extschema@._channel IS
    'Internal: the channel of this installation. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@.wake_up_channel()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
RETURN @extschema@._channel();
COMMENT ON FUNCTION @extschema@.wake_up_channel IS
    'Returns the channel to LISTEN to. The payload of a notification is the name of a queue that has a job to pick, or will have while the worker is idle.';

CREATE OR REPLACE FUNCTION @extschema@._wake_workers(queue_ids integer[], due_at timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify(@extschema@._channel(), q.queue_name)
    FROM @extschema@.queue AS q
    WHERE q.queue_id = ANY (queue_ids)
      AND EXISTS (SELECT FROM @extschema@.idle_worker AS w
                  WHERE w.queue_id = q.queue_id AND w.until > GREATEST(@extschema@._now(), due_at));
END
$$;
COMMENT ON FUNCTION @extschema@._wake_workers IS
    'Internal: notifies the workers that are idle on these queues, and still will be at due_at.';

-- Writes: idle_worker.  Locks: the worker's own rows.
CREATE OR REPLACE FUNCTION @extschema@.announce_idle(
    queue_names text[],
    worker text,
    idle_milliseconds integer DEFAULT 1000
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_until timestamptz;
    v_due_at timestamptz;
BEGIN
    PERFORM @extschema@._require(queue_names IS NOT NULL, 'queue_names', NULL);
    PERFORM @extschema@._require(worker <> '' AND octet_length(worker) <= 200,
        'worker to be 1 to 200 bytes long', worker);
    PERFORM @extschema@._require(idle_milliseconds BETWEEN 0 AND 3600000,
        'idle_milliseconds to be between 0 and 3600000', idle_milliseconds::text);
    PERFORM @extschema@._check_access(
        ARRAY(SELECT q.queue_id FROM @extschema@.queue AS q WHERE q.queue_name = ANY (queue_names)), 'worker');
    v_until := v_now + idle_milliseconds * interval '1 millisecond';

    INSERT INTO @extschema@.idle_worker AS w (queue_id, worker, until)
    SELECT q.queue_id, announce_idle.worker, v_until
    FROM @extschema@.queue AS q
    WHERE q.queue_name = ANY (queue_names)
    ORDER BY q.queue_id
    ON CONFLICT ON CONSTRAINT idle_worker_pkey DO UPDATE SET until = EXCLUDED.until;

    SELECT min(due.at) INTO v_due_at
    FROM @extschema@.queue AS q
    JOIN @extschema@.lane AS l ON l.queue_id = q.queue_id
    CROSS JOIN LATERAL (
        (SELECT j.start_after AS at FROM @extschema@.job AS j
         WHERE j.queue_id = l.queue_id AND j.priority = l.priority AND j.held_by IS NULL
           AND j.start_after > v_now
         ORDER BY j.start_after LIMIT 1)
        UNION ALL
        (SELECT h.due_at FROM @extschema@.group_hint AS h
         WHERE h.queue_id = l.queue_id AND h.due_at > v_now
         ORDER BY h.due_at LIMIT 1)
        UNION ALL
        SELECT q.paused_until WHERE q.paused_until > v_now
    ) AS due
    WHERE q.queue_name = ANY (queue_names) AND due.at <= v_until;

    RETURN ceil(EXTRACT(epoch FROM v_due_at - v_now) * 1000);
END
$$;
COMMENT ON FUNCTION @extschema@.announce_idle IS
    'Says that this worker waits for jobs of these queues for idle_milliseconds (0 to 3600000, default 1000), so that adds notify it. Returns the milliseconds until the next scheduled job is due, or null when none is within that time. Pick once more before you wait: a job may have been committed in between.';

-- Writes: idle_worker.  Locks: the worker's own rows.
CREATE OR REPLACE FUNCTION @extschema@.announce_busy(worker text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(worker IS NOT NULL, 'worker', worker);
    DELETE FROM @extschema@.idle_worker AS w WHERE w.worker = announce_busy.worker;
END
$$;
COMMENT ON FUNCTION @extschema@.announce_busy IS
    'Takes back what the worker said by announce_idle, so that adds cost no notification.';

-- extension/functions/50-add.sql
-- Add: one job or a batch, in the caller's transaction.

CREATE OR REPLACE FUNCTION @extschema@._check_add(
    start_after timestamptz,
    priority integer,
    max_attempts integer,
    has_key boolean,
    on_conflict text,
    throttle_milliseconds bigint,
    timeout_milliseconds integer,
    timeout_with_result text
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(COALESCE(isfinite(start_after), true),
        'start_after to be a finite time', start_after::text);
    PERFORM @extschema@._require(priority BETWEEN -100 AND 100,
        'priority to be between -100 and 100', priority::text);
    PERFORM @extschema@._require(COALESCE(max_attempts BETWEEN 1 AND 1000, true),
        'max_attempts to be between 1 and 1000', max_attempts::text);
    PERFORM @extschema@._require(on_conflict IN ('skip', 'replace', 'debounce', 'throttle'),
        'on_conflict to be one of skip, replace, debounce, throttle', on_conflict);
    PERFORM @extschema@._require(has_key OR on_conflict = 'skip',
        format('a unique_key with on_conflict %s', on_conflict), NULL);
    PERFORM @extschema@._require(
        CASE on_conflict WHEN 'throttle' THEN throttle_milliseconds BETWEEN 1 AND 31536000000
                         ELSE throttle_milliseconds IS NULL END,
        'throttle_milliseconds to be between 1 and 31536000000 with on_conflict throttle, and null without',
        throttle_milliseconds::text);
    PERFORM @extschema@._require(COALESCE(timeout_milliseconds BETWEEN 100 AND 604800000, true),
        'timeout_milliseconds to be between 100 and 604800000', timeout_milliseconds::text);
    PERFORM @extschema@._require(
        COALESCE(timeout_with_result IN ('failed', 'paused', 'complete', 'cancelled'), true),
        'timeout_with_result to be one of failed, paused, complete, cancelled', timeout_with_result);
END
$$;
COMMENT ON FUNCTION @extschema@._check_add IS
    'Internal: raises 22023 or 22004 for an option of add_job or add_jobs that is out of its range.';

CREATE OR REPLACE FUNCTION @extschema@._check_size(name text, largest_bytes integer, max_bytes integer)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF largest_bytes > max_bytes THEN
        RAISE EXCEPTION '% of % bytes is too large', name, largest_bytes
            USING ERRCODE = '54000',
                  DETAIL = format('The queue takes %s bytes as stored.', max_bytes),
                  HINT = 'Store the data elsewhere and add a reference to it, or set max_payload_bytes of the queue.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_size IS 'Internal: raises 54000 when a payload or headers are too large.';

-- Writes: queue and lane, when they are new.
CREATE OR REPLACE FUNCTION @extschema@._prepare_add(
    queue_name text,
    priority integer,
    payload_bytes integer,
    headers_bytes integer
)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue record;
BEGIN
    PERFORM @extschema@._make_queue(queue_name)
    WHERE NOT EXISTS (SELECT FROM @extschema@.queue AS q
                      WHERE q.queue_name = _prepare_add.queue_name AND NOT q.is_dropped);
    SELECT q.queue_id, q.max_payload_bytes, q.is_restricted INTO v_queue
    FROM @extschema@.queue AS q WHERE q.queue_name = _prepare_add.queue_name;
    IF v_queue.is_restricted THEN
        PERFORM @extschema@._check_access(ARRAY[v_queue.queue_id], 'producer');
    END IF;
    PERFORM @extschema@._check_size('payload', payload_bytes, v_queue.max_payload_bytes);
    PERFORM @extschema@._check_size('headers', headers_bytes, v_queue.max_payload_bytes);
    INSERT INTO @extschema@.lane (queue_id, priority)
    SELECT v_queue.queue_id, _prepare_add.priority
    WHERE NOT EXISTS (SELECT FROM @extschema@.lane AS l
                      WHERE l.queue_id = v_queue.queue_id AND l.priority = _prepare_add.priority);
    RETURN v_queue.queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._prepare_add IS
    'Internal: makes the queue and the lane if they are missing and returns the queue_id; raises 42501 or 54000 when the queue does not take such a job.';

-- Writes: inserts into job; lane, unique_key, group_hint and queue when they need it.
-- Locks: nothing, unless unique_key is given: see _claim_key.
CREATE OR REPLACE FUNCTION @extschema@.add_job(
    queue_name text,
    payload jsonb,
    start_after timestamptz DEFAULT NULL,
    priority integer DEFAULT 0,
    max_attempts integer DEFAULT NULL,
    unique_key text DEFAULT NULL,
    on_conflict text DEFAULT 'skip',
    throttle_milliseconds bigint DEFAULT NULL,
    group_key text DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    timeout_with_result text DEFAULT NULL,
    headers jsonb DEFAULT NULL
)
RETURNS @extschema@.added_job
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_claimed @extschema@.added_job;
    v_new record;
    v_is_prepared boolean := false;
BEGIN
    -- The checks are made in one expression first: a call costs more than all of them.
    IF (payload IS NOT NULL AND start_after IS NULL AND priority = 0 AND max_attempts IS NULL
        AND unique_key IS NULL AND on_conflict = 'skip' AND throttle_milliseconds IS NULL AND group_key IS NULL
        AND timeout_milliseconds IS NULL AND timeout_with_result IS NULL AND headers IS NULL) IS NOT TRUE THEN
        PERFORM @extschema@._check_add(start_after, priority, max_attempts, unique_key IS NOT NULL, on_conflict,
            throttle_milliseconds, timeout_milliseconds, timeout_with_result);
        PERFORM @extschema@._require(payload IS NOT NULL, 'payload', payload::text);
        PERFORM @extschema@._require(jsonb_typeof(headers) = 'object' OR headers IS NULL,
            'headers to be a json object', headers::text);
        PERFORM @extschema@._check_keys('unique_key', ARRAY[unique_key]);
        PERFORM @extschema@._check_keys('group_key', ARRAY[group_key]);
    END IF;
    IF unique_key IS NOT NULL THEN
        v_claimed := @extschema@._claim_key(
            @extschema@._prepare_add(queue_name, priority, pg_column_size(payload), pg_column_size(headers)),
            unique_key, on_conflict, throttle_milliseconds, payload, headers, start_after);
        IF NOT v_claimed.is_new THEN
            RETURN v_claimed;
        END IF;
    END IF;

    LOOP
        INSERT INTO @extschema@.job AS j (
            job_id, queue_id, priority, start_after, added_at, max_attempts, held_by, group_key, unique_key,
            timeout_milliseconds, timeout_with_result, headers, payload)
        OVERRIDING SYSTEM VALUE
        SELECT COALESCE(v_claimed.job_id, nextval('@extschema@.job_job_id_seq'::regclass)),
            q.queue_id, add_job.priority, COALESCE(add_job.start_after, v_now), v_now, add_job.max_attempts,
            CASE WHEN add_job.group_key IS NOT NULL AND q.max_concurrency_per_group IS NOT NULL THEN 'group' END,
            add_job.group_key, add_job.unique_key, add_job.timeout_milliseconds,
            add_job.timeout_with_result, add_job.headers, add_job.payload
        FROM @extschema@.queue AS q
        WHERE q.queue_name = add_job.queue_name
          AND (v_is_prepared OR (
              NOT q.is_dropped AND NOT q.is_restricted
              AND GREATEST(pg_column_size(add_job.payload), pg_column_size(add_job.headers)) <= q.max_payload_bytes
              -- A queue is made with the lane of priority 0.
              AND (add_job.priority = 0 OR (
                  SELECT true FROM @extschema@.lane AS l
                  WHERE l.queue_id = q.queue_id AND l.priority = add_job.priority LIMIT 1))))
        RETURNING j.job_id, j.queue_id, j.held_by,
            (SELECT true FROM @extschema@.idle_worker AS w
             WHERE w.queue_id = j.queue_id AND w.until > GREATEST(v_now, j.start_after) LIMIT 1) AS has_idle_worker
        INTO v_new;
        IF v_new.job_id IS NULL THEN
            -- The queue or the lane is missing, or the queue does not take this job.
            PERFORM @extschema@._prepare_add(
                queue_name, priority, pg_column_size(payload), pg_column_size(headers));
            v_is_prepared := true;
            CONTINUE;
        END IF;
        IF v_new.held_by IS NOT NULL THEN
            PERFORM @extschema@._hint_group(v_new.queue_id, group_key, COALESCE(start_after, v_now));
        END IF;
        IF v_new.has_idle_worker THEN
            PERFORM pg_notify(@extschema@._channel(), queue_name);
        END IF;
        RETURN (v_new.job_id, true)::@extschema@.added_job;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.add_job IS
$$Adds a job to a queue, which is made if it does not exist. Returns job_id and is_new.
payload: any json value. start_after: not to be picked before; default now. priority: -100 to 100, higher first, default 0.
max_attempts: attempts in all, 1 to 1000, default the queue's. headers: a json object that goes with the job, such as a traceparent.
unique_key (1 to 1000 bytes): at most one job that waits holds it in the queue; on_conflict says what happens to the job that is added while another holds the key:
skip: it is not added (the default). replace: the waiting job gets its payload and headers, and its start_after if given. debounce: the same, and start_after moves to the given time, never earlier than it was. throttle: as skip, and the key holds for throttle_milliseconds (1 to 31536000000) after the job ended. A job that runs already cannot be replaced: replace and debounce then add a new one, which gets the key.
group_key (1 to 1000 bytes): the group whose limit is the queue's max_concurrency_per_group.
timeout_milliseconds (100 to 604800000) and timeout_with_result (failed, paused, complete, cancelled): the job's own lease; default the queue's.
Errors: 22004 for a null and 22023 for a value out of range, 54000 for a payload or headers above the queue's max_payload_bytes.$$;

-- Writes: inserts into job; lane, unique_key, group_hint and queue when they need it.
-- Locks: nothing, unless unique_keys are given: their rows in the order of the keys.
CREATE OR REPLACE FUNCTION @extschema@.add_jobs(
    queue_name text,
    payloads jsonb[],
    start_after timestamptz DEFAULT NULL,
    priority integer DEFAULT 0,
    max_attempts integer DEFAULT NULL,
    unique_keys text[] DEFAULT NULL,
    on_conflict text DEFAULT 'skip',
    throttle_milliseconds bigint DEFAULT NULL,
    group_keys text[] DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    timeout_with_result text DEFAULT NULL,
    headers jsonb DEFAULT NULL
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_id integer;
    v_count integer := cardinality(payloads);
    v_job_ids bigint[];
BEGIN
    PERFORM @extschema@._require(payloads IS NOT NULL, 'payloads', NULL);
    PERFORM @extschema@._require(COALESCE(array_ndims(payloads), 1) = 1,
        'payloads to have one dimension', array_dims(payloads));
    PERFORM @extschema@._require(unique_keys IS NULL OR cardinality(unique_keys) = v_count,
        format('unique_keys to have %s elements', v_count), cardinality(unique_keys)::text);
    PERFORM @extschema@._require(group_keys IS NULL OR cardinality(group_keys) = v_count,
        format('group_keys to have %s elements', v_count), cardinality(group_keys)::text);
    PERFORM @extschema@._check_add(start_after, priority, max_attempts, unique_keys IS NOT NULL, on_conflict,
        throttle_milliseconds, timeout_milliseconds, timeout_with_result);
    PERFORM @extschema@._require(jsonb_typeof(headers) = 'object' OR headers IS NULL,
        'headers to be a json object', headers::text);
    PERFORM @extschema@._require(array_position(payloads, NULL) IS NULL, 'every payload', NULL);
    PERFORM @extschema@._check_keys('each of unique_keys', unique_keys);
    PERFORM @extschema@._check_keys('each of group_keys', group_keys);

    v_queue_id := @extschema@._prepare_add(queue_name, priority,
        (SELECT max(pg_column_size(p.payload)) FROM unnest(payloads) AS p (payload)), pg_column_size(headers));
    IF v_count = 0 THEN
        RETURN ARRAY[]::bigint[];
    END IF;
    IF unique_keys IS NOT NULL THEN
        v_job_ids := @extschema@._claim_keys(v_queue_id, unique_keys, on_conflict,
            throttle_milliseconds, payloads, headers, start_after);
    END IF;
    v_job_ids := @extschema@._insert_jobs(v_queue_id, v_job_ids, payloads, unique_keys, group_keys,
        COALESCE(start_after, v_now), v_now, priority, max_attempts, timeout_milliseconds,
        timeout_with_result, headers);
    PERFORM @extschema@._wake_workers(ARRAY[v_queue_id], start_after);
    RETURN v_job_ids;
END
$$;
COMMENT ON FUNCTION @extschema@.add_jobs IS
    'Adds a job for each payload in one call; returns their ids in the order of the payloads. unique_keys and group_keys have one element, or null, for each payload; the other options are those of add_job and are the same for all. A payload whose unique_key is held gives the id of the job that holds it. Errors: as add_job; then nothing is added.';

CREATE OR REPLACE FUNCTION @extschema@._check_keys(name text, keys text[])
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_bad text;
BEGIN
    SELECT k.key INTO v_bad FROM unnest(keys) AS k (key) WHERE octet_length(k.key) NOT BETWEEN 1 AND 1000 LIMIT 1;
    IF FOUND THEN
        PERFORM @extschema@._require(false, format('%s to be 1 to 1000 bytes long', name), v_bad);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_keys IS 'Internal: raises 22023 for a unique_key or group_key of a wrong length.';

-- Writes: inserts into job and group_hint.
CREATE OR REPLACE FUNCTION @extschema@._insert_jobs(
    queue_id integer,
    claimed_ids bigint[],
    payloads jsonb[],
    unique_keys text[],
    group_keys text[],
    start_after timestamptz,
    added_at timestamptz,
    priority integer,
    max_attempts integer,
    timeout_milliseconds integer,
    timeout_with_result text,
    headers jsonb
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job_ids bigint[];
    v_holds_groups boolean;
BEGIN
    IF claimed_ids IS NULL AND group_keys IS NULL THEN
        WITH new AS (
            INSERT INTO @extschema@.job AS j (
                queue_id, priority, start_after, added_at, max_attempts, timeout_milliseconds,
                timeout_with_result, headers, payload)
            SELECT _insert_jobs.queue_id, _insert_jobs.priority, _insert_jobs.start_after,
                _insert_jobs.added_at, _insert_jobs.max_attempts, _insert_jobs.timeout_milliseconds,
                _insert_jobs.timeout_with_result, _insert_jobs.headers, p.payload
            FROM unnest(payloads) AS p (payload)
            RETURNING j.job_id
        )
        -- In the order of the payloads: rows are returned as they are inserted.
        SELECT array_agg(n.job_id) INTO v_job_ids FROM new AS n;
        RETURN v_job_ids;
    END IF;

    SELECT q.max_concurrency_per_group IS NOT NULL INTO v_holds_groups
    FROM @extschema@.queue AS q WHERE q.queue_id = _insert_jobs.queue_id;
    -- A negative id is that of a job that holds the key already: nothing is inserted for it.
    v_job_ids := COALESCE(claimed_ids, ARRAY(
        SELECT nextval('@extschema@.job_job_id_seq'::regclass)
        FROM generate_series(1, cardinality(payloads))));
    INSERT INTO @extschema@.job (
        job_id, queue_id, priority, start_after, added_at, max_attempts, held_by, group_key, unique_key,
        timeout_milliseconds, timeout_with_result, headers, payload)
    OVERRIDING SYSTEM VALUE
    SELECT p.job_id, _insert_jobs.queue_id, _insert_jobs.priority, _insert_jobs.start_after,
        _insert_jobs.added_at, _insert_jobs.max_attempts,
        CASE WHEN v_holds_groups AND p.group_key IS NOT NULL THEN 'group' END, p.group_key, p.unique_key,
        _insert_jobs.timeout_milliseconds, _insert_jobs.timeout_with_result, _insert_jobs.headers, p.payload
    FROM unnest(v_job_ids, payloads, unique_keys, group_keys) AS p (job_id, payload, unique_key, group_key)
    WHERE p.job_id > 0;
    IF v_holds_groups THEN
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT DISTINCT _insert_jobs.queue_id, p.group_key, _insert_jobs.start_after
        FROM unnest(group_keys) AS p (group_key)
        WHERE p.group_key IS NOT NULL;
    END IF;
    RETURN ARRAY(SELECT abs(i.job_id) FROM unnest(v_job_ids) WITH ORDINALITY AS i (job_id, place)
                 ORDER BY i.place);
END
$$;
COMMENT ON FUNCTION @extschema@._insert_jobs IS
    'Internal: inserts a job for each payload and returns the ids; claimed_ids are those that _claim_keys gave.';

-- extension/functions/52-lane.sql
-- Lanes: a queue and a priority. A pick visits lanes; one that made it step over many rows gets a watermark.

CREATE OR REPLACE FUNCTION @extschema@._lane_mark(queue_id integer, priority smallint)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('pgq.lane_', '@extschema@.job'::regclass::oid, '_', queue_id, '_',
    priority OPERATOR(pg_catalog.+) 100);
COMMENT ON FUNCTION @extschema@._lane_mark IS
    'Internal: the name of the setting that keeps the watermark of a lane. Without a search_path of its own, so that it is inlined.';

-- Writes, locks: what _prepare_queue does.
CREATE OR REPLACE FUNCTION @extschema@._lanes_to_visit(queue_names text[], wanted integer)
RETURNS @extschema@.lane_visit[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_lanes @extschema@.lane_visit[];
    v_lane @extschema@.lane_visit;
    v_prepared integer := 0;
BEGIN
    -- OFFSET 0 keeps the join as it is written: a look into lane for each queue.
    v_lanes := ARRAY(
        SELECT ROW(q.queue_id, q.queue_name, l.priority, q.max_attempts, q.timeout_milliseconds,
                   q.max_concurrency, q.has_groups OR q.is_restricted)::@extschema@.lane_visit
        FROM @extschema@.queue AS q
        CROSS JOIN LATERAL (SELECT known.priority FROM @extschema@.lane AS known
                            WHERE known.queue_id = q.queue_id OFFSET 0) AS l
        WHERE q.queue_name = ANY (queue_names) AND (q.paused_until IS NULL OR q.paused_until <= v_now)
        ORDER BY l.priority DESC, q.queue_id);
    FOREACH v_lane IN ARRAY v_lanes LOOP
        IF v_lane.is_special AND v_lane.queue_id <> v_prepared THEN
            PERFORM @extschema@._prepare_queue(v_lane.queue_id, wanted);
            v_prepared := v_lane.queue_id;
        END IF;
    END LOOP;
    RETURN v_lanes;
END
$$;
COMMENT ON FUNCTION @extschema@._lanes_to_visit IS
    'Internal: the lanes of these queues, the highest priority first. Inherits the settings of _share_out.';

-- Writes, locks: as _let_groups_through.
CREATE OR REPLACE FUNCTION @extschema@._prepare_queue(queue_id integer, wanted integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue record;
BEGIN
    SELECT q.is_restricted, q.has_groups, q.max_concurrency_per_group, q.group_order INTO v_queue
    FROM @extschema@.queue AS q WHERE q.queue_id = _prepare_queue.queue_id;
    IF v_queue.is_restricted THEN
        PERFORM @extschema@._check_access(ARRAY[queue_id], 'worker');
    END IF;
    IF v_queue.has_groups THEN
        PERFORM @extschema@._let_groups_through(queue_id, v_queue.max_concurrency_per_group,
            v_queue.group_order = 'strict', wanted);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._prepare_queue IS
    'Internal: what a pick does first with a queue that is restricted or has groups.';

-- Writes: a watermark of the session.
CREATE OR REPLACE FUNCTION @extschema@._note_lane_scan(
    queue_id integer,
    priority smallint,
    began_from @extschema@.watermark,
    picked_at timestamptz,
    is_slow boolean,
    took interval
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_first_at timestamptz;
    v_first_id bigint;
BEGIN
    -- What the pick met is not handed to here, which would cost every pick: a slow one looks again for the
    -- first job that it took, or could not take although it might have been picked.
    IF is_slow THEN
        SELECT j.start_after, j.job_id INTO v_first_at, v_first_id
        FROM @extschema@.job AS j
        WHERE j.queue_id = _note_lane_scan.queue_id AND j.priority = _note_lane_scan.priority AND j.held_by IS NULL
          AND (j.start_after, j.job_id) >= (began_from.from_at, began_from.from_id)
          AND j.start_after <= _note_lane_scan.picked_at
          AND (j.lease_until IS NULL OR j.lease_until <= _note_lane_scan.picked_at
               OR j.picked_at = _note_lane_scan.picked_at)
        ORDER BY j.start_after, j.job_id
        LIMIT 1;
    END IF;
    PERFORM @extschema@._note_scan(@extschema@._lane_mark(queue_id, priority), began_from.is_set, is_slow, took,
        COALESCE(v_first_at, picked_at - interval '100 milliseconds'), COALESCE(v_first_id, 0), picked_at);
END
$$;
COMMENT ON FUNCTION @extschema@._note_lane_scan IS
    'Internal: moves the watermark of a lane to the first job that this pick took or left.';

-- How many jobs to take from each queue so that together they are the first in line. Looks, without
-- locks, at as many jobs of each lane as are wanted; of more than eight lanes of one priority only at a share.
-- Writes, locks: what _prepare_queue does.
CREATE OR REPLACE FUNCTION @extschema@._share_out(queue_names text[], wanted integer)
RETURNS SETOF @extschema@.queue_share
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = on
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_lanes @extschema@.lane_visit[] := @extschema@._lanes_to_visit(queue_names, wanted);
    v_now timestamptz := @extschema@._now();
    v_began timestamptz := clock_timestamp();
    v_work bigint := @extschema@._scan_work('@extschema@.job_ready_idx');
    v_took interval;
    v_is_slow boolean;
    v_lane record;
BEGIN
    FOR v_lane IN
        WITH seen AS MATERIALIZED (
            SELECT v.queue_name, @extschema@._lane_mark(v.queue_id, v.priority) AS mark, w.is_set,
                   c.start_after, c.job_id,
                   row_number() OVER (ORDER BY c.job_id IS NULL, v.priority DESC, c.start_after, c.job_id) AS rank
            FROM (SELECT l.queue_id, l.queue_name, l.priority,
                         GREATEST(1, wanted * LEAST(1, 8.0 / count(*) OVER (PARTITION BY l.priority)))::integer AS depth
                  FROM unnest(v_lanes) AS l) AS v
            CROSS JOIN LATERAL @extschema@._watermark(@extschema@._lane_mark(v.queue_id, v.priority), v_now) AS w
            LEFT JOIN LATERAL (
                SELECT j.start_after, j.job_id
                FROM @extschema@.job AS j
                WHERE j.queue_id = v.queue_id AND j.priority = v.priority AND j.held_by IS NULL
                  AND (j.start_after, j.job_id) >= (w.from_at, w.from_id)
                  AND j.start_after <= v_now
                  AND (j.lease_until IS NULL OR j.lease_until <= v_now)
                ORDER BY j.start_after, j.job_id
                LIMIT v.depth
            ) AS c ON true
        )
        SELECT s.queue_name, s.mark, s.is_set, min(s.start_after) AS found_at, count(s.job_id)::integer AS found,
               count(s.job_id) FILTER (WHERE s.rank <= wanted)::integer AS share
        FROM seen AS s
        GROUP BY s.queue_name, s.mark, s.is_set
    LOOP
        v_took := COALESCE(v_took, clock_timestamp() - v_began);
        v_is_slow := COALESCE(v_is_slow, @extschema@._is_slow(
            @extschema@._scan_work('@extschema@.job_ready_idx') - v_work,
            400 + cardinality(v_lanes) * (100 + 2 * wanted), v_took));
        IF v_is_slow THEN
            PERFORM @extschema@._note_scan(v_lane.mark, v_lane.is_set, true, v_took,
                COALESCE(v_lane.found_at, v_now - interval '100 milliseconds'), 0, v_now);
        END IF;
        IF v_lane.found > 0 THEN
            RETURN NEXT (v_lane.queue_name, v_lane.share, v_lane.found)::@extschema@.queue_share;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._share_out IS
    'Internal: for each lane of these queues that has jobs to pick its queue, the share of the wanted jobs to take there, and how many were seen.';

-- extension/functions/55-pick.sql
-- Pick: lease the jobs at the head of the line. No index is touched: see tables/20-job.sql.

CREATE OR REPLACE FUNCTION @extschema@._check_pick(
    queue_names text[],
    max_jobs integer,
    worker text,
    timeout_milliseconds integer
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(queue_names IS NOT NULL, 'queue_names', NULL);
    PERFORM @extschema@._require(max_jobs BETWEEN 1 AND 10000,
        'max_jobs to be between 1 and 10000', max_jobs::text);
    PERFORM @extschema@._require(octet_length(worker) <= 200 OR worker IS NULL,
        'worker to be at most 200 bytes long', worker);
    PERFORM @extschema@._require(COALESCE(timeout_milliseconds BETWEEN 100 AND 604800000, true),
        'timeout_milliseconds to be between 100 and 604800000', timeout_milliseconds::text);
END
$$;
COMMENT ON FUNCTION @extschema@._check_pick IS
    'Internal: raises 22023 or 22004 for an argument of pick_jobs that is out of its range.';

-- Writes, locks: as pick_jobs.
CREATE OR REPLACE FUNCTION @extschema@._pick_from_many(
    queue_names text[],
    max_jobs integer,
    worker text,
    timeout_milliseconds integer,
    ignore_max_concurrency boolean
)
RETURNS SETOF @extschema@.picked_job
LANGUAGE plpgsql
VOLATILE
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = on
AS $$
DECLARE
    v_names text[];
    v_shares integer[];
    v_found integer;
    v_taken integer;
    v_queue_name text;
BEGIN
    SELECT array_agg(q.queue_name), array_agg(q.share), sum(q.found)
    INTO v_names, v_shares, v_found
    FROM (SELECT s.queue_name, sum(s.share)::integer AS share, sum(s.found) AS found
          FROM @extschema@._share_out(queue_names, max_jobs) AS s
          GROUP BY s.queue_name) AS q;
    RETURN QUERY
    SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
           p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
    FROM unnest(v_names, v_shares) AS s (queue_name, share)
    CROSS JOIN LATERAL @extschema@.pick_jobs(
        ARRAY[s.queue_name], s.share, _pick_from_many.worker, _pick_from_many.timeout_milliseconds, true,
        _pick_from_many.ignore_max_concurrency) AS p
    WHERE s.share > 0
    ORDER BY p.priority DESC, p.start_after, p.job_id;
    GET DIAGNOSTICS v_taken = ROW_COUNT;

    -- Others were faster, a queue was full, or a share too small: what is left is taken wherever it is.
    FOREACH v_queue_name IN ARRAY COALESCE(v_names, '{}') LOOP
        EXIT WHEN v_taken >= LEAST(max_jobs, v_found);
        max_jobs := max_jobs - v_taken;
        v_found := v_found - v_taken;
        RETURN QUERY
        SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
               p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
        FROM @extschema@.pick_jobs(
            ARRAY[v_queue_name], max_jobs, _pick_from_many.worker, _pick_from_many.timeout_milliseconds, true,
            _pick_from_many.ignore_max_concurrency) AS p;
        GET DIAGNOSTICS v_taken = ROW_COUNT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._pick_from_many IS
    'Internal: pick_jobs for several queues: picks from each its share of the jobs that are first in line.';

-- Writes: job.lease_until, lease_token, attempt, picked_at, worker; running_job for queues with a limit.
-- Locks: the picked rows with SKIP LOCKED; the advisory locks of queues with limits or groups.
CREATE OR REPLACE FUNCTION @extschema@.pick_jobs(
    queue_names text[],
    max_jobs integer DEFAULT 1,
    worker text DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    durable boolean DEFAULT true,
    ignore_max_concurrency boolean DEFAULT false
)
RETURNS SETOF @extschema@.picked_job
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
BEGIN
    -- A pick that stands alone may be lost in a crash: its jobs are then simply ready again.
    IF NOT durable THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
-- The body of pick_jobs and of release_and_pick, which the Makefile puts in both: a function of many rows that calls
-- another one costs a single job a quarter of its time.
-- A transaction prepares each expression anew that it comes across, which is most of what a single pick costs: the way
-- of the plain case (one queue without limits, the jobs in its first lane) has as few of them as can be.
DECLARE
    v_lane record;
    v_below smallint;
    v_is_prepared boolean;
    v_is_slow boolean;
    v_taken integer;
    v_worker ALIAS FOR worker;
    v_timeout ALIAS FOR timeout_milliseconds;
BEGIN
    IF (cardinality(queue_names) = 1 AND max_jobs BETWEEN 1 AND 10000
        AND COALESCE(octet_length(v_worker), 0) <= 200 AND v_timeout IS NULL) IS NOT TRUE THEN
        PERFORM @extschema@._check_pick(queue_names, max_jobs, v_worker, v_timeout);
        IF cardinality(queue_names) > 1 THEN
            RETURN QUERY
            SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
                   p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
            FROM @extschema@._pick_from_many(queue_names, max_jobs, v_worker, v_timeout, ignore_max_concurrency) AS p;
            RETURN;
        END IF;
    END IF;

    LOOP
        SELECT q.queue_id, q.queue_name, l.priority, q.max_attempts, q.max_concurrency,
               COALESCE(v_timeout, q.timeout_milliseconds) AS timeout_milliseconds,
               q.has_groups OR q.is_restricted AS is_special,
               current_setting(@extschema@._lane_mark(q.queue_id, l.priority), true) AS mark,
               timestamptz '-infinity' AS from_at, 0::bigint AS from_id, false AS is_from_mark,
               max_jobs AS take, @extschema@._now() AS now, clock_timestamp() AS began_at,
               @extschema@._scan_work('@extschema@.job_ready_idx') AS work
        INTO v_lane
        FROM @extschema@.queue AS q
        CROSS JOIN LATERAL (SELECT known.priority FROM @extschema@.lane AS known
                            WHERE known.queue_id = q.queue_id AND known.priority < COALESCE(v_below, 101)
                            ORDER BY known.priority DESC LIMIT 1) AS l
        WHERE q.queue_name = ANY (queue_names) AND (q.paused_until IS NULL OR q.paused_until <= @extschema@._now());
        EXIT WHEN NOT FOUND;

        IF v_lane.is_special OR v_lane.max_concurrency IS NOT NULL OR v_lane.mark <> '' THEN
            IF v_lane.is_special AND v_is_prepared IS NULL THEN
                PERFORM @extschema@._prepare_queue(v_lane.queue_id, max_jobs);
                v_is_prepared := true;
                CONTINUE;
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                v_lane.take := LEAST(max_jobs, @extschema@._room(
                    v_lane.queue_id, v_lane.max_concurrency, ignore_max_concurrency));
                EXIT WHEN v_lane.take <= 0;
            END IF;
            IF v_lane.mark <> '' THEN
                SELECT w.from_at, w.from_id, w.is_set INTO v_lane.from_at, v_lane.from_id, v_lane.is_from_mark
                FROM @extschema@._watermark(
                    @extschema@._lane_mark(v_lane.queue_id, v_lane.priority), v_lane.now) AS w;
            END IF;
        END IF;

        RETURN QUERY
        WITH picked AS (
            UPDATE @extschema@.job AS j SET
                -- A row that has a lease already is one whose lease ran out: it is not picked but noted.
                lease_token = CASE WHEN j.lease_token IS NULL
                    THEN 1 + floor(random() * 9007199254740990)::bigint
                    ELSE @extschema@._note_expired(j.job_id) END,
                lease_until = CASE WHEN j.lease_token IS NULL
                    THEN v_lane.now + COALESCE(j.timeout_milliseconds, v_lane.timeout_milliseconds)
                         * interval '1 millisecond'
                    ELSE j.lease_until END,
                attempt = CASE WHEN j.lease_token IS NULL THEN j.attempt + 1 ELSE j.attempt END,
                picked_at = CASE WHEN j.lease_token IS NULL THEN v_lane.now ELSE j.picked_at END,
                worker = CASE WHEN j.lease_token IS NULL THEN v_worker ELSE j.worker END
            WHERE j.ctid = ANY (ARRAY(
                SELECT next.ctid
                FROM @extschema@.job AS next
                WHERE next.queue_id = v_lane.queue_id
                  AND next.priority = v_lane.priority
                  AND next.held_by IS NULL
                  AND (next.start_after, next.job_id) >= (v_lane.from_at, v_lane.from_id)
                  AND next.start_after <= v_lane.now
                  AND (next.lease_until IS NULL OR next.lease_until <= v_lane.now)
                ORDER BY next.start_after, next.job_id
                LIMIT v_lane.take
                FOR UPDATE SKIP LOCKED))
            RETURNING j.job_id, j.lease_token, j.lease_until, j.attempt, j.max_attempts, j.payload,
                j.headers, j.group_key, j.start_after, j.added_at, j.timeout_milliseconds
        )
        SELECT p.job_id, v_lane.queue_name, p.lease_token, p.lease_until, p.attempt::integer,
               COALESCE(p.max_attempts, v_lane.max_attempts), p.payload, p.headers,
               v_lane.priority::integer, p.group_key, p.start_after, p.added_at,
               COALESCE(p.timeout_milliseconds, v_lane.timeout_milliseconds)
        FROM picked AS p
        WHERE p.lease_token IS NOT NULL
        ORDER BY p.start_after, p.job_id;
        GET DIAGNOSTICS v_taken = ROW_COUNT;

        v_is_slow := @extschema@._is_slow(@extschema@._scan_work('@extschema@.job_ready_idx') - v_lane.work,
            400 + 2 * max_jobs, clock_timestamp() - v_lane.began_at);
        IF v_is_slow OR v_lane.mark <> '' OR v_lane.max_concurrency IS NOT NULL
           OR current_setting('pgq.expired', true) <> '' THEN
            IF v_is_slow OR (v_lane.mark <> '' AND NOT v_lane.is_from_mark) THEN
                PERFORM @extschema@._note_lane_scan(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_from_mark), v_lane.now, v_is_slow,
                    clock_timestamp() - v_lane.began_at);
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                PERFORM @extschema@._count_as_running(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_from_mark), v_lane.now, v_taken);
            END IF;
            IF current_setting('pgq.expired', true) <> '' THEN
                PERFORM @extschema@._time_out_noted();
                -- The same lane once more.
                v_lane.priority := v_lane.priority + 1;
            END IF;
        END IF;
        EXIT WHEN v_taken >= max_jobs;
        max_jobs := max_jobs - v_taken;
        v_below := v_lane.priority;
    END LOOP;
END;
END
$$;
COMMENT ON FUNCTION @extschema@.pick_jobs IS
$$Leases up to max_jobs jobs (1 to 10000, default 1) of these queues and returns them: highest priority first, then oldest start_after. Never a job before its start_after, of a paused queue, or above a limit; a queue that does not exist has no jobs. A job whose lease ran out is released with its timeout_with_result when a pick meets it.
worker: a name for the history (up to 200 bytes). timeout_milliseconds (100 to 604800000): the length of the lease of jobs that have none of their own, default the queue's.
durable => false sets synchronous_commit off for the transaction: use it where the pick stands alone; a crash may lose the pick, never the job.
ignore_max_concurrency => true picks above the queue's max_concurrency; the job counts all the same.
Errors: 22004, 22023 for bad values; 0A000 for a queue with limits in a transaction that is not read committed.$$;

-- extension/functions/60-timeout.sql
-- Time-outs: a lease that ran out is released by the pick that meets it; no reaper is needed.

CREATE OR REPLACE FUNCTION @extschema@._retry_pause(
    retry_backoff text,
    pause_milliseconds bigint,
    max_pause_milliseconds bigint,
    attempt integer
)
RETURNS interval
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    RETURN interval '1 millisecond' * CASE retry_backoff
        WHEN 'fixed' THEN pause_milliseconds
        ELSE random() * LEAST(max_pause_milliseconds,
                              pause_milliseconds * power(2::double precision, LEAST(attempt, 40) - 1)) END;
END
$$;
COMMENT ON FUNCTION @extschema@._retry_pause IS
    'Internal: how long to wait before the attempt that follows the given one.';

-- Writes: what _finish_jobs and _put_back write.
-- Locks: rows whose lease ran out, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._time_out_jobs(job_ids bigint[])
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_result record;
    v_errors text[];
    v_timed_out integer := 0;
BEGIN
    FOR v_result IN
        WITH expired AS (
            SELECT j.job_id, j.queue_id, j.timeout_with_result
            FROM @extschema@.job AS j
            WHERE j.job_id = ANY (job_ids) AND j.lease_until <= v_now
            FOR UPDATE SKIP LOCKED
        )
        SELECT COALESCE(e.timeout_with_result, q.timeout_with_result) AS name, array_agg(e.job_id) AS job_ids
        FROM expired AS e
        JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
        GROUP BY 1
    LOOP
        v_errors := array_fill('timed out'::text, ARRAY[cardinality(v_result.job_ids)]);
        v_timed_out := v_timed_out + cardinality(@extschema@._settle_jobs(
            v_result.job_ids, NULL, v_result.name, NULL, v_errors, NULL, true, 'timed_out'));
    END LOOP;
    RETURN v_timed_out;
END
$$;
COMMENT ON FUNCTION @extschema@._time_out_jobs IS
    'Internal: releases those of these jobs whose lease ran out with the job''s or the queue''s timeout_with_result; returns their number.';

-- A pick notes the expired leases that it meets in a setting of the transaction: the one place that is
-- free of cost when there is none.
CREATE OR REPLACE FUNCTION @extschema@._note_expired(job_id bigint)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM set_config('pgq.expired',
        concat_ws(',', NULLIF(current_setting('pgq.expired', true), ''), job_id), true);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._note_expired IS
    'Internal: has the pick that is under way time this job out; returns null, the token of a job without a lease.';

-- Writes, locks: as _time_out_jobs.
CREATE OR REPLACE FUNCTION @extschema@._time_out_noted()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job_ids bigint[] := string_to_array(current_setting('pgq.expired'), ',')::bigint[];
BEGIN
    PERFORM set_config('pgq.expired', '', true);
    PERFORM @extschema@._time_out_jobs(v_job_ids);
END
$$;
COMMENT ON FUNCTION @extschema@._time_out_noted IS
    'Internal: times out the jobs that the pick under way has noted.';

-- extension/functions/62-settle.sql
-- Settling: what becomes of jobs that end or go back to their line, whoever has decided it: a release, a time-out
-- or a cancel. The order of locks is job, unique_key, running_job; jobs in the order of job_id: the scan that the
-- join of a batch is driven by.

-- Writes: running_job, unique_key, group_hint.  Locks: rows of unique_key in the order of keys.
CREATE OR REPLACE FUNCTION @extschema@._settle_tails(tails @extschema@.job_tail[], settled_at timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_has_keys boolean;
    v_has_groups boolean;
    v_limited bigint[];
    v_queue_ids integer[];
BEGIN
    SELECT bool_or(t.unique_key IS NOT NULL), bool_or(t.group_key IS NOT NULL),
           array_agg(t.job_id) FILTER (WHERE t.is_limited),
           array_agg(DISTINCT t.queue_id) FILTER (WHERE t.is_limited OR t.group_key IS NOT NULL)
    INTO v_has_keys, v_has_groups, v_limited, v_queue_ids
    FROM unnest(tails) AS t;

    IF v_has_keys THEN
        PERFORM @extschema@._free_keys(tails, settled_at);
    END IF;
    IF v_limited IS NOT NULL THEN
        DELETE FROM @extschema@.running_job AS r WHERE r.job_id = ANY (v_limited);
    END IF;
    IF v_has_groups THEN
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT DISTINCT t.queue_id, t.group_key, settled_at
        FROM unnest(tails) AS t
        WHERE t.group_key IS NOT NULL;
    END IF;
    IF v_queue_ids IS NOT NULL THEN
        PERFORM @extschema@._wake_workers(v_queue_ids);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._settle_tails IS
    'Internal: frees what released jobs held beside their row: keys, places under max_concurrency, turns of groups.';

-- Writes: deletes from job, inserts into finished_job; what _settle_tails writes.  Locks: the job row.
-- The same as _finish_jobs, in two plain statements, which cost a single release less than one large one.
CREATE OR REPLACE FUNCTION @extschema@._finish_job(
    job_id bigint,
    lease_token bigint,
    state text,
    output jsonb,
    error text,
    settled_at timestamptz
)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    o record;
BEGIN
    DELETE FROM @extschema@.job AS j
    WHERE j.job_id = _finish_job.job_id AND j.lease_token = _finish_job.lease_token
    RETURNING j.job_id, j.start_after, j.added_at, j.picked_at, j.queue_id, j.timeout_milliseconds,
        j.priority, j.attempt, j.max_attempts, j.timeout_with_result, j.group_key, j.unique_key,
        j.worker, j.headers, j.attempts, j.payload,
        (SELECT ROW(@extschema@._slot(q.keep_history, q.history_days, q.dead_days, _finish_job.state, settled_at),
                    q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule
         FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id) AS rule
    INTO o;
    IF (o.rule).slot IS NOT NULL THEN
        INSERT INTO @extschema@.finished_job (
            job_id, finished_at, start_after, added_at, picked_at, queue_id, timeout_milliseconds, slot,
            priority, attempt, max_attempts, state, timeout_with_result, group_key, unique_key, worker,
            headers, attempts, error, output, payload)
        VALUES (o.job_id, settled_at, o.start_after, o.added_at, o.picked_at, o.queue_id,
            o.timeout_milliseconds, (o.rule).slot, o.priority, o.attempt, o.max_attempts,
            _finish_job.state, o.timeout_with_result, o.group_key, o.unique_key, o.worker,
            o.headers, o.attempts, left(_finish_job.error, 4000), _finish_job.output, o.payload);
    END IF;
    IF o.unique_key IS NOT NULL OR o.group_key IS NOT NULL OR (o.rule).is_limited THEN
        PERFORM @extschema@._settle_tails(ARRAY[
            ROW(o.job_id, o.queue_id, CASE WHEN (o.rule).has_groups THEN o.group_key END,
                o.unique_key, (o.rule).is_limited)::@extschema@.job_tail], settled_at);
    END IF;
    RETURN o.job_id IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._finish_job IS
    'Internal: ends a job as complete, dead or cancelled if the lease token holds, and says whether it did. Inherits the settings of its callers, because each SET costs a release.';

-- Writes: deletes from job, inserts into finished_job; what _settle_tails writes.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._finish_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    state text,
    outputs jsonb[],
    errors text[],
    settled_at timestamptz
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_first record;
    v_done bigint[];
    v_tails @extschema@.job_tail[];
BEGIN
    -- Most batches are of one queue: what its settings mean is found out once.
    SELECT q.queue_id,
           ROW(@extschema@._slot(q.keep_history, q.history_days, q.dead_days, state, settled_at),
               q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule AS rule
    INTO v_first
    FROM @extschema@.queue AS q
    WHERE q.queue_id = (SELECT j.queue_id FROM @extschema@.job AS j
                        WHERE j.job_id = job_ids[array_lower(job_ids, 1)]);

    WITH gone AS (
        DELETE FROM @extschema@.job AS j
        USING unnest(job_ids, lease_tokens, outputs, errors) AS g (job_id, lease_token, output, error)
        WHERE j.job_id = ANY (_finish_jobs.job_ids)
          AND j.job_id = g.job_id
          AND (_finish_jobs.lease_tokens IS NULL OR j.lease_token = g.lease_token)
        RETURNING j.job_id, j.start_after, j.added_at, j.picked_at, j.queue_id, j.timeout_milliseconds,
            j.priority, j.attempt, j.max_attempts, j.timeout_with_result, j.group_key, j.unique_key,
            j.worker, j.headers, j.attempts, j.payload, j.held_by, g.output, g.error,
            CASE WHEN j.queue_id = v_first.queue_id THEN v_first.rule ELSE (
                SELECT ROW(@extschema@._slot(q.keep_history, q.history_days, q.dead_days, _finish_jobs.state, settled_at),
                           q.has_groups, q.max_concurrency IS NOT NULL)::@extschema@.settle_rule
                FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id) END AS rule
    ), kept AS (
        INSERT INTO @extschema@.finished_job (
            job_id, finished_at, start_after, added_at, picked_at, queue_id, timeout_milliseconds, slot,
            priority, attempt, max_attempts, state, timeout_with_result, group_key, unique_key, worker,
            headers, attempts, error, output, payload)
        SELECT o.job_id, settled_at, o.start_after, o.added_at, o.picked_at, o.queue_id,
            o.timeout_milliseconds, (o.rule).slot, o.priority, o.attempt, o.max_attempts,
            _finish_jobs.state, o.timeout_with_result, o.group_key, o.unique_key, o.worker,
            o.headers, o.attempts, left(o.error, 4000), o.output, o.payload
        FROM gone AS o
        WHERE (o.rule).slot IS NOT NULL
    )
    SELECT array_agg(o.job_id),
           array_agg(ROW(o.job_id, o.queue_id,
                         CASE WHEN (o.rule).has_groups AND o.held_by IS NULL THEN o.group_key END,
                         o.unique_key, (o.rule).is_limited)::@extschema@.job_tail)
               FILTER (WHERE o.unique_key IS NOT NULL OR o.group_key IS NOT NULL OR (o.rule).is_limited)
    INTO v_done, v_tails
    FROM gone AS o;

    IF v_tails IS NOT NULL THEN
        PERFORM @extschema@._settle_tails(v_tails, settled_at);
    END IF;
    RETURN COALESCE(v_done, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._finish_jobs IS
    'Internal: ends these jobs as complete, dead or cancelled, those whose lease token holds (all, if lease_tokens is null); returns their ids. Inherits the settings of its callers, because each SET costs a release.';

-- Writes: job (back to its line), what _settle_tails writes.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@._put_back(
    job_ids bigint[],
    errors text[],
    outcome text,
    delay_milliseconds bigint,
    settled_at timestamptz
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_tails @extschema@.job_tail[];
BEGIN
    WITH pause AS MATERIALIZED (
        SELECT g.job_id, g.error, q.max_concurrency IS NOT NULL AS is_limited,
               -- A strict group keeps its turn, unless its limit was lowered meanwhile.
               q.max_concurrency_per_group IS NOT NULL AND (q.group_order = 'loose' OR (
                   SELECT count(*) FROM (
                       SELECT FROM @extschema@.job AS in_line
                       WHERE in_line.queue_id = j.queue_id AND in_line.group_key = j.group_key
                         AND in_line.held_by IS NULL
                       LIMIT q.max_concurrency_per_group + 1) AS counted
                   ) > q.max_concurrency_per_group) AS gives_turn_back,
               settled_at + CASE
                   WHEN delay_milliseconds IS NOT NULL THEN delay_milliseconds * interval '1 millisecond'
                   WHEN outcome = 'paused' THEN interval '0'
                   ELSE @extschema@._retry_pause(q.retry_backoff, q.pause_between_retries_milliseconds,
                       q.max_pause_between_retries_milliseconds, j.attempt) END AS until
        FROM unnest(job_ids, errors) AS g (job_id, error)
        JOIN @extschema@.job AS j ON j.job_id = g.job_id
        JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
        WHERE j.job_id = ANY (_put_back.job_ids)
    ), back AS (
        UPDATE @extschema@.job AS j SET
            start_after = p.until,
            lease_until = NULL,
            lease_token = NULL,
            picked_at = NULL,
            worker = NULL,
            attempt = CASE outcome WHEN 'paused' THEN j.attempt - 1 ELSE j.attempt END,
            attempts = CASE outcome WHEN 'paused' THEN j.attempts
                ELSE @extschema@._with_attempt(j.attempts, @extschema@._attempt(
                    j.attempt, j.picked_at, settled_at, j.worker, outcome, p.error)) END,
            held_by = CASE WHEN p.gives_turn_back AND j.group_key IS NOT NULL THEN 'group' END
        FROM pause AS p
        WHERE j.job_id = ANY (_put_back.job_ids) AND j.job_id = p.job_id
        RETURNING j.job_id, j.queue_id, j.group_key, j.held_by, p.is_limited, p.until
    ), hinted AS (
        INSERT INTO @extschema@.group_hint (queue_id, group_key, due_at)
        SELECT b.queue_id, b.group_key, b.until
        FROM back AS b
        WHERE b.held_by = 'group'
    )
    SELECT array_agg(ROW(b.job_id, b.queue_id, CASE WHEN b.held_by = 'group' THEN b.group_key END,
                         NULL, b.is_limited)::@extschema@.job_tail)
               FILTER (WHERE b.is_limited OR b.held_by = 'group')
    INTO v_tails
    FROM back AS b;

    IF v_tails IS NOT NULL THEN
        PERFORM @extschema@._settle_tails(v_tails, settled_at);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._put_back IS
    'Internal: puts these jobs, which the caller has locked, back to their line: outcome paused gives the attempt back, others record it.';

-- Writes, locks: as _finish_jobs and _put_back.
CREATE OR REPLACE FUNCTION @extschema@._settle_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    outputs jsonb[],
    errors text[],
    delay_milliseconds bigint,
    retry boolean,
    failed_as text
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_dead bigint[];
    v_dead_errors text[];
    v_back bigint[];
    v_back_errors text[];
BEGIN
    IF result IN ('complete', 'cancelled') THEN
        IF cardinality(job_ids) = 1 AND lease_tokens IS NOT NULL THEN
            -- An array need not begin at 1.
            RETURN CASE WHEN @extschema@._finish_job(job_ids[array_lower(job_ids, 1)],
                            lease_tokens[array_lower(lease_tokens, 1)], result, outputs[array_lower(outputs, 1)],
                            errors[array_lower(errors, 1)], v_now)
                        THEN job_ids ELSE ARRAY[]::bigint[] END;
        END IF;
        RETURN @extschema@._finish_jobs(job_ids, lease_tokens, result, outputs, errors, v_now);
    END IF;

    WITH held AS (
        SELECT j.job_id, g.error, j.attempt,
               COALESCE(j.max_attempts, (SELECT q.max_attempts FROM @extschema@.queue AS q
                                         WHERE q.queue_id = j.queue_id)) AS max_attempts
        FROM @extschema@.job AS j
        JOIN unnest(job_ids, lease_tokens, errors) AS g (job_id, lease_token, error) ON g.job_id = j.job_id
        WHERE j.job_id = ANY (_settle_jobs.job_ids)
          AND (_settle_jobs.lease_tokens IS NULL OR j.lease_token = g.lease_token)
        FOR UPDATE OF j
    ), ruled AS (
        SELECT h.job_id, h.error, result = 'failed' AND (NOT retry OR h.attempt >= h.max_attempts) AS dies
        FROM held AS h
    )
    SELECT array_agg(r.job_id) FILTER (WHERE r.dies), array_agg(r.error) FILTER (WHERE r.dies),
           array_agg(r.job_id) FILTER (WHERE NOT r.dies), array_agg(r.error) FILTER (WHERE NOT r.dies)
    INTO v_dead, v_dead_errors, v_back, v_back_errors
    FROM ruled AS r;

    IF v_dead IS NOT NULL THEN
        PERFORM @extschema@._finish_jobs(v_dead, NULL, 'dead', NULL, v_dead_errors, v_now);
    END IF;
    IF v_back IS NOT NULL THEN
        PERFORM @extschema@._put_back(v_back, v_back_errors,
            CASE result WHEN 'failed' THEN failed_as ELSE result END, delay_milliseconds, v_now);
    END IF;
    RETURN COALESCE(v_dead || v_back, v_dead, v_back, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._settle_jobs IS
    'Internal: releases these jobs with one result and returns the ids of those whose lease token held (all, if lease_tokens is null). Inherits the settings of its callers.';

-- extension/functions/65-release.sql
-- Release: a worker gives a job back with its result, fenced by the lease token.

CREATE OR REPLACE FUNCTION @extschema@._check_release(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    outputs jsonb[],
    errors text[],
    delay_milliseconds bigint,
    retry boolean
)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count integer := cardinality(job_ids);
BEGIN
    PERFORM @extschema@._require(job_ids IS NOT NULL, 'job_ids', NULL);
    IF GREATEST(array_ndims(job_ids), array_ndims(lease_tokens), array_ndims(outputs), array_ndims(errors)) > 1 THEN
        PERFORM @extschema@._require(false, format('%s to have one dimension', a.name), a.dims)
        FROM (VALUES
            ('job_ids', array_ndims(job_ids), array_dims(job_ids)),
            ('lease_tokens', array_ndims(lease_tokens), array_dims(lease_tokens)),
            ('outputs', array_ndims(outputs), array_dims(outputs)),
            ('errors', array_ndims(errors), array_dims(errors))
        ) AS a (name, ndims, dims)
        WHERE a.ndims > 1;
    END IF;
    PERFORM @extschema@._require(array_position(job_ids, NULL) IS NULL, 'every job_id', NULL);
    PERFORM @extschema@._require(lease_tokens IS NULL OR cardinality(lease_tokens) = v_count,
        format('lease_tokens to have %s elements', v_count), cardinality(lease_tokens)::text);
    PERFORM @extschema@._require(outputs IS NULL OR cardinality(outputs) = v_count,
        format('outputs to have %s elements', v_count), cardinality(outputs)::text);
    PERFORM @extschema@._require(errors IS NULL OR cardinality(errors) = v_count,
        format('errors to have %s elements', v_count), cardinality(errors)::text);
    PERFORM @extschema@._require(result IN ('complete', 'failed', 'paused', 'cancelled'),
        'result to be one of complete, failed, paused, cancelled', result);
    PERFORM @extschema@._require(COALESCE(delay_milliseconds BETWEEN 0 AND 31536000000, true),
        'delay_milliseconds to be between 0 and 31536000000', delay_milliseconds::text);
    PERFORM @extschema@._require(delay_milliseconds IS NULL OR result IN ('failed', 'paused'),
        format('no delay_milliseconds with result %s', result), delay_milliseconds::text);
    PERFORM @extschema@._require(retry IS NOT NULL, 'retry', NULL);
    PERFORM @extschema@._require(retry OR result = 'failed',
        format('retry to be true with result %s', result), retry::text);
END
$$;
COMMENT ON FUNCTION @extschema@._check_release IS
    'Internal: raises 22023 or 22004 for arguments of a release that are out of range or do not belong together.';

-- The weaker form: who has no token speaks for whoever holds the lease now.
CREATE OR REPLACE FUNCTION @extschema@._standing_tokens(job_ids bigint[], lease_tokens bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_tokens bigint[];
    v_idle bigint;
BEGIN
    SELECT array_agg(COALESCE(g.lease_token, j.lease_token) ORDER BY g.place),
           min(g.job_id) FILTER (WHERE g.lease_token IS NULL AND j.lease_token IS NULL)
    INTO v_tokens, v_idle
    FROM unnest(job_ids, lease_tokens) WITH ORDINALITY AS g (job_id, lease_token, place)
    LEFT JOIN @extschema@.job AS j ON j.job_id = g.job_id;
    IF v_idle IS NOT NULL THEN
        PERFORM @extschema@._raise_not_running(v_idle);
    END IF;
    PERFORM @extschema@._check_access(array_agg(DISTINCT q.queue_id), 'worker')
    FROM unnest(job_ids, lease_tokens) AS g (job_id, lease_token)
    JOIN @extschema@.job AS j ON j.job_id = g.job_id
    JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
    WHERE g.lease_token IS NULL AND q.is_restricted
    HAVING count(*) > 0;
    RETURN v_tokens;
END
$$;
COMMENT ON FUNCTION @extschema@._standing_tokens IS
    'Internal: the lease tokens with those that are missing filled in; raises JQ002 or JQ004 for a job that does not run.';

CREATE OR REPLACE FUNCTION @extschema@._raise_not_running(job_id bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_state text;
BEGIN
    PERFORM @extschema@._check_job_access(job_id, 'worker');
    -- Not by get_job, which asks for the access of an observer.
    SELECT COALESCE(j.finished_as, @extschema@._state(
        j.held_by, j.lease_token, j.lease_until, j.start_after, @extschema@._now())) INTO v_state
    FROM @extschema@.every_job AS j WHERE j.job_id = _raise_not_running.job_id;
    IF NOT FOUND THEN
        PERFORM @extschema@.get_job(job_id);
    END IF;
    RAISE EXCEPTION 'job % is % and not running', job_id, v_state USING ERRCODE = 'JQ004';
END
$$;
COMMENT ON FUNCTION @extschema@._raise_not_running IS
    'Internal: raises JQ004 with the job''s state, JQ002 for an unknown one, 42501 for one of a restricted queue.';

CREATE OR REPLACE FUNCTION @extschema@._lost_leases(job_ids bigint[], done bigint[], skip_lost boolean)
RETURNS bigint[]
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_lost bigint[];
BEGIN
    IF cardinality(done) = cardinality(job_ids) THEN
        RETURN ARRAY[]::bigint[];
    END IF;
    v_lost := ARRAY(SELECT DISTINCT g.job_id FROM unnest(job_ids) AS g (job_id)
                    WHERE g.job_id <> ALL (done) ORDER BY g.job_id);
    IF v_lost <> '{}' AND skip_lost IS NOT TRUE THEN
        RAISE EXCEPTION 'lease of job % lost', v_lost[1]
            USING ERRCODE = 'JQ003',
                  DETAIL = format('Lost: %s. The lease ran out and was settled, or the job was cancelled or picked anew.',
                                  array_to_string(v_lost, ', ')),
                  HINT = 'Roll back: the job is no longer this worker''s.';
    END IF;
    RETURN v_lost;
END
$$;
COMMENT ON FUNCTION @extschema@._lost_leases IS
    'Internal: those of job_ids that are not done; raises JQ003 for them unless skip_lost. Inherits the settings of its callers.';

-- Writes, locks: as _settle_jobs.
CREATE OR REPLACE FUNCTION @extschema@.release_jobs(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    outputs jsonb[] DEFAULT NULL,
    errors text[] DEFAULT NULL,
    delay_milliseconds bigint DEFAULT NULL,
    retry boolean DEFAULT true,
    skip_lost boolean DEFAULT false
)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    v_done bigint[];
BEGIN
    IF (result = 'complete' AND delay_milliseconds IS NULL AND retry
        AND array_ndims(job_ids) = 1 AND array_ndims(lease_tokens) = 1 AND COALESCE(array_ndims(outputs), 1) = 1
        AND cardinality(lease_tokens) = cardinality(job_ids)
        AND COALESCE(cardinality(outputs) = cardinality(job_ids), true) AND errors IS NULL
        AND array_position(job_ids, NULL) IS NULL AND array_position(lease_tokens, NULL) IS NULL) IS NOT TRUE THEN
        PERFORM @extschema@._check_release(
            job_ids, lease_tokens, result, outputs, errors, delay_milliseconds, retry);
        IF lease_tokens IS NULL OR array_position(lease_tokens, NULL) IS NOT NULL THEN
            lease_tokens := @extschema@._standing_tokens(job_ids, lease_tokens);
        END IF;
    END IF;
    v_done := @extschema@._settle_jobs(job_ids, lease_tokens, result, outputs, errors,
        delay_milliseconds, retry, 'failed');
    RETURN @extschema@._lost_leases(job_ids, v_done, skip_lost);
END
$$;
COMMENT ON FUNCTION @extschema@.release_jobs IS
$$Releases running jobs with one result: complete, failed, paused or cancelled. Arrays have one element for each job.
outputs: json that is kept as the jobs' output (complete). errors: what went wrong (failed, cancelled); the first 4000 characters are kept.
delay_milliseconds (0 to 31536000000): with failed, the pause before the next attempt instead of the queue's backoff; with paused, how long not to be picked. retry => false with failed makes the jobs dead at once.
Returns the ids of jobs whose lease was lost (none: an empty array) with skip_lost => true; else a lost lease raises JQ003 and nothing is released.
A null lease token, or null for all, releases a job whoever runs it: weaker, because a worker that was timed out could end the work of the one after it. Errors: 22004, 22023; JQ002, JQ004 where there is no token.$$;

-- Writes, locks: as _settle_jobs.
CREATE OR REPLACE FUNCTION @extschema@.release_job(
    job_id bigint,
    result text,
    lease_token bigint DEFAULT NULL,
    output jsonb DEFAULT NULL,
    error text DEFAULT NULL,
    delay_milliseconds bigint DEFAULT NULL,
    retry boolean DEFAULT true
)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    v_tokens bigint[];
    v_done bigint[];
    v_state text;
BEGIN
    -- The plain case first: see pick_jobs on what an expression costs.
    IF result = 'complete' AND delay_milliseconds IS NULL AND retry AND lease_token IS NOT NULL
       AND @extschema@._finish_job(job_id, lease_token, result, output, error, @extschema@._now()) THEN
        RETURN result;
    END IF;
    v_tokens := ARRAY[lease_token];
    PERFORM @extschema@._check_release(ARRAY[job_id], v_tokens, result, NULL, NULL, delay_milliseconds, retry);
    IF lease_token IS NULL THEN
        v_tokens := @extschema@._standing_tokens(ARRAY[job_id], v_tokens);
    END IF;
    v_done := @extschema@._settle_jobs(ARRAY[job_id], v_tokens, result, ARRAY[output], ARRAY[error],
        delay_milliseconds, retry, 'failed');
    PERFORM @extschema@._lost_leases(ARRAY[job_id], v_done, false);
    IF result IN ('complete', 'cancelled') THEN
        RETURN result;
    END IF;
    SELECT @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, @extschema@._now())
    INTO v_state
    FROM @extschema@.job AS j WHERE j.job_id = release_job.job_id;
    RETURN COALESCE(v_state, 'dead');
END
$$;
COMMENT ON FUNCTION @extschema@.release_job IS
$$Releases a running job with a result: complete (output is kept), failed (error is kept; the job backs off, or is dead after its last attempt or with retry => false), paused (back to the line, after delay_milliseconds, no attempt used) or cancelled. Returns the job's new state: complete, scheduled, ready, held, dead or cancelled. Options: see release_jobs.
Errors: JQ003 when the lease token no longer holds the job. Without a lease_token: whoever runs the job; JQ002 and JQ004 when nobody does.$$;

-- Writes, locks: as release_jobs, then as pick_jobs.
CREATE OR REPLACE FUNCTION @extschema@.release_and_pick(
    job_ids bigint[],
    lease_tokens bigint[],
    result text,
    queue_names text[],
    max_jobs integer DEFAULT 1,
    worker text DEFAULT NULL,
    timeout_milliseconds integer DEFAULT NULL,
    outputs jsonb[] DEFAULT NULL,
    errors text[] DEFAULT NULL,
    delay_milliseconds bigint DEFAULT NULL,
    retry boolean DEFAULT true,
    ignore_max_concurrency boolean DEFAULT false
)
RETURNS SETOF @extschema@.picked_job
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
BEGIN
    -- The plain case first: see pick_jobs on what an expression costs.
    IF (result = 'complete' AND delay_milliseconds IS NULL AND retry
        AND array_upper(job_ids, 1) = 1 AND array_lower(job_ids, 1) = 1
        AND @extschema@._finish_job(job_ids[1], lease_tokens[1], result, outputs[1], errors[1],
            @extschema@._now())) IS NOT TRUE THEN
        PERFORM @extschema@.release_jobs(job_ids, lease_tokens, result, outputs, errors,
            delay_milliseconds, retry, false);
    END IF;
-- The body of pick_jobs and of release_and_pick, which the Makefile puts in both: a function of many rows that calls
-- another one costs a single job a quarter of its time.
-- A transaction prepares each expression anew that it comes across, which is most of what a single pick costs: the way
-- of the plain case (one queue without limits, the jobs in its first lane) has as few of them as can be.
DECLARE
    v_lane record;
    v_below smallint;
    v_is_prepared boolean;
    v_is_slow boolean;
    v_taken integer;
    v_worker ALIAS FOR worker;
    v_timeout ALIAS FOR timeout_milliseconds;
BEGIN
    IF (cardinality(queue_names) = 1 AND max_jobs BETWEEN 1 AND 10000
        AND COALESCE(octet_length(v_worker), 0) <= 200 AND v_timeout IS NULL) IS NOT TRUE THEN
        PERFORM @extschema@._check_pick(queue_names, max_jobs, v_worker, v_timeout);
        IF cardinality(queue_names) > 1 THEN
            RETURN QUERY
            SELECT p.job_id, p.queue_name, p.lease_token, p.lease_until, p.attempt, p.max_attempts, p.payload,
                   p.headers, p.priority, p.group_key, p.start_after, p.added_at, p.timeout_milliseconds
            FROM @extschema@._pick_from_many(queue_names, max_jobs, v_worker, v_timeout, ignore_max_concurrency) AS p;
            RETURN;
        END IF;
    END IF;

    LOOP
        SELECT q.queue_id, q.queue_name, l.priority, q.max_attempts, q.max_concurrency,
               COALESCE(v_timeout, q.timeout_milliseconds) AS timeout_milliseconds,
               q.has_groups OR q.is_restricted AS is_special,
               current_setting(@extschema@._lane_mark(q.queue_id, l.priority), true) AS mark,
               timestamptz '-infinity' AS from_at, 0::bigint AS from_id, false AS is_from_mark,
               max_jobs AS take, @extschema@._now() AS now, clock_timestamp() AS began_at,
               @extschema@._scan_work('@extschema@.job_ready_idx') AS work
        INTO v_lane
        FROM @extschema@.queue AS q
        CROSS JOIN LATERAL (SELECT known.priority FROM @extschema@.lane AS known
                            WHERE known.queue_id = q.queue_id AND known.priority < COALESCE(v_below, 101)
                            ORDER BY known.priority DESC LIMIT 1) AS l
        WHERE q.queue_name = ANY (queue_names) AND (q.paused_until IS NULL OR q.paused_until <= @extschema@._now());
        EXIT WHEN NOT FOUND;

        IF v_lane.is_special OR v_lane.max_concurrency IS NOT NULL OR v_lane.mark <> '' THEN
            IF v_lane.is_special AND v_is_prepared IS NULL THEN
                PERFORM @extschema@._prepare_queue(v_lane.queue_id, max_jobs);
                v_is_prepared := true;
                CONTINUE;
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                v_lane.take := LEAST(max_jobs, @extschema@._room(
                    v_lane.queue_id, v_lane.max_concurrency, ignore_max_concurrency));
                EXIT WHEN v_lane.take <= 0;
            END IF;
            IF v_lane.mark <> '' THEN
                SELECT w.from_at, w.from_id, w.is_set INTO v_lane.from_at, v_lane.from_id, v_lane.is_from_mark
                FROM @extschema@._watermark(
                    @extschema@._lane_mark(v_lane.queue_id, v_lane.priority), v_lane.now) AS w;
            END IF;
        END IF;

        RETURN QUERY
        WITH picked AS (
            UPDATE @extschema@.job AS j SET
                -- A row that has a lease already is one whose lease ran out: it is not picked but noted.
                lease_token = CASE WHEN j.lease_token IS NULL
                    THEN 1 + floor(random() * 9007199254740990)::bigint
                    ELSE @extschema@._note_expired(j.job_id) END,
                lease_until = CASE WHEN j.lease_token IS NULL
                    THEN v_lane.now + COALESCE(j.timeout_milliseconds, v_lane.timeout_milliseconds)
                         * interval '1 millisecond'
                    ELSE j.lease_until END,
                attempt = CASE WHEN j.lease_token IS NULL THEN j.attempt + 1 ELSE j.attempt END,
                picked_at = CASE WHEN j.lease_token IS NULL THEN v_lane.now ELSE j.picked_at END,
                worker = CASE WHEN j.lease_token IS NULL THEN v_worker ELSE j.worker END
            WHERE j.ctid = ANY (ARRAY(
                SELECT next.ctid
                FROM @extschema@.job AS next
                WHERE next.queue_id = v_lane.queue_id
                  AND next.priority = v_lane.priority
                  AND next.held_by IS NULL
                  AND (next.start_after, next.job_id) >= (v_lane.from_at, v_lane.from_id)
                  AND next.start_after <= v_lane.now
                  AND (next.lease_until IS NULL OR next.lease_until <= v_lane.now)
                ORDER BY next.start_after, next.job_id
                LIMIT v_lane.take
                FOR UPDATE SKIP LOCKED))
            RETURNING j.job_id, j.lease_token, j.lease_until, j.attempt, j.max_attempts, j.payload,
                j.headers, j.group_key, j.start_after, j.added_at, j.timeout_milliseconds
        )
        SELECT p.job_id, v_lane.queue_name, p.lease_token, p.lease_until, p.attempt::integer,
               COALESCE(p.max_attempts, v_lane.max_attempts), p.payload, p.headers,
               v_lane.priority::integer, p.group_key, p.start_after, p.added_at,
               COALESCE(p.timeout_milliseconds, v_lane.timeout_milliseconds)
        FROM picked AS p
        WHERE p.lease_token IS NOT NULL
        ORDER BY p.start_after, p.job_id;
        GET DIAGNOSTICS v_taken = ROW_COUNT;

        v_is_slow := @extschema@._is_slow(@extschema@._scan_work('@extschema@.job_ready_idx') - v_lane.work,
            400 + 2 * max_jobs, clock_timestamp() - v_lane.began_at);
        IF v_is_slow OR v_lane.mark <> '' OR v_lane.max_concurrency IS NOT NULL
           OR current_setting('pgq.expired', true) <> '' THEN
            IF v_is_slow OR (v_lane.mark <> '' AND NOT v_lane.is_from_mark) THEN
                PERFORM @extschema@._note_lane_scan(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_from_mark), v_lane.now, v_is_slow,
                    clock_timestamp() - v_lane.began_at);
            END IF;
            IF v_lane.max_concurrency IS NOT NULL THEN
                PERFORM @extschema@._count_as_running(v_lane.queue_id, v_lane.priority,
                    (v_lane.from_at, v_lane.from_id, v_lane.is_from_mark), v_lane.now, v_taken);
            END IF;
            IF current_setting('pgq.expired', true) <> '' THEN
                PERFORM @extschema@._time_out_noted();
                -- The same lane once more.
                v_lane.priority := v_lane.priority + 1;
            END IF;
        END IF;
        EXIT WHEN v_taken >= max_jobs;
        max_jobs := max_jobs - v_taken;
        v_below := v_lane.priority;
    END LOOP;
END;
END
$$;
COMMENT ON FUNCTION @extschema@.release_and_pick IS
    'Releases the last jobs as release_jobs does and picks the next as pick_jobs does, in one call and one commit. A lost lease raises JQ003, and nothing is released or picked.';

-- extension/functions/66-secret.sql
-- Secrets of endpoints: bearer tokens and signing secrets. Only the functions that send, and those of an admin, see them.

-- Writes: endpoint_secret, or Vault and endpoint.bearer_token_ref.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint_bearer_token(queue_name text, token text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
    v_endpoint record;
BEGIN
    IF token !~ '^[!-~]+$' COLLATE "C" OR octet_length(token) > 8000 THEN
        RAISE EXCEPTION 'expected token to be 1 to 8000 visible ASCII characters without spaces' USING ERRCODE = '22023';
    END IF;
    SELECT e.bearer_token_location, e.bearer_token_ref INTO v_endpoint
    FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id FOR UPDATE;
    IF token IS NULL THEN
        PERFORM @extschema@._forget_bearer_token(v_queue_id);
    ELSIF v_endpoint.bearer_token_location = 'inline' THEN
        INSERT INTO @extschema@.endpoint_secret (queue_id, kind, secret) VALUES (v_queue_id, 'bearer', token)
        ON CONFLICT ON CONSTRAINT endpoint_secret_pkey DO UPDATE SET secret = EXCLUDED.secret;
    ELSIF v_endpoint.bearer_token_location = 'supabase_vault' THEN
        UPDATE @extschema@.endpoint AS e
        SET bearer_token_ref = @extschema@._put_into_vault(v_endpoint.bearer_token_ref, token, queue_name)
        WHERE e.queue_id = v_queue_id;
    ELSE
        RAISE EXCEPTION 'the endpoint of queue "%" has no bearer_token_location', queue_name
            USING ERRCODE = '55000', HINT = 'Set it to inline or supabase_vault by set_endpoint.';
    END IF;
    PERFORM @extschema@._start_anew(v_queue_id);
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint_bearer_token IS
    'Sets the token that goes to the endpoint as Authorization: Bearer, or removes it (null). It is kept where bearer_token_location says. Pass it as a parameter of the statement, so that no log shows it. Errors: 22023; 55000 without a bearer_token_location, or where there is no Vault; JQ001, JQ006.';

CREATE OR REPLACE FUNCTION @extschema@.get_endpoint_bearer_token(queue_name text)
RETURNS text
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._bearer_token(@extschema@._endpoint_id(queue_name));
END
$$;
COMMENT ON FUNCTION @extschema@.get_endpoint_bearer_token IS
    'Returns the bearer token of a queue''s endpoint in clear, null when none is set. Errors: JQ001, JQ006; 55000 where Vault is gone.';

-- Writes: endpoint_secret.  Locks: its rows.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint_signing_secret(queue_name text, secret text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
    v_secret text := COALESCE(secret, @extschema@._new_signing_secret());
    v_pads bytea := @extschema@._signing_pads(v_secret);
BEGIN
    -- One at a time: the endpoint's row stands for all its secrets.
    PERFORM e.queue_id FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id FOR UPDATE;
    INSERT INTO @extschema@.endpoint_secret (queue_id, kind, secret, pads)
    SELECT s.queue_id, 'previous_signing', s.secret, s.pads
    FROM @extschema@.endpoint_secret AS s
    WHERE s.queue_id = v_queue_id AND s.kind = 'signing' AND s.secret <> v_secret
    ON CONFLICT ON CONSTRAINT endpoint_secret_pkey DO UPDATE SET secret = EXCLUDED.secret, pads = EXCLUDED.pads;
    INSERT INTO @extschema@.endpoint_secret (queue_id, kind, secret, pads)
    VALUES (v_queue_id, 'signing', v_secret, v_pads)
    ON CONFLICT ON CONSTRAINT endpoint_secret_pkey DO UPDATE SET secret = EXCLUDED.secret, pads = EXCLUDED.pads;
    RETURN v_secret;
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint_signing_secret IS
    'Sets the secret by which requests to the endpoint are signed (Standard Webhooks: whsec_ and the base64 of 24 to 64 bytes), or makes a new one; returns it. The one before stays in force beside it, so that every request carries both signatures, until forget_previous_signing_secret or the next change. Errors: 22023, JQ001, JQ006.';

-- Writes: deletes from endpoint_secret.  Locks: the row.
CREATE OR REPLACE FUNCTION @extschema@.forget_previous_signing_secret(queue_name text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
BEGIN
    DELETE FROM @extschema@.endpoint_secret AS s WHERE s.queue_id = v_queue_id AND s.kind = 'previous_signing';
END
$$;
COMMENT ON FUNCTION @extschema@.forget_previous_signing_secret IS
    'Ends a change of the signing secret: requests carry the signature of the new one only. Errors: JQ001, JQ006.';

-- Writes: endpoint_secret, endpoint.bearer_token_ref, Vault.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@._forget_bearer_token(queue_id integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ref text;
BEGIN
    DELETE FROM @extschema@.endpoint_secret AS s WHERE s.queue_id = _forget_bearer_token.queue_id AND s.kind = 'bearer';
    SELECT e.bearer_token_ref INTO v_ref
    FROM @extschema@.endpoint AS e WHERE e.queue_id = _forget_bearer_token.queue_id FOR UPDATE;
    IF v_ref IS NOT NULL THEN
        UPDATE @extschema@.endpoint AS e SET bearer_token_ref = NULL WHERE e.queue_id = _forget_bearer_token.queue_id;
        PERFORM @extschema@._delete_from_vault(v_ref);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._forget_bearer_token IS
    'Internal: deletes the bearer token of an endpoint, wherever it is kept.';

CREATE OR REPLACE FUNCTION @extschema@._bearer_token(queue_id integer)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ref text;
BEGIN
    SELECT e.bearer_token_ref INTO v_ref FROM @extschema@.endpoint AS e WHERE e.queue_id = _bearer_token.queue_id;
    IF v_ref IS NOT NULL THEN
        RETURN @extschema@._read_from_vault(v_ref);
    END IF;
    RETURN (SELECT s.secret FROM @extschema@.endpoint_secret AS s
            WHERE s.queue_id = _bearer_token.queue_id AND s.kind = 'bearer');
END
$$;
COMMENT ON FUNCTION @extschema@._bearer_token IS
    'Internal: the bearer token of an endpoint in clear, null when none is set.';

-- extension/functions/67-verdict.sql
-- Verdicts: what an answer means for its job, and for what is sent to the endpoint next. Nothing is written here.

CREATE OR REPLACE FUNCTION @extschema@._answering_endpoint(queue_id integer)
RETURNS @extschema@.answering_endpoint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    e record;
    v_token text;
BEGIN
    SELECT t.manual_release, t.client_error_attempts, t.max_response_bytes, t.bearer_token_location INTO e
    FROM @extschema@.endpoint AS t WHERE t.queue_id = _answering_endpoint.queue_id;
    IF e.bearer_token_location <> '' THEN
        BEGIN
            v_token := @extschema@._bearer_token(queue_id);
        EXCEPTION WHEN OTHERS THEN
            v_token := NULL; -- Vault is out of order: that must not keep answers from being recorded.
        END;
    END IF;
    -- It may have been removed while the request was under way.
    RETURN ROW(queue_id, COALESCE(e.manual_release, false), COALESCE(e.client_error_attempts, 3),
               COALESCE(e.max_response_bytes, 65536), v_token)::@extschema@.answering_endpoint;
END
$$;
COMMENT ON FUNCTION @extschema@._answering_endpoint IS
    'Internal: what is to be known of the endpoint of a queue to judge its answers; the token, because an endpoint may repeat it.';

CREATE OR REPLACE FUNCTION @extschema@._judge_answer(
    answer jsonb,
    endpoint @extschema@.answering_endpoint,
    attempt integer,
    timeout_milliseconds integer
)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_status integer := CASE WHEN answer ->> 'status_code' ~ '^[0-9]{3}$' THEN (answer ->> 'status_code')::integer END;
    v_body text := answer ->> 'body';
    v_error text := answer ->> 'error';
    v_is_redirected boolean := v_status IN (200, 204) AND COALESCE(answer -> 'follows_redirects' = 'true', false)
        AND @extschema@._header(answer -> 'headers', 'location') IS NOT NULL;
    v_verdict @extschema@.answer_verdict;
BEGIN
    v_verdict.retry := true;
    IF endpoint.bearer_token IS NOT NULL THEN
        v_body := replace(v_body, endpoint.bearer_token, '[redacted]');
        v_error := replace(v_error, endpoint.bearer_token, '[redacted]');
    END IF;
    IF answer -> 'given_back' = 'true' THEN
        v_verdict.result := 'paused';
        v_verdict.delay_milliseconds := 0;
    ELSIF answer -> 'lost' = 'true' THEN
        v_verdict.result := 'failed';
        v_verdict.error := COALESCE(left(v_error, 200), 'the request was lost on its way');
        v_verdict.delay_milliseconds := 0;
    ELSIF v_status IS NULL AND answer -> 'timed_out' = 'true' THEN
        -- With manual_release the handler may be at work still: the lease decides.
        v_verdict.result := CASE WHEN endpoint.manual_release THEN 'accepted' ELSE 'failed' END;
        v_verdict.error := format('no answer within %s ms', timeout_milliseconds);
        v_verdict.is_good := CASE WHEN NOT endpoint.manual_release THEN false END;
        v_verdict.is_pressure := NOT endpoint.manual_release;
    ELSIF v_status IS NULL THEN
        v_verdict.result := 'failed';
        v_verdict.error := concat('no answer: ', COALESCE(left(v_error, 200), 'unknown error'));
        v_verdict.is_good := false;
    ELSIF v_status BETWEEN 200 AND 299 AND NOT v_is_redirected THEN
        RETURN @extschema@._judge_success(answer, endpoint, v_status, v_body);
    ELSE
        RETURN @extschema@._judge_refusal(answer, endpoint, v_status, v_body, attempt);
    END IF;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_answer IS
    'Internal: what an answer means for its job and its endpoint. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._judge_success(
    answer jsonb,
    endpoint @extschema@.answering_endpoint,
    status_code integer,
    body text
)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_type text := lower(btrim(split_part(@extschema@._header(answer -> 'headers', 'content-type'), ';', 1)));
    v_is_cut boolean := answer -> 'body_is_cut' = 'true' OR octet_length(body) > endpoint.max_response_bytes;
    v_verdict @extschema@.answer_verdict;
BEGIN
    v_verdict.result := 'complete';
    v_verdict.retry := true;
    IF v_type = 'application/vnd.pgq+json' AND v_is_cut THEN
        v_verdict.result := 'failed';
        v_verdict.error := format('bad answer document: it is longer than %s bytes', endpoint.max_response_bytes);
    ELSIF v_type = 'application/vnd.pgq+json' THEN
        v_verdict := @extschema@._read_document(body);
    ELSIF status_code = 202 OR endpoint.manual_release THEN
        v_verdict.result := 'accepted';
    ELSIF body <> '' AND NOT COALESCE(v_is_cut, false) AND COALESCE(v_type, '') ~ '^$|[/+]json$' THEN
        v_verdict.output := @extschema@._json_or_null(body);
    END IF;
    v_verdict.is_good := true;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_success IS
    'Internal: what an answer with a 2xx status means: the body is the output if it is json, or a document that says what to do. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._judge_refusal(
    answer jsonb,
    endpoint @extschema@.answering_endpoint,
    status_code integer,
    body text,
    attempt integer
)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    v_after bigint;
    v_verdict @extschema@.answer_verdict;
BEGIN
    v_verdict.result := 'failed';
    v_verdict.error := CASE WHEN status_code < 400 AND status_code >= 200
        THEN format('redirected (HTTP %s): the url of the endpoint must be the final one', status_code)
        ELSE concat('HTTP ', status_code, ': ' || NULLIF(left(btrim(regexp_replace(left(body, 2000), '\s+', ' ', 'g')), 200), '')) END;
    v_verdict.retry := true;
    IF status_code IN (429, 503) THEN
        v_verdict.is_pressure := true;
        v_after := @extschema@._retry_after(@extschema@._header(answer -> 'headers', 'retry-after'), @extschema@._now());
    END IF;
    CASE
        WHEN v_after IS NOT NULL THEN
            v_verdict.result := 'paused';
            v_verdict.delay_milliseconds := v_after;
            v_verdict.hold_milliseconds := v_after;
        WHEN status_code = 429 THEN
            v_verdict.result := 'paused';
            SELECT GREATEST(1000, EXTRACT(epoch FROM @extschema@._retry_pause(q.retry_backoff,
                q.pause_between_retries_milliseconds, q.max_pause_between_retries_milliseconds,
                _judge_refusal.attempt)) * 1000)::bigint
            INTO v_verdict.delay_milliseconds
            FROM @extschema@.queue AS q WHERE q.queue_id = endpoint.queue_id;
            v_verdict.is_good := false;
        WHEN status_code = 408 OR status_code NOT BETWEEN 200 AND 499 THEN
            v_verdict.is_good := false;
        WHEN status_code = 410 THEN
            v_verdict.is_gone := true;
        WHEN status_code BETWEEN 400 AND 499 AND status_code <> 425 THEN
            v_verdict.is_good := true;
            v_verdict.retry := attempt < endpoint.client_error_attempts;
        ELSE
            NULL; -- A redirect, or 425: it says nothing about how the endpoint is doing.
    END CASE;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_refusal IS
    'Internal: what an answer means whose status is not 2xx, or that came by a redirect. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._header(headers jsonb, name text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
AS $$
BEGIN
    IF headers ->> name IS NOT NULL OR jsonb_typeof(headers) <> 'object' THEN
        RETURN headers ->> name;
    END IF;
    RETURN (SELECT h.value FROM jsonb_each_text(headers) AS h (name, value) WHERE lower(h.name) = _header.name LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._header IS
    'Internal: a header of an answer by its name in lower case, however the answer writes it. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._retry_after(value text, at timestamptz)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET datestyle = 'ISO, DMY'
AS $$
DECLARE
    v_seconds double precision;
BEGIN
    IF btrim(value) ~ '^[0-9]{1,18}$' THEN
        v_seconds := btrim(value)::double precision;
    ELSIF value ~* '^\s*(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? [0-9a-z :-]+$' THEN
        -- The three forms of RFC 9110; the one without a zone is in UTC.
        v_seconds := EXTRACT(epoch FROM regexp_replace(value, '^\s*[A-Za-z]+,? ', '')::timestamptz - at);
    END IF;
    -- Never at once: who answers "now" for ever would get the same requests for ever.
    RETURN CASE WHEN v_seconds IS NOT NULL THEN LEAST(GREATEST(v_seconds, 1), 3600) * 1000 END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._retry_after IS
    'Internal: the milliseconds, 1000 to 3600000, that a Retry-After in seconds or as a date asks for; null when it is neither.';

CREATE OR REPLACE FUNCTION @extschema@._json_or_null(content text)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
AS $$
BEGIN
    RETURN content::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL; -- No json, or none that jsonb can hold.
END
$$;
COMMENT ON FUNCTION @extschema@._json_or_null IS 'Internal: a text as json; null when it is none. Inherits the settings of answer_requests.';

CREATE OR REPLACE FUNCTION @extschema@._read_document(body text)
RETURNS @extschema@.answer_verdict
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_document jsonb := @extschema@._json_or_null(body);
    v_key text;
    v_verdict @extschema@.answer_verdict;
BEGIN
    PERFORM @extschema@._require(jsonb_typeof(v_document) = 'object', 'a json object', COALESCE(body, ''));
    SELECT k.key INTO v_key FROM jsonb_object_keys(v_document) AS k (key)
    WHERE k.key NOT IN ('result', 'output', 'error', 'delay_milliseconds', 'retry', 'jobs') LIMIT 1;
    PERFORM @extschema@._require(v_key IS NULL,
        'nothing but result, output, error, delay_milliseconds, retry, jobs', v_key);
    v_verdict.result := COALESCE(v_document ->> 'result', 'complete');
    v_verdict.output := v_document -> 'output';
    v_verdict.error := v_document ->> 'error';
    v_verdict.delay_milliseconds := (v_document ->> 'delay_milliseconds')::bigint;
    v_verdict.retry := COALESCE((v_document ->> 'retry')::boolean, true);
    PERFORM @extschema@._check_release(ARRAY[0]::bigint[], ARRAY[0]::bigint[], v_verdict.result, NULL, NULL,
        v_verdict.delay_milliseconds, v_verdict.retry);
    IF jsonb_typeof(v_document -> 'jobs') <> 'null' THEN
        PERFORM @extschema@._require(jsonb_typeof(v_document -> 'jobs') = 'array', 'jobs to be an array',
            v_document ->> 'jobs');
        PERFORM @extschema@._require(jsonb_array_length(v_document -> 'jobs') <= 1000,
            'at most 1000 jobs', jsonb_array_length(v_document -> 'jobs')::text);
        PERFORM @extschema@._require(v_verdict.result = 'complete',
            format('no jobs with result %s', v_verdict.result), v_document ->> 'jobs');
        v_verdict.jobs := NULLIF(v_document -> 'jobs', '[]');
    END IF;
    RETURN v_verdict;
EXCEPTION WHEN data_exception THEN
    v_verdict := NULL;
    v_verdict.result := 'failed';
    v_verdict.retry := true;
    v_verdict.error := 'bad answer document: ' || SQLERRM;
    RETURN v_verdict;
END
$$;
COMMENT ON FUNCTION @extschema@._read_document IS
    'Internal: what an answer of content type application/vnd.pgq+json says; a failure, when it is not as it should be.';

-- extension/functions/68-request.sql
-- Requests: what exactly is sent for a job.

-- Writes: what pick_jobs writes; request.  Locks: as pick_jobs; the caller has locked the endpoints' states.
CREATE OR REPLACE FUNCTION @extschema@._make_requests(turns @extschema@.endpoint_turn[], dispatcher text)
RETURNS SETOF @extschema@.dispatch_request
LANGUAGE plpgsql
VOLATILE
ROWS 100
AS $$
DECLARE
    v_sent_at timestamptz := @extschema@._now();
    v_seconds bigint := floor(EXTRACT(epoch FROM v_sent_at));
BEGIN
    RETURN QUERY
    WITH picked AS MATERIALIZED (
        -- A lease has 30 seconds more than the request, for the answer to come in.
        SELECT t.queue_id, t.queue_name, t.method, t.url, t.headers AS common_headers, t.pads, t.manual_release,
               t.is_insecure_allowed, t.max_response_bytes, p.job_id, p.lease_token, p.lease_until, p.attempt, p.headers,
               concat('job_', t.message_prefix, '_', p.job_id) AS message_id,
               LEAST(t.timeout_milliseconds, p.timeout_milliseconds) AS timeout_milliseconds,
               (jsonb_build_object(
                   'job_id', p.job_id, 'lease_token', p.lease_token, 'attempt', p.attempt,
                   'max_attempts', p.max_attempts, 'queue_name', p.queue_name, 'payload', p.payload,
                   'timeout_milliseconds', CASE WHEN t.manual_release THEN p.timeout_milliseconds
                       ELSE LEAST(t.timeout_milliseconds, p.timeout_milliseconds) END)
                || CASE WHEN p.headers IS NOT NULL THEN jsonb_build_object('headers', p.headers) ELSE '{}' END
                || CASE WHEN t.manual_release THEN '{"manual_release": true}'::jsonb ELSE '{}' END
               )::text AS content
        FROM unnest(turns) AS t
        CROSS JOIN LATERAL @extschema@.pick_jobs(ARRAY[t.queue_name], t.share, _make_requests.dispatcher,
            CASE WHEN NOT t.manual_release THEN t.timeout_milliseconds + 30000 END) AS p
        WHERE t.share > 0
    ), noted AS (
        INSERT INTO @extschema@.request (
            job_id, lease_token, sent_at, expires_at, queue_id, timeout_milliseconds, dispatcher)
        SELECT p.job_id, p.lease_token, v_sent_at,
               v_sent_at + (p.timeout_milliseconds + 30000) * interval '1 millisecond',
               p.queue_id, p.timeout_milliseconds, _make_requests.dispatcher
        FROM picked AS p
    )
    SELECT p.queue_name, p.job_id, p.lease_token, p.lease_until, p.attempt, p.method,
           CASE p.method WHEN 'POST' THEN p.url
                ELSE concat(p.url, CASE WHEN strpos(p.url, '?') > 0 THEN '&' ELSE '?' END,
                            'job=', @extschema@._percent_encode(p.content)) END,
           p.common_headers
           || jsonb_build_object('webhook-id', p.message_id, 'webhook-timestamp', v_seconds::text)
           || CASE WHEN p.headers IS NULL THEN '{}' ELSE @extschema@._trace_headers(p.headers) END
           || CASE WHEN p.pads = '{}' THEN '{}' ELSE jsonb_build_object('webhook-signature', (
                  SELECT string_agg(@extschema@._sign(p.message_id, v_seconds, p.content, k.pads), ' ' ORDER BY k.place)
                  FROM unnest(p.pads) WITH ORDINALITY AS k (pads, place))) END,
           CASE p.method WHEN 'POST' THEN p.content END,
           p.timeout_milliseconds, p.max_response_bytes, p.manual_release, p.is_insecure_allowed
    FROM picked AS p;
END
$$;
COMMENT ON FUNCTION @extschema@._make_requests IS
    'Internal: picks for each of these endpoints, which the caller has locked, its share of jobs, and makes their requests. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._trace_headers(headers jsonb)
RETURNS jsonb
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parent text := headers ->> 'traceparent';
    v_state text := headers ->> 'tracestate';
BEGIN
    -- What is not in the form of W3C Trace Context is not passed on: it might break the request.
    IF (v_parent ~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$') IS NOT TRUE THEN
        RETURN '{}'::jsonb;
    ELSIF (v_state ~ '^[!-~]([ -~]*[!-~])?$' COLLATE "C" AND length(v_state) <= 512) IS NOT TRUE THEN
        RETURN jsonb_build_object('traceparent', v_parent);
    END IF;
    RETURN jsonb_build_object('traceparent', v_parent, 'tracestate', v_state);
END
$$;
COMMENT ON FUNCTION @extschema@._trace_headers IS
    'Internal: traceparent and tracestate of a job, for its request.';

CREATE OR REPLACE FUNCTION @extschema@._percent_encode(content text)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT string_agg(
        CASE WHEN c.character ~ '^[0-9A-Za-z._~-]$' COLLATE "C" THEN c.character
             ELSE regexp_replace(upper(encode(convert_to(c.character, 'UTF8'), 'hex')), '(..)', '%\1', 'g') END,
        '' ORDER BY c.place)
    FROM string_to_table(content, NULL) WITH ORDINALITY AS c (character, place));
COMMENT ON FUNCTION @extschema@._percent_encode IS
    'Internal: a text as it stands in the query of a url (RFC 3986, in UTF-8).';

-- extension/functions/69-turn.sql
-- Turns: which endpoints may get requests now, and how many. A pick locks the state of each, so that two picks together never
-- pass a limit.

CREATE OR REPLACE FUNCTION @extschema@._turn_mark()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('pgq.turn_', '@extschema@.job'::regclass::oid);
COMMENT ON FUNCTION @extschema@._turn_mark IS
    'Internal: the name of the setting that keeps which endpoint had the last turn. Without a search_path of its own, so that it is inlined.';

-- Writes, locks: what _share_out does.
CREATE OR REPLACE FUNCTION @extschema@._due_endpoints(queue_names text[], max_timeout_milliseconds integer)
RETURNS integer[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_last integer := COALESCE(NULLIF(current_setting(@extschema@._turn_mark(), true), ''), '0')::integer;
    v_names text[];
    v_queue_ids integer[];
BEGIN
    SELECT array_agg(q.queue_name ORDER BY q.queue_id <= v_last, q.queue_id),
           array_agg(q.queue_id ORDER BY q.queue_id <= v_last, q.queue_id)
    INTO v_names, v_queue_ids
    FROM @extschema@.endpoint AS e
    JOIN @extschema@.endpoint_state AS s ON s.queue_id = e.queue_id
    JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
    WHERE e.is_active
      AND (s.held_until IS NULL OR s.held_until <= v_now)
      AND (q.paused_until IS NULL OR q.paused_until <= v_now)
      AND e.timeout_milliseconds <= COALESCE(_due_endpoints.max_timeout_milliseconds, e.timeout_milliseconds)
      AND CASE WHEN _due_endpoints.queue_names IS NOT NULL THEN q.queue_name = ANY (_due_endpoints.queue_names)
               ELSE NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'dispatcher') END;
    PERFORM @extschema@._check_access(v_queue_ids, 'dispatcher');
    -- A look at one row of each lane spares the endpoints without jobs the rest.
    IF cardinality(v_names) > 1 THEN
        v_queue_ids := ARRAY(
            SELECT q.queue_id
            FROM unnest(v_names, v_queue_ids) WITH ORDINALITY AS q (queue_name, queue_id, place)
            WHERE q.queue_name IN (SELECT s.queue_name FROM @extschema@._share_out(v_names, 1) AS s)
            ORDER BY q.place);
    END IF;
    RETURN COALESCE(v_queue_ids, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._due_endpoints IS
    'Internal: the endpoints to which something can be sent now, those first that have waited longest for a turn of this session; one that is alone without a look at whether there is anything. Inherits the settings of pick_requests.';

-- Writes, locks: as _open_endpoint; a setting of the session.
CREATE OR REPLACE FUNCTION @extschema@._open_endpoints(queue_ids integer[], max_endpoints integer)
RETURNS @extschema@.endpoint_turn[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_queue_id integer;
    v_turn @extschema@.endpoint_turn;
    v_turns @extschema@.endpoint_turn[] := ARRAY[]::@extschema@.endpoint_turn[];
    v_busy_id integer;
BEGIN
    FOREACH v_queue_id IN ARRAY queue_ids LOOP
        EXIT WHEN cardinality(v_turns) >= max_endpoints;
        v_turn := @extschema@._open_endpoint(v_queue_id, false);
        IF v_turn.budget > 0 THEN
            v_turns := array_append(v_turns, v_turn);
        ELSIF v_turn.budget IS NULL THEN
            v_busy_id := COALESCE(v_busy_id, v_queue_id);
        END IF;
    END LOOP;
    -- Another dispatcher takes from the only endpoints there are: what it leaves is worth a short wait.
    IF v_turns = '{}' AND v_busy_id IS NOT NULL THEN
        v_turn := @extschema@._open_endpoint(v_busy_id, true);
        v_turns := CASE WHEN v_turn.budget > 0 THEN ARRAY[v_turn] ELSE v_turns END;
    END IF;
    IF v_turns <> '{}' THEN
        PERFORM set_config(@extschema@._turn_mark(), v_turns[cardinality(v_turns)].queue_id::text, false);
    END IF;
    RETURN v_turns;
END
$$;
COMMENT ON FUNCTION @extschema@._open_endpoints IS
    'Internal: locks those of these endpoints that may get a request now, no more than max_endpoints, and keeps in mind who was the last. Inherits the settings of pick_requests.';

-- Writes: endpoint_state when the endpoint cannot be used; deletes from request what has expired.
-- Locks: the endpoint's state: with SKIP LOCKED, or waiting 50 milliseconds at most.
CREATE OR REPLACE FUNCTION @extschema@._open_endpoint(queue_id integer, is_waited_for boolean)
RETURNS @extschema@.endpoint_turn
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    e record;
    v_budget integer := 0;
    v_trouble text;
    v_token text;
BEGIN
    IF NOT @extschema@._lock_endpoint(queue_id, is_waited_for) THEN
        RETURN NULL;
    END IF;
    SELECT q.queue_name, t.url, t.method, t.timeout_milliseconds, t.manual_release, t.max_in_flight, t.headers,
           t.bearer_token_location, t.max_response_bytes, t.is_insecure_allowed, t.message_prefix,
           t.checked_as <> @extschema@._address_checksum(t.url, t.headers, t.bearer_token_location, t.is_insecure_allowed)
           OR EXISTS (SELECT FROM @extschema@.endpoint_allowed_host) AS must_be_checked,
           s.held_at, s.in_flight_limit, @extschema@._breaker(s.consecutive_failures, s.held_until, v_now) AS breaker,
           ARRAY(SELECT k.pads FROM @extschema@.endpoint_secret AS k
                 WHERE k.queue_id = t.queue_id AND k.pads IS NOT NULL ORDER BY k.kind DESC) AS pads
    INTO e
    FROM @extschema@.endpoint_state AS s
    JOIN @extschema@.endpoint AS t ON t.queue_id = s.queue_id
    JOIN @extschema@.queue AS q ON q.queue_id = s.queue_id
    WHERE s.queue_id = _open_endpoint.queue_id AND t.is_active AND (s.held_until IS NULL OR s.held_until <= v_now);
    IF FOUND THEN
        -- A half-open breaker lets one request try, whatever hangs from before.
        v_budget := CASE e.breaker
            WHEN 'closed' THEN LEAST(floor(e.in_flight_limit)::integer, e.max_in_flight)
                               - @extschema@._in_flight(queue_id, NULL)
            ELSE 1 - @extschema@._in_flight(queue_id, e.held_at) END;
    END IF;
    IF v_budget <= 0 THEN
        RETURN ROW(queue_id, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)::@extschema@.endpoint_turn;
    END IF;
    IF e.must_be_checked THEN
        v_trouble := @extschema@._address_trouble(e.url, e.headers, e.bearer_token_location <> '', e.is_insecure_allowed);
    END IF;
    IF v_trouble IS NULL AND e.bearer_token_location <> '' THEN
        BEGIN
            v_token := @extschema@._bearer_token(queue_id);
            v_trouble := CASE WHEN v_token IS NULL THEN 'its bearer token is not set' END;
        EXCEPTION WHEN OTHERS THEN
            -- Whatever is wrong with Vault, the other endpoints go on. Its message might show what must not be seen.
            v_trouble := format('its bearer token cannot be read (SQLSTATE %s)', SQLSTATE);
        END;
    END IF;
    IF v_trouble IS NOT NULL THEN
        PERFORM @extschema@._hold_endpoint(queue_id, 10000, v_trouble);
        v_budget := 0;
    END IF;
    RETURN ROW(queue_id, e.queue_name, v_budget, 0, e.url, e.method, e.timeout_milliseconds, e.manual_release,
        e.is_insecure_allowed, e.max_response_bytes,
        e.headers || jsonb_strip_nulls(jsonb_build_object(
            'content-type', CASE e.method WHEN 'POST' THEN 'application/json' END,
            'user-agent', 'pgq/' || @extschema@.installed_version(),
            'authorization', 'Bearer ' || v_token)),
        e.message_prefix, e.pads)::@extschema@.endpoint_turn;
END
$$;
COMMENT ON FUNCTION @extschema@._open_endpoint IS
    'Internal: locks an endpoint against other picks and says how many requests it may get, and what they have in common; null when another pick has it. One that cannot be used as it is set is held for 10 seconds. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._request_mark(queue_id integer)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('pgq.request_', '@extschema@.request'::regclass::oid, '_', queue_id);
COMMENT ON FUNCTION @extschema@._request_mark IS
    'Internal: the name of the setting that keeps from where the requests to an endpoint are counted. Without a search_path of its own, so that it is inlined.';

-- Writes: deletes from request what has expired.  Locks: those rows, with SKIP LOCKED.
CREATE OR REPLACE FUNCTION @extschema@._in_flight(queue_id integer, since timestamptz)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_began timestamptz := clock_timestamp();
    v_mark text := @extschema@._request_mark(queue_id);
    v_seen text := current_setting(v_mark, true);
    v_from bigint := COALESCE(NULLIF(split_part(v_seen, '|', 1), ''), '0')::bigint;
    v_stragglers bigint[] := string_to_array(split_part(v_seen, '|', 2), ',')::bigint[];
    v_count integer;
    v_alive bigint[];
    v_expired bigint[];
BEGIN
    SELECT count(*) FILTER (WHERE r.expires_at > v_now AND (since IS NULL OR r.sent_at > since)),
           array_agg(r.request_id ORDER BY r.request_id) FILTER (WHERE r.expires_at > v_now),
           array_agg(r.request_id) FILTER (WHERE r.expires_at <= v_now)
    INTO v_count, v_alive, v_expired
    FROM (
        SELECT old.request_id, old.expires_at, old.sent_at FROM @extschema@.request AS old
        WHERE old.queue_id = _in_flight.queue_id AND old.request_id = ANY (v_stragglers)
        UNION ALL
        SELECT new.request_id, new.expires_at, new.sent_at FROM @extschema@.request AS new
        WHERE new.queue_id = _in_flight.queue_id AND new.request_id >= v_from
    ) AS r;
    IF v_expired IS NOT NULL THEN
        DELETE FROM @extschema@.request AS r
        WHERE r.queue_id = _in_flight.queue_id AND r.request_id = ANY (ARRAY(
            SELECT gone.request_id FROM @extschema@.request AS gone
            WHERE gone.queue_id = _in_flight.queue_id AND gone.request_id = ANY (v_expired)
            FOR UPDATE SKIP LOCKED));
    END IF;
    -- What made it slow is dead. The living are kept in mind, up to 200 one by one, and the next look begins above
    -- them; no row can come to be below, because ids grow and are given out under the lock that this session has.
    IF clock_timestamp() - v_began > interval '0.3 milliseconds' + v_count * interval '5 microseconds' THEN
        PERFORM set_config(v_mark, concat(
            COALESCE(v_alive[201], nextval('@extschema@.request_request_id_seq'::regclass)), '|',
            array_to_string(v_alive[1:200], ',')), false);
    END IF;
    RETURN v_count;
END
$$;
COMMENT ON FUNCTION @extschema@._in_flight IS
    'Internal: how many requests to an endpoint, which the caller has locked, are under way; since: of those that were sent later. Deletes those that have expired. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._share_requests(turns @extschema@.endpoint_turn[], wanted integer)
RETURNS @extschema@.endpoint_turn[]
LANGUAGE plpgsql
IMMUTABLE
AS $$
DECLARE
    v_count integer := cardinality(turns);
BEGIN
    FOR v_place IN 1..v_count LOOP
        turns[v_place].share := LEAST(turns[v_place].budget,
            wanted / v_count + CASE WHEN v_place <= wanted % v_count THEN 1 ELSE 0 END);
    END LOOP;
    RETURN turns;
END
$$;
COMMENT ON FUNCTION @extschema@._share_requests IS
    'Internal: sets how many requests each endpoint is to get now. Inherits the settings of pick_requests.';

CREATE OR REPLACE FUNCTION @extschema@._hungry_endpoints(turns @extschema@.endpoint_turn[], mark bigint)
RETURNS @extschema@.endpoint_turn[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_sent integer;
    v_hungry @extschema@.endpoint_turn[] := ARRAY[]::@extschema@.endpoint_turn[];
BEGIN
    FOR v_place IN 1..cardinality(turns) LOOP
        SELECT count(*) INTO v_sent
        FROM @extschema@.request AS r
        WHERE r.queue_id = turns[v_place].queue_id AND r.request_id > mark;
        turns[v_place].budget := turns[v_place].budget - v_sent;
        IF v_sent = turns[v_place].share AND turns[v_place].budget > 0 THEN
            v_hungry := array_append(v_hungry, turns[v_place]);
        END IF;
    END LOOP;
    RETURN v_hungry;
END
$$;
COMMENT ON FUNCTION @extschema@._hungry_endpoints IS
    'Internal: those endpoints that have got all of their share since the request_id mark, and may get more. Inherits the settings of pick_requests.';

-- extension/functions/70-lease.sql
-- Leases: kept alive in batches while the work goes on.

-- Writes: job.lease_until, running_job.lease_until.  Locks: the job rows.
CREATE OR REPLACE FUNCTION @extschema@.keep_jobs_alive(
    job_ids bigint[],
    lease_tokens bigint[],
    timeout_milliseconds integer DEFAULT NULL,
    skip_lost boolean DEFAULT false
)
RETURNS SETOF @extschema@.job_lease
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_alive bigint[];
    v_untils timestamptz[];
    v_limited boolean;
    v_lost bigint[];
    v_cancelled bigint[] := ARRAY[]::bigint[];
BEGIN
    PERFORM @extschema@._check_release(job_ids, lease_tokens, 'paused', NULL, NULL, NULL, true);
    PERFORM @extschema@._require(COALESCE(timeout_milliseconds BETWEEN 100 AND 604800000, true),
        'timeout_milliseconds to be between 100 and 604800000', timeout_milliseconds::text);
    IF lease_tokens IS NULL OR array_position(lease_tokens, NULL) IS NOT NULL THEN
        lease_tokens := @extschema@._standing_tokens(job_ids, lease_tokens);
    END IF;

    WITH extended AS (
        UPDATE @extschema@.job AS j SET
            lease_until = GREATEST(j.lease_until, v_now + COALESCE(
                keep_jobs_alive.timeout_milliseconds, j.timeout_milliseconds,
                (SELECT q.timeout_milliseconds FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id))
                * interval '1 millisecond')
        FROM unnest(job_ids, lease_tokens) AS g (job_id, lease_token)
        WHERE j.job_id = ANY (keep_jobs_alive.job_ids) AND j.job_id = g.job_id
          AND j.lease_token = g.lease_token
        RETURNING j.job_id, j.lease_until,
            (SELECT q.max_concurrency IS NOT NULL FROM @extschema@.queue AS q
             WHERE q.queue_id = j.queue_id) AS is_limited
    )
    SELECT array_agg(e.job_id), array_agg(e.lease_until), bool_or(e.is_limited)
    INTO v_alive, v_untils, v_limited
    FROM extended AS e;

    IF v_limited THEN
        UPDATE @extschema@.running_job AS r SET lease_until = e.lease_until
        FROM unnest(v_alive, v_untils) AS e (job_id, lease_until)
        WHERE r.job_id = ANY (v_alive) AND r.job_id = e.job_id;
    END IF;
    v_lost := @extschema@._lost_leases(job_ids, COALESCE(v_alive, '{}'), skip_lost);
    IF v_lost <> '{}' THEN
        v_cancelled := ARRAY(SELECT f.job_id FROM @extschema@.finished_job AS f
                             WHERE f.job_id = ANY (v_lost) AND f.state = 'cancelled');
    END IF;
    RETURN QUERY
    SELECT g.job_id,
           CASE WHEN e.job_id IS NOT NULL THEN 'running'
                WHEN g.job_id = ANY (v_cancelled) THEN 'cancelled'
                ELSE 'lost' END,
           e.lease_until
    FROM unnest(job_ids) WITH ORDINALITY AS g (job_id, place)
    LEFT JOIN unnest(v_alive, v_untils) AS e (job_id, lease_until) ON e.job_id = g.job_id
    ORDER BY g.place;
END
$$;
COMMENT ON FUNCTION @extschema@.keep_jobs_alive IS
    'Extends the leases of running jobs to now plus timeout_milliseconds (100 to 604800000; default the job''s or the queue''s) and returns them in the order of job_ids with state running, lost or cancelled. A lost lease raises JQ003 and extends none, unless skip_lost => true, which tells it in the state. A null token speaks for whoever runs the job.';

-- extension/functions/71-address.sql
-- Addresses: which urls and headers an endpoint may have. They are checked when they are set and again when something
-- is sent. The server's network is not the public's: without these checks who may set an endpoint could reach into it.
-- What is not covered is a public name that resolves to a private address: that is for a firewall.

CREATE OR REPLACE FUNCTION @extschema@._check_url(url text, is_insecure_allowed boolean)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What errors show: a password or a key in the query is not for logs.
    v_shown text := regexp_replace(split_part(split_part(url, '#', 1), '?', 1), '^.*@', '…@');
    v_host text;
BEGIN
    -- The checks are made in one expression first: a call costs more than all of them.
    IF (octet_length(url) <= 2048 AND url ~ '^[!-~]*$' COLLATE "C" AND strpos(url, '\') = 0
        AND url ~* '^https://[^@#]*$'
        AND CASE WHEN is_insecure_allowed THEN @extschema@._url_host(url) IS NOT NULL
                 ELSE @extschema@._is_public_host(@extschema@._url_host(url)) END) THEN
        RETURN;
    END IF;
    PERFORM @extschema@._require(octet_length(url) <= 2048, 'url to be at most 2048 bytes long', v_shown);
    -- A backslash is a slash to some parsers and none to others.
    PERFORM @extschema@._require(url ~ '^[!-~]*$' COLLATE "C" AND strpos(url, '\') = 0,
        'url to have visible ASCII characters only, and no backslash', v_shown);
    PERFORM @extschema@._require(url ~* '^https://' OR (is_insecure_allowed AND url ~* '^http://'),
        'url to begin with https:// (or http://, with is_insecure_allowed)', v_shown);
    PERFORM @extschema@._require(strpos(url, '#') = 0, 'url to have no fragment', v_shown);
    PERFORM @extschema@._require(url !~ '^[^/]*//[^/?]*@', 'url to have no user info', v_shown);
    v_host := @extschema@._url_host(url);
    PERFORM @extschema@._require(v_host IS NOT NULL,
        'url to have a host name or address, and a port from 1 to 65535 if any', v_shown);
    PERFORM @extschema@._require(is_insecure_allowed OR @extschema@._is_public_host(v_host),
        'url to have a public host (a private or local one needs is_insecure_allowed)', v_shown);
END
$$;
COMMENT ON FUNCTION @extschema@._check_url IS
    'Internal: raises 22023 (22004 for a null) for a url that no request may go to; is_insecure_allowed lets http and private addresses pass.';

CREATE OR REPLACE FUNCTION @extschema@._url_host(url text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    c_host constant text := '^https?://(\[[0-9a-f:.]+\]|[0-9a-z_-]+(?:\.[0-9a-z_-]+)*\.?)(?::([0-9]{1,5}))?(?:[/?].*)?$';
    v_parts text[] := regexp_match(url, c_host, 'i');
    v_host text := lower(rtrim(v_parts[1], '.'));
BEGIN
    IF octet_length(v_host) > 253 OR v_parts[2]::integer NOT BETWEEN 1 AND 65535 THEN
        RETURN NULL;
    ELSIF left(v_host, 1) = '[' THEN
        RETURN CASE WHEN @extschema@._ipv6(v_host) IS NOT NULL THEN v_host END;
    ELSIF @extschema@._is_number(v_host) THEN
        RETURN CASE WHEN @extschema@._ipv4(v_host) IS NOT NULL THEN v_host END;
    END IF;
    RETURN v_host;
END
$$;
COMMENT ON FUNCTION @extschema@._url_host IS
    'Internal: the host of a url in lower case, an IPv6 address in its brackets; null when there is no valid one.';

-- What is an address follows the URL standard (url.spec.whatwg.org), by which clients read 0x7f.1 as 127.0.0.1.
CREATE OR REPLACE FUNCTION @extschema@._is_number(host text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN host ~ '(^|\.)([0-9]+|0x[0-9a-f]*)$';
COMMENT ON FUNCTION @extschema@._is_number IS
    'Internal: whether clients take this host for an IPv4 address: its last part is a number.';

CREATE OR REPLACE FUNCTION @extschema@._ipv4(host text)
RETURNS inet
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_parts text[] := string_to_array(host, '.');
    v_count integer := cardinality(v_parts);
    v_part text;
    v_number bigint;
    v_address bigint := 0;
BEGIN
    IF v_count > 4 OR octet_length(host) > 60 THEN
        RETURN NULL;
    END IF;
    FOR v_place IN 1..v_count LOOP
        v_part := v_parts[v_place];
        v_number := CASE
            WHEN v_part ~ '^0x0*[0-9a-f]{0,8}$' THEN ('x' || lpad(ltrim(substr(v_part, 3), '0'), 16, '0'))::bit(64)::bigint
            WHEN v_part ~ '^00*[0-7]{0,11}$' THEN (
                SELECT COALESCE(sum(d.digit::bigint * 8 ^ (d.place - 1)), 0)::bigint
                FROM string_to_table(reverse(v_part), NULL) WITH ORDINALITY AS d (digit, place)
                WHERE d.digit <> '0')
            WHEN v_part ~ '^[1-9][0-9]{0,9}$' THEN v_part::bigint END;
        -- The last part fills all the bytes that are left.
        IF (v_number < CASE WHEN v_place < v_count THEN 256 ELSE 256 ^ (5 - v_count) END) IS NOT TRUE THEN
            RETURN NULL;
        END IF;
        v_address := v_address + v_number * CASE WHEN v_place < v_count THEN 256 ^ (4 - v_place) ELSE 1 END;
    END LOOP;
    RETURN '0.0.0.0'::inet + v_address;
END
$$;
COMMENT ON FUNCTION @extschema@._ipv4 IS
    'Internal: the IPv4 address that a host is, of up to four decimal, octal (0…) or hexadecimal (0x…) numbers; null when it is not valid.';

CREATE OR REPLACE FUNCTION @extschema@._ipv6(host text)
RETURNS inet
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_address inet;
BEGIN
    v_address := btrim(host, '[]')::inet;
    RETURN CASE family(v_address) WHEN 6 THEN v_address END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._ipv6 IS
    'Internal: the IPv6 address in these brackets; null when it is not valid.';

CREATE OR REPLACE FUNCTION @extschema@._is_public_host(host text)
RETURNS boolean
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- IANA special-purpose address registries (RFC 6890 and its updates).
    c_private constant inet[] := '{
        0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.0.0.0/24, 192.0.2.0/24,
        192.88.99.0/24, 192.168.0.0/16, 198.18.0.0/15, 198.51.100.0/24, 203.0.113.0/24, 224.0.0.0/3,
        2001::/23, 2001:db8::/32, 2002::/16, 3fff::/20}'::inet[];
BEGIN
    IF left(host, 1) = '[' THEN
        -- All else is local, or holds an IPv4 address.
        RETURN COALESCE(@extschema@._ipv6(host) << '2000::/3' AND NOT @extschema@._ipv6(host) <<= ANY (c_private), false);
    ELSIF @extschema@._is_number(host) THEN
        RETURN COALESCE(NOT @extschema@._ipv4(host) <<= ANY (c_private), false);
    END IF;
    RETURN strpos(host, '.') > 0 AND host !~ '\.(localhost|local|localdomain|internal|intranet|lan|home|corp|private|home\.arpa)$';
END
$$;
COMMENT ON FUNCTION @extschema@._is_public_host IS
    'Internal: whether a host, as _url_host gives it, is neither a private address nor a name that only a local network knows.';

CREATE OR REPLACE FUNCTION @extschema@._check_endpoint_headers(headers jsonb, has_bearer_token boolean)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- What requests have of themselves, or what the client sets.
    c_reserved constant text := '^(content-(type|length|encoding)|host|user-agent|connection|keep-alive|transfer-encoding'
        '|te|trailer|upgrade|expect|traceparent|tracestate|(webhook|proxy)-.*)$';
    v_header record;
BEGIN
    IF headers IS NULL OR headers = '{}' THEN
        RETURN;
    END IF;
    PERFORM @extschema@._require(jsonb_typeof(headers) = 'object', 'headers to be a json object', headers::text);
    PERFORM @extschema@._require(octet_length(headers::text) <= 16384,
        'headers to have at most 16384 bytes', octet_length(headers::text)::text);
    FOR v_header IN
        SELECT h.name, h.value, count(*) OVER (PARTITION BY lower(h.name)) AS times
        FROM jsonb_each(headers) AS h (name, value)
    LOOP
        PERFORM @extschema@._require(v_header.name ~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$' COLLATE "C",
            'headers to have names of letters, digits and hyphens', v_header.name);
        PERFORM @extschema@._require(lower(v_header.name) !~ c_reserved
            AND NOT (has_bearer_token AND lower(v_header.name) = 'authorization'),
            'headers to have no name that each request has anyway', v_header.name);
        PERFORM @extschema@._require(v_header.times = 1, 'headers to have each name once', v_header.name);
        -- The value may be meant for few eyes: the error has the name.
        PERFORM @extschema@._require(jsonb_typeof(v_header.value) = 'string'
            AND v_header.value #>> '{}' ~ '^([!-~]([ -~]*[!-~])?)?$' COLLATE "C",
            'headers to have values that are strings of visible ASCII characters', v_header.name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._check_endpoint_headers IS
    'Internal: raises 22023 for headers that no request may have; shows names, never values.';

CREATE OR REPLACE FUNCTION @extschema@._check_host_allowed(url text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_host text := @extschema@._url_host(url);
BEGIN
    PERFORM @extschema@._require(
        NOT EXISTS (SELECT FROM @extschema@.endpoint_allowed_host) OR EXISTS (
            SELECT FROM @extschema@.endpoint_allowed_host AS a
            WHERE a.pattern = v_host
               OR (left(a.pattern, 2) = '*.' AND right(v_host, length(a.pattern) - 1) = substr(a.pattern, 2))),
        'url to have a host that allow_endpoint_host has allowed', v_host);
END
$$;
COMMENT ON FUNCTION @extschema@._check_host_allowed IS
    'Internal: raises 22023 when there is a list of allowed hosts and the host of this url is not on it.';

-- What was checked once needs no second check as long as it is the same, and the checks are.
CREATE OR REPLACE FUNCTION @extschema@._address_checksum(
    url text,
    headers jsonb,
    bearer_token_location text,
    is_insecure_allowed boolean
)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.md5(pg_catalog.concat_ws(E'\n', @extschema@.installed_version(), url, headers, bearer_token_location,
    is_insecure_allowed));
COMMENT ON FUNCTION @extschema@._address_checksum IS
    'Internal: a checksum of all that decides whether a request may go out. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._address_trouble(
    url text,
    headers jsonb,
    has_bearer_token boolean,
    is_insecure_allowed boolean
)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._check_url(url, is_insecure_allowed);
    PERFORM @extschema@._check_endpoint_headers(headers, has_bearer_token);
    PERFORM @extschema@._check_host_allowed(url) WHERE EXISTS (SELECT FROM @extschema@.endpoint_allowed_host);
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN split_part(SQLERRM, ', got ', 1);
END
$$;
COMMENT ON FUNCTION @extschema@._address_trouble IS
    'Internal: why no request may go to this url, or with these headers; null when all is well.';

-- Writes: endpoint_allowed_host.
CREATE OR REPLACE FUNCTION @extschema@.allow_endpoint_host(pattern text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO @extschema@.endpoint_allowed_host (pattern)
    VALUES (@extschema@._host_pattern(allow_endpoint_host.pattern))
    ON CONFLICT ON CONSTRAINT endpoint_allowed_host_pkey DO NOTHING;
END
$$;
COMMENT ON FUNCTION @extschema@.allow_endpoint_host IS
    'Allows endpoints to have this host: a name such as api.example.com, all names below one (*.example.com), or an address. As long as nothing is allowed by name all hosts are; from the first call on only those that are on the list, when an endpoint is set and at each request. Private addresses need is_insecure_allowed of the endpoint all the same. Errors: 22004, 22023.';

-- Writes: deletes from endpoint_allowed_host.
CREATE OR REPLACE FUNCTION @extschema@.disallow_endpoint_host(pattern text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM @extschema@.endpoint_allowed_host AS a
    WHERE a.pattern = @extschema@._host_pattern(disallow_endpoint_host.pattern);
END
$$;
COMMENT ON FUNCTION @extschema@.disallow_endpoint_host IS
    'Takes back what allow_endpoint_host gave; endpoints with that host are no longer called. When the last entry of the list goes, all hosts are allowed again. Errors: 22004, 22023.';

CREATE OR REPLACE FUNCTION @extschema@.allowed_endpoint_hosts()
RETURNS text[]
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(SELECT a.pattern FROM @extschema@.endpoint_allowed_host AS a ORDER BY a.pattern);
END
$$;
COMMENT ON FUNCTION @extschema@.allowed_endpoint_hosts IS
    'Returns the hosts that allow_endpoint_host has allowed; empty: all hosts are allowed.';

CREATE OR REPLACE FUNCTION @extschema@._host_pattern(pattern text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(octet_length(pattern) <= 255 AND
        pattern ~* '^((\*\.)?[0-9a-z_-]+(\.[0-9a-z_-]+)*|\[[0-9a-f:.]+\])$',
        'pattern to be a host such as api.example.com or *.example.com', pattern);
    RETURN lower(pattern);
END
$$;
COMMENT ON FUNCTION @extschema@._host_pattern IS
    'Internal: a pattern of allow_endpoint_host in lower case; raises 22023 or 22004 when it is none.';

-- extension/functions/72-vault.sql
-- Vault (the extension supabase_vault): a place for bearer tokens. It may be missing, so it is called by dynamic SQL, and
-- what is secret goes by parameter only.

CREATE OR REPLACE FUNCTION @extschema@._require_vault()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Where USAGE on the schema is missing, a look into it is an error.
    IF NOT COALESCE((SELECT has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace AS n WHERE n.nspname = 'vault'), false)
       OR to_regclass('vault.decrypted_secrets') IS NULL
       OR to_regprocedure('vault.create_secret(text,text,text,uuid)') IS NULL
       OR to_regprocedure('vault.update_secret(uuid,text,text,text,uuid)') IS NULL THEN
        RAISE EXCEPTION 'Vault is not installed in this database, or the owner of this queue may not use it'
            USING ERRCODE = '55000',
                  HINT = 'Install the extension supabase_vault, or use bearer_token_location inline.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._require_vault IS 'Internal: raises 55000 when there is no Vault.';

-- Writes: vault.secrets.
CREATE OR REPLACE FUNCTION @extschema@._put_into_vault(ref text, token text, queue_name text)
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_id uuid;
BEGIN
    PERFORM @extschema@._require_vault();
    EXECUTE format('SELECT s.id FROM %s AS s WHERE s.id = $1', to_regclass('vault.decrypted_secrets'))
    INTO v_id USING ref::uuid;
    IF v_id IS NULL THEN
        EXECUTE format('SELECT %s(new_secret => $1, new_description => $2)', to_regproc('vault.create_secret'))
        INTO v_id USING token, format('pgq: bearer token for the endpoint of queue "%s"', queue_name);
    ELSE
        EXECUTE format('SELECT %s(secret_id => $1, new_secret => $2)', to_regproc('vault.update_secret'))
        USING v_id, token;
    END IF;
    RETURN v_id::text;
END
$$;
COMMENT ON FUNCTION @extschema@._put_into_vault IS
    'Internal: keeps a token in Vault, in the place of the secret ref if that is there still; returns the id of the secret.';

CREATE OR REPLACE FUNCTION @extschema@._read_from_vault(ref text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_token text;
BEGIN
    PERFORM @extschema@._require_vault();
    EXECUTE format('SELECT s.decrypted_secret FROM %s AS s WHERE s.id = $1', to_regclass('vault.decrypted_secrets'))
    INTO v_token USING ref::uuid;
    RETURN v_token;
END
$$;
COMMENT ON FUNCTION @extschema@._read_from_vault IS
    'Internal: the secret of Vault with this id in clear; null when it is gone. Raises 55000 when there is no Vault.';

-- Writes: deletes from vault.secrets.
CREATE OR REPLACE FUNCTION @extschema@._delete_from_vault(ref text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF to_regclass('vault.secrets') IS NOT NULL THEN
        EXECUTE format('DELETE FROM %s AS s WHERE s.id = $1', to_regclass('vault.secrets')) USING ref::uuid;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'secret % of Vault could not be deleted', ref
        USING DETAIL = 'The owner of this queue may not delete from vault.secrets.';
END
$$;
COMMENT ON FUNCTION @extschema@._delete_from_vault IS
    'Internal: deletes a secret from Vault; warns when the owner of this queue may not.';

-- extension/functions/73-breaker.sql
-- Breaker: how an endpoint is doing. Failures in a row open its circuit breaker, which then lets one request through to
-- try; back-pressure halves the requests that may be under way, and successes raise them again (AIMD, as in TCP).

CREATE OR REPLACE FUNCTION @extschema@._breaker(consecutive_failures integer, held_until timestamptz, at timestamptz)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE
    WHEN consecutive_failures OPERATOR(pg_catalog.<) 5 THEN 'closed'
    WHEN held_until OPERATOR(pg_catalog.>) at THEN 'open'
    ELSE 'half_open' END;
COMMENT ON FUNCTION @extschema@._breaker IS
    'Internal: the state of a circuit breaker: closed, open or half_open. Without a search_path of its own, so that it is inlined.';

-- Locks: the endpoint's state.
CREATE OR REPLACE FUNCTION @extschema@._lock_endpoint(queue_id integer, is_waited_for boolean)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
AS $$
BEGIN
    -- Not by lock_timeout: a row is waited for twice, and a time-out between the two looks like a cancel by the user.
    FOR v_try IN 1..CASE WHEN is_waited_for THEN 11 ELSE 1 END LOOP
        IF v_try > 1 THEN
            PERFORM pg_sleep(0.005);
        END IF;
        PERFORM s.queue_id FROM @extschema@.endpoint_state AS s
        WHERE s.queue_id = _lock_endpoint.queue_id
        FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
COMMENT ON FUNCTION @extschema@._lock_endpoint IS
    'Internal: locks the state of an endpoint until the transaction ends, and says whether it could. Inherits the settings of its callers.';

-- Writes: endpoint_state.  Locks: the caller has locked the row, or it is locked here.
CREATE OR REPLACE FUNCTION @extschema@._hold_endpoint(queue_id integer, milliseconds bigint, reason text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_until timestamptz := v_now + milliseconds * interval '1 millisecond';
BEGIN
    UPDATE @extschema@.endpoint_state AS s
    SET held_at = v_now, held_until = v_until, hold_reason = left(reason, 500)
    WHERE s.queue_id = _hold_endpoint.queue_id AND (s.held_until IS NULL OR s.held_until < v_until);
END
$$;
COMMENT ON FUNCTION @extschema@._hold_endpoint IS
    'Internal: has nothing sent to an endpoint for so long; a longer hold stays. Inherits the settings of its callers.';

-- Writes: endpoint_state, if anything changes.
-- Locks: its rows then, in the order of queue_id; waits 50 milliseconds at most for each.
CREATE OR REPLACE FUNCTION @extschema@._note_answers(verdicts @extschema@.answer_verdict[])
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_state record;
BEGIN
    -- The usual case, an endpoint that works and goes on working, writes and locks nothing.
    FOR v_queue_id IN
        SELECT s.queue_id
        FROM @extschema@.endpoint_state AS s
        WHERE s.queue_id IN (
            SELECT v.queue_id FROM unnest(verdicts) AS v
            WHERE NOT v.is_good OR v.is_pressure OR v.hold_milliseconds > 0
               OR s.consecutive_failures > 0 OR s.in_flight_limit IS NOT NULL)
        ORDER BY s.queue_id
    LOOP
        -- While a long transaction that picks has it, answers must not hang: what they say of the endpoint is lost.
        CONTINUE WHEN NOT @extschema@._lock_endpoint(v_queue_id, true);
        SELECT s.consecutive_failures, s.in_flight_limit, e.max_in_flight, s.held_at, s.last_decrease_at INTO v_state
        FROM @extschema@.endpoint_state AS s
        JOIN @extschema@.endpoint AS e ON e.queue_id = s.queue_id
        WHERE s.queue_id = v_queue_id;
        PERFORM @extschema@._note_answers_of(
            v_queue_id, v_state.consecutive_failures,
            LEAST(v_state.in_flight_limit, v_state.max_in_flight), v_state.max_in_flight,
            COALESCE(v_state.held_at, '-infinity'), COALESCE(v_state.last_decrease_at, '-infinity'),
            ARRAY(SELECT v FROM unnest(verdicts) AS v WHERE v.queue_id = v_queue_id ORDER BY v.place));
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._note_answers IS
    'Internal: what answers mean for the next requests to their endpoints: circuit breaker, hold, and how many may be under way.';

-- Writes: endpoint_state, if anything changes.  Locks: the caller has locked the row.
CREATE OR REPLACE FUNCTION @extschema@._note_answers_of(
    queue_id integer,
    consecutive_failures integer,
    in_flight_limit real,
    max_in_flight integer,
    held_at timestamptz,
    last_decrease_at timestamptz,
    verdicts @extschema@.answer_verdict[]
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_seen record;
    v_failures integer;
    v_limit real;
BEGIN
    -- What was sent before the last hold, or before the limit was last halved, says nothing new.
    WITH seen AS (
        SELECT v.place, v.is_good, v.is_pressure, v.hold_milliseconds, v.error,
               v.sent_at > _note_answers_of.held_at AS is_fresh,
               v.sent_at > _note_answers_of.last_decrease_at AS is_of_this_limit,
               max(v.place) FILTER (WHERE v.is_good AND v.sent_at > _note_answers_of.held_at) OVER () AS last_good
        FROM unnest(verdicts) AS v
    )
    SELECT count(*) FILTER (WHERE NOT s.is_good AND s.is_fresh AND s.place > COALESCE(s.last_good, 0)) AS failures,
           bool_or(s.last_good IS NOT NULL) AS has_success,
           (array_agg(s.error ORDER BY s.place DESC) FILTER (WHERE NOT s.is_good AND s.is_fresh))[1] AS error,
           count(*) FILTER (WHERE s.is_good AND s.is_of_this_limit) AS successes,
           bool_or(s.is_pressure AND s.is_of_this_limit) AS has_pressure,
           max(s.hold_milliseconds) AS hold_milliseconds
    INTO v_seen
    FROM seen AS s;

    v_failures := v_seen.failures + CASE WHEN v_seen.has_success THEN 0 ELSE consecutive_failures END;
    -- Many that fail at once are one sign of trouble: only a try that fails makes the next pause longer.
    v_failures := LEAST(v_failures, GREATEST(5, consecutive_failures + 1));
    v_limit := CASE WHEN v_seen.has_pressure THEN GREATEST(in_flight_limit / 2, 1)
                    ELSE in_flight_limit + v_seen.successes / in_flight_limit END;
    v_limit := CASE WHEN v_limit < max_in_flight THEN v_limit END;
    UPDATE @extschema@.endpoint_state AS s SET
        consecutive_failures = v_failures,
        in_flight_limit = v_limit,
        last_decrease_at = CASE WHEN v_seen.has_pressure THEN @extschema@._now() ELSE s.last_decrease_at END,
        held_until = CASE WHEN v_seen.has_success AND s.consecutive_failures >= 5 THEN NULL ELSE s.held_until END
    WHERE s.queue_id = _note_answers_of.queue_id
      AND (v_seen.has_pressure OR s.consecutive_failures <> v_failures OR s.in_flight_limit IS DISTINCT FROM v_limit);

    IF v_seen.hold_milliseconds > 0 THEN
        PERFORM @extschema@._hold_endpoint(queue_id, v_seen.hold_milliseconds, 'it answered with Retry-After');
    END IF;
    IF v_failures >= 5 AND v_seen.failures > 0 THEN
        PERFORM @extschema@._hold_endpoint(queue_id,
            (LEAST(60000, 1000 * 2 ^ LEAST(v_failures - 5, 10)) * (0.75 + random() / 2))::bigint,
            format('%s failures in a row, the last: %s', v_failures, v_seen.error));
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._note_answers_of IS
    'Internal: as _note_answers, for one endpoint in a given state.';

CREATE OR REPLACE FUNCTION @extschema@.endpoint_status(queue_name text DEFAULT NULL)
RETURNS SETOF @extschema@.endpoint_state_info
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.queue AS q
                   WHERE q.queue_name = endpoint_status.queue_name AND @extschema@._has_access(q.queue_id, 'dispatcher')) THEN
        PERFORM @extschema@._queue_id(endpoint_status.queue_name, 'observer') WHERE endpoint_status.queue_name IS NOT NULL;
    END IF;
    RETURN QUERY
    SELECT q.queue_name, e.is_active, COALESCE(q.paused_until > v_now, false),
           (SELECT count(*) FROM @extschema@.request AS r
            WHERE r.queue_id = e.queue_id AND r.expires_at > v_now)::integer,
           CASE s.breaker WHEN 'closed' THEN LEAST(floor(s.in_flight_limit)::integer, e.max_in_flight)
                          WHEN 'half_open' THEN 1 ELSE 0 END,
           e.max_in_flight, s.breaker, s.held_until,
           CASE WHEN s.held_until IS NOT NULL OR s.breaker <> 'closed' THEN s.hold_reason END,
           s.consecutive_failures
    FROM @extschema@.endpoint AS e
    JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
    JOIN (SELECT t.queue_id, t.in_flight_limit, t.consecutive_failures, t.hold_reason,
                 CASE WHEN t.held_until > v_now THEN t.held_until END AS held_until,
                 @extschema@._breaker(t.consecutive_failures, t.held_until, v_now) AS breaker
          FROM @extschema@.endpoint_state AS t) AS s ON s.queue_id = e.queue_id
    WHERE (endpoint_status.queue_name IS NULL OR q.queue_name = endpoint_status.queue_name)
      AND (NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'observer')
           OR @extschema@._has_access(q.queue_id, 'dispatcher'))
    ORDER BY q.queue_name;
END
$$;
COMMENT ON FUNCTION @extschema@.endpoint_status IS
    'Returns for one queue''s endpoint, or for each: the requests under way and how many there may be now, the state of its circuit breaker, and whether and why nothing is sent to it. Raises JQ001 when the queue does not exist; a queue without an endpoint gives no row.';

-- extension/functions/74-endpoint.sql
-- Endpoints: where the jobs of a queue are sent by HTTP.

-- Writes: endpoint, endpoint_state; queue and lane when the queue is new; forgets the token when its location changes.
-- Locks: the endpoint's row and its state.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint(
    queue_name text,
    url text,
    is_active boolean DEFAULT true,
    method text DEFAULT 'POST',
    timeout_milliseconds integer DEFAULT 15000,
    manual_release boolean DEFAULT false,
    max_in_flight integer DEFAULT 50,
    headers jsonb DEFAULT NULL,
    bearer_token_location text DEFAULT '',
    client_error_attempts integer DEFAULT 3,
    max_response_bytes integer DEFAULT 65536,
    is_insecure_allowed boolean DEFAULT false
)
RETURNS @extschema@.endpoint_settings
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer;
    v_old_location text;
    v_headers jsonb;
BEGIN
    PERFORM @extschema@._check_endpoint(url, is_active, method, timeout_milliseconds, manual_release, max_in_flight,
        headers, bearer_token_location, client_error_attempts, max_response_bytes, is_insecure_allowed);
    v_headers := COALESCE((SELECT jsonb_object_agg(lower(h.name), h.value) FROM jsonb_each(headers) AS h (name, value)), '{}');
    v_queue_id := @extschema@._make_queue(queue_name);
    PERFORM @extschema@._queue_id(queue_name, 'admin');

    INSERT INTO @extschema@.endpoint_state (queue_id) VALUES (v_queue_id)
    ON CONFLICT ON CONSTRAINT endpoint_state_pkey DO NOTHING;
    SELECT e.bearer_token_location INTO v_old_location
    FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id FOR UPDATE;
    IF v_old_location <> set_endpoint.bearer_token_location THEN
        PERFORM @extschema@._forget_bearer_token(v_queue_id);
    END IF;

    INSERT INTO @extschema@.endpoint AS e (
        queue_id, url, is_active, method, timeout_milliseconds, manual_release, max_in_flight, headers,
        bearer_token_location, client_error_attempts, max_response_bytes, is_insecure_allowed, message_prefix,
        checked_as)
    VALUES (
        v_queue_id, set_endpoint.url, set_endpoint.is_active, set_endpoint.method,
        set_endpoint.timeout_milliseconds, set_endpoint.manual_release, set_endpoint.max_in_flight, v_headers,
        set_endpoint.bearer_token_location, set_endpoint.client_error_attempts,
        set_endpoint.max_response_bytes, set_endpoint.is_insecure_allowed, left(gen_random_uuid()::text, 8),
        @extschema@._address_checksum(set_endpoint.url, v_headers, set_endpoint.bearer_token_location,
                                      set_endpoint.is_insecure_allowed))
    ON CONFLICT ON CONSTRAINT endpoint_pkey DO UPDATE SET
        url = EXCLUDED.url, is_active = EXCLUDED.is_active, method = EXCLUDED.method,
        timeout_milliseconds = EXCLUDED.timeout_milliseconds, manual_release = EXCLUDED.manual_release,
        max_in_flight = EXCLUDED.max_in_flight, headers = EXCLUDED.headers,
        bearer_token_location = EXCLUDED.bearer_token_location,
        client_error_attempts = EXCLUDED.client_error_attempts,
        max_response_bytes = EXCLUDED.max_response_bytes,
        is_insecure_allowed = EXCLUDED.is_insecure_allowed,
        checked_as = EXCLUDED.checked_as;
    PERFORM @extschema@._start_anew(v_queue_id);
    RETURN @extschema@._endpoint_settings(v_queue_id);
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint IS
$$Has the jobs of a queue sent to an HTTP endpoint by the dispatchers; makes the queue if it does not exist. Sets all values: what is not given gets its default. Returns the settings. The secrets are set apart (set_endpoint_bearer_token, set_endpoint_signing_secret) and stay, but a new bearer_token_location forgets the token. The endpoint starts anew: its circuit breaker is closed and no hold is left.
url: https; without user info and fragment; up to 2048 bytes. is_active: whether jobs are sent; default true. method: POST (the job in the body) or GET (the job in the query, which logs may keep); default POST.
timeout_milliseconds: how long a request may take; 1000 to 900000; default 15000.
manual_release: an answer does not complete the job, its handler releases it; default false.
max_in_flight: requests that may be under way at once; 1 to 10000; default 50.
headers: a json object of strings that go with each request; they are shown by get_endpoint, so no secrets; default none.
bearer_token_location: where the token of the Authorization header is kept: inline (in this schema), supabase_vault, or '' for none; default ''.
client_error_attempts: with the HTTP statuses 400 to 499, except 408, 410, 425 and 429, a job is dead after so many attempts in all; 1 to 1000; default 3.
max_response_bytes: how much of an answer is read; 0 to 16777216; default 65536.
is_insecure_allowed: allows http, and addresses that are private or local; default false.
Errors: 22004, 22023 for a bad value or a host that is not allowed; 55000 for supabase_vault where there is no Vault.$$;

CREATE OR REPLACE FUNCTION @extschema@._check_endpoint(
    url text,
    is_active boolean,
    method text,
    timeout_milliseconds integer,
    manual_release boolean,
    max_in_flight integer,
    headers jsonb,
    bearer_token_location text,
    client_error_attempts integer,
    max_response_bytes integer,
    is_insecure_allowed boolean
)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_missing text;
BEGIN
    SELECT g.name INTO v_missing
    FROM (VALUES ('is_active', is_active), ('manual_release', manual_release),
                 ('is_insecure_allowed', is_insecure_allowed)) AS g (name, given)
    WHERE g.given IS NULL LIMIT 1;
    PERFORM @extschema@._require(v_missing IS NULL, v_missing, NULL);
    PERFORM @extschema@._require(method IN ('POST', 'GET'), 'method to be one of POST, GET', method);
    PERFORM @extschema@._require(timeout_milliseconds BETWEEN 1000 AND 900000,
        'timeout_milliseconds to be between 1000 and 900000', timeout_milliseconds::text);
    PERFORM @extschema@._require(max_in_flight BETWEEN 1 AND 10000,
        'max_in_flight to be between 1 and 10000', max_in_flight::text);
    PERFORM @extschema@._require(client_error_attempts BETWEEN 1 AND 1000,
        'client_error_attempts to be between 1 and 1000', client_error_attempts::text);
    PERFORM @extschema@._require(max_response_bytes BETWEEN 0 AND 16777216,
        'max_response_bytes to be between 0 and 16777216', max_response_bytes::text);
    PERFORM @extschema@._require(bearer_token_location IN ('', 'inline', 'supabase_vault'),
        'bearer_token_location to be one of '''', inline, supabase_vault', bearer_token_location);
    IF bearer_token_location = 'supabase_vault' THEN
        PERFORM @extschema@._require_vault();
    END IF;
    PERFORM @extschema@._check_endpoint_headers(headers, bearer_token_location <> '');
    PERFORM @extschema@._check_url(url, is_insecure_allowed);
    PERFORM @extschema@._check_host_allowed(url);
END
$$;
COMMENT ON FUNCTION @extschema@._check_endpoint IS
    'Internal: raises 22023, 22004 or 55000 for the first argument of set_endpoint that is out of its range.';

CREATE OR REPLACE FUNCTION @extschema@._endpoint_settings(queue_id integer)
RETURNS @extschema@.endpoint_settings
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT q.queue_name, e.is_active, e.url, e.method, e.timeout_milliseconds, e.manual_release, e.max_in_flight,
           e.headers, e.bearer_token_location, e.client_error_attempts, e.max_response_bytes, e.is_insecure_allowed,
           e.bearer_token_ref IS NOT NULL OR 'bearer' = ANY (s.kinds), 'signing' = ANY (s.kinds),
           'previous_signing' = ANY (s.kinds)
    FROM @extschema@.endpoint AS e
    JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
    CROSS JOIN LATERAL (SELECT COALESCE(array_agg(secret.kind), '{}') AS kinds
                        FROM @extschema@.endpoint_secret AS secret WHERE secret.queue_id = e.queue_id) AS s
    WHERE e.queue_id = _endpoint_settings.queue_id;
END;
COMMENT ON FUNCTION @extschema@._endpoint_settings IS
    'Internal: the settings of the endpoint of a queue by its id, without secrets.';

CREATE OR REPLACE FUNCTION @extschema@._endpoint_id(queue_name text)
RETURNS integer
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.endpoint AS e WHERE e.queue_id = v_queue_id) THEN
        RAISE EXCEPTION 'queue "%" has no endpoint', queue_name
            USING ERRCODE = 'JQ006', HINT = 'set_endpoint gives it one.';
    END IF;
    RETURN v_queue_id;
END
$$;
COMMENT ON FUNCTION @extschema@._endpoint_id IS
    'Internal: the id of the queue, which the caller may control; raises JQ001, 42501, or JQ006 when it has no endpoint.';

CREATE OR REPLACE FUNCTION @extschema@.get_endpoint(queue_name text)
RETURNS @extschema@.endpoint_settings
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._endpoint_settings(@extschema@._endpoint_id(queue_name));
END
$$;
COMMENT ON FUNCTION @extschema@.get_endpoint IS
    'Returns the settings of a queue''s endpoint, without secrets: only whether there are any. Raises JQ001 when the queue does not exist, JQ006 when it has no endpoint.';

-- Writes: deletes from endpoint, endpoint_secret, endpoint_state; the token in Vault.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.remove_endpoint(queue_name text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN @extschema@._remove_endpoint(@extschema@._queue_id(queue_name, 'admin'));
END
$$;
COMMENT ON FUNCTION @extschema@.remove_endpoint IS
    'Removes the endpoint of a queue with its secrets and returns whether there was one. Its jobs stay, and can be picked. Requests under way may still be answered. Raises JQ001 when the queue does not exist.';

-- Writes, locks: as remove_endpoint.
CREATE OR REPLACE FUNCTION @extschema@._remove_endpoint(queue_id integer)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_existed boolean;
BEGIN
    PERFORM @extschema@._forget_bearer_token(queue_id);
    DELETE FROM @extschema@.endpoint AS e WHERE e.queue_id = _remove_endpoint.queue_id;
    v_existed := FOUND;
    DELETE FROM @extschema@.endpoint_secret AS s WHERE s.queue_id = _remove_endpoint.queue_id;
    DELETE FROM @extschema@.endpoint_state AS s WHERE s.queue_id = _remove_endpoint.queue_id;
    RETURN v_existed;
END
$$;
COMMENT ON FUNCTION @extschema@._remove_endpoint IS
    'Internal: removes all that is known of the endpoint of a queue and returns whether there was one.';

-- Writes: endpoint.is_active, endpoint_state.  Locks: these rows.
CREATE OR REPLACE FUNCTION @extschema@.set_endpoint_active(queue_name text, is_active boolean)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._endpoint_id(queue_name);
BEGIN
    PERFORM @extschema@._require(is_active IS NOT NULL, 'is_active', NULL);
    UPDATE @extschema@.endpoint AS e SET is_active = set_endpoint_active.is_active WHERE e.queue_id = v_queue_id;
    IF is_active THEN
        PERFORM @extschema@._start_anew(v_queue_id);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.set_endpoint_active IS
    'Begins or stops sending the jobs of a queue to its endpoint. When it begins, its circuit breaker is closed and no hold is left. Raises JQ001 when the queue does not exist, JQ006 when it has no endpoint.';

-- Writes: endpoint_state.  Locks: its row.
CREATE OR REPLACE FUNCTION @extschema@._start_anew(queue_id integer)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE @extschema@.endpoint_state AS s SET
        in_flight_limit = NULL, consecutive_failures = 0, held_at = NULL, held_until = NULL,
        hold_reason = NULL, last_decrease_at = NULL
    WHERE s.queue_id = _start_anew.queue_id;
    PERFORM @extschema@._wake_workers(ARRAY[queue_id]);
END
$$;
COMMENT ON FUNCTION @extschema@._start_anew IS
    'Internal: forgets what went wrong at the endpoint of a queue, and wakes the dispatchers.';

-- extension/functions/75-control.sql
-- Control: what a person, or an application, does to a job that is not its own.

-- Writes: as _finish_jobs.  Locks: the job row.
CREATE OR REPLACE FUNCTION @extschema@.cancel_job(job_id bigint, reason text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    PERFORM @extschema@._check_job_access(job_id, 'admin');
    IF @extschema@._finish_jobs(ARRAY[job_id], NULL, 'cancelled', NULL, ARRAY[reason], @extschema@._now()) = '{}' THEN
        PERFORM @extschema@._raise_finished(job_id);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.cancel_job IS
    'Cancels a live job. It is final at once, also for a running job: its worker can no longer release it and learns so at its next keep-alive. The reason is kept as the job''s error. Raises JQ002 when the job is not known, JQ004 when it is finished.';

-- Writes: as _revive_jobs.  Locks: the finished row.
CREATE OR REPLACE FUNCTION @extschema@.retry_job(job_id bigint, start_after timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job @extschema@.job_status;
BEGIN
    PERFORM @extschema@._require(COALESCE(isfinite(start_after), true),
        'start_after to be a finite time', start_after::text);
    PERFORM @extschema@._check_job_access(job_id, 'admin');
    IF @extschema@._revive_jobs(ARRAY[job_id], start_after) <> '{}' THEN
        RETURN;
    END IF;
    v_job := @extschema@.get_job(job_id);
    IF v_job.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'unique key "%" of job % is held by another job', v_job.unique_key, job_id
            USING ERRCODE = '23505', HINT = 'Cancel that job, or wait until it has finished.';
    END IF;
    RAISE EXCEPTION 'job % is % and not finished', job_id, v_job.state
        USING ERRCODE = 'JQ004', HINT = 'Use reschedule_job to have a waiting job start earlier.';
END
$$;
COMMENT ON FUNCTION @extschema@.retry_job IS
    'Brings a finished job (dead, cancelled or complete) back to its line, to start at start_after (default now) with its attempts anew; the history of its attempts stays. Raises JQ002 when the job is not known, JQ004 when it is live, 23505 when another job holds its unique_key.';

-- Writes: as _revive_jobs.  Locks: the finished rows.
CREATE OR REPLACE FUNCTION @extschema@.redrive_jobs(
    queue_name text,
    error_like text DEFAULT NULL,
    dead_since timestamptz DEFAULT NULL,
    dead_until timestamptz DEFAULT NULL,
    max_jobs integer DEFAULT NULL,
    preview boolean DEFAULT false
)
RETURNS bigint
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_id integer := @extschema@._queue_id(queue_name, 'admin');
    v_job_ids bigint[];
BEGIN
    PERFORM @extschema@._require(COALESCE(max_jobs > 0, true), 'max_jobs to be above 0', max_jobs::text);
    PERFORM @extschema@._require(preview IS NOT NULL, 'preview', NULL);
    v_job_ids := ARRAY(
        SELECT f.job_id
        FROM @extschema@.finished_job AS f
        WHERE f.queue_id = v_queue_id AND f.state = 'dead'
          AND f.finished_at >= COALESCE(dead_since, '-infinity')
          AND f.finished_at <= COALESCE(dead_until, 'infinity')
          AND (error_like IS NULL OR f.error ILIKE error_like)
          -- Else those that cannot come back would fill up max_jobs.
          AND NOT EXISTS (SELECT FROM @extschema@.unique_key AS k
                          WHERE k.queue_id = f.queue_id AND k.unique_key = f.unique_key
                            AND k.holds_until IS NULL)
        ORDER BY f.finished_at, f.job_id
        LIMIT max_jobs);
    IF preview THEN
        RETURN cardinality(v_job_ids);
    END IF;
    RETURN cardinality(@extschema@._revive_jobs(v_job_ids, NULL));
END
$$;
COMMENT ON FUNCTION @extschema@.redrive_jobs IS
    'Brings dead jobs of a queue back to the line, the longest dead first, and returns their number. error_like: an ILIKE pattern for the last error. dead_since, dead_until: when they died. max_jobs: at most so many. preview => true only counts. Jobs whose unique_key is held by another are left. Raises JQ001 when the queue does not exist.';

-- Writes: job.start_after, job.held_by, group_hint.  Locks: the job row.
CREATE OR REPLACE FUNCTION @extschema@.reschedule_job(job_id bigint, start_after timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_job record;
BEGIN
    PERFORM @extschema@._require(isfinite(start_after), 'start_after to be a finite time', start_after::text);
    PERFORM @extschema@._check_job_access(job_id, 'admin');
    UPDATE @extschema@.job AS j
    SET start_after = GREATEST(reschedule_job.start_after, v_now)
    WHERE j.job_id = reschedule_job.job_id AND j.lease_token IS NULL
    RETURNING j.queue_id, j.held_by, j.group_key, j.start_after INTO v_job;
    IF NOT FOUND THEN
        PERFORM @extschema@._raise_finished(job_id);
        RAISE EXCEPTION 'job % is running', job_id USING ERRCODE = 'JQ004';
    END IF;
    IF v_job.held_by = 'group' THEN
        PERFORM @extschema@._hint_group(v_job.queue_id, v_job.group_key, v_job.start_after);
    ELSIF v_job.group_key IS NOT NULL AND v_job.start_after > v_now THEN
        PERFORM @extschema@._give_way(job_id);
    END IF;
    IF v_job.start_after <= v_now THEN
        PERFORM @extschema@._wake_workers(ARRAY[v_job.queue_id]);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.reschedule_job IS
    'Sets when a waiting job may start; a time that has passed means now. Raises JQ002 when the job is not known, JQ004 when it is running or finished.';

CREATE OR REPLACE FUNCTION @extschema@._raise_finished(job_id bigint)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job @extschema@.job_status := @extschema@.get_job(job_id);
BEGIN
    IF v_job.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'job % is % already', job_id, v_job.state
            USING ERRCODE = 'JQ004', HINT = 'retry_job brings a finished job back.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._raise_finished IS
    'Internal: raises JQ004 for a finished job, JQ002 for an unknown one.';

-- extension/functions/76-signature.sql
-- Signatures of requests: HMAC-SHA256 (RFC 2104) on core's sha256(), so that pgcrypto is not needed, in the form of
-- Standard Webhooks (standardwebhooks.com). A key is turned into its two pads once; a signature is then two hashes.

CREATE OR REPLACE FUNCTION @extschema@._hmac_pads(key bytea)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_key bytea := CASE WHEN octet_length(key) > 64 THEN sha256(key) ELSE key END;
    v_inner bytea := decode(repeat('36', 64), 'hex');
    v_outer bytea := decode(repeat('5c', 64), 'hex');
BEGIN
    -- Beyond its end the key is all zeros, which leave the pads as they are.
    FOR v_place IN 0..octet_length(v_key) - 1 LOOP
        v_inner := set_byte(v_inner, v_place, get_byte(v_key, v_place) # 54);
        v_outer := set_byte(v_outer, v_place, get_byte(v_key, v_place) # 92);
    END LOOP;
    RETURN v_inner || v_outer;
END
$$;
COMMENT ON FUNCTION @extschema@._hmac_pads IS
    'Internal: the inner and the outer pad of an HMAC-SHA256 key, 64 bytes each.';

CREATE OR REPLACE FUNCTION @extschema@._hmac_with_pads(data bytea, pads bytea)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN pg_catalog.sha256(pg_catalog.substr(pads, 65) OPERATOR(pg_catalog.||)
    pg_catalog.sha256(pg_catalog.substr(pads, 1, 64) OPERATOR(pg_catalog.||) data));
COMMENT ON FUNCTION @extschema@._hmac_with_pads IS
    'Internal: the HMAC-SHA256 of data by a key whose pads these are. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._hmac_sha256(data bytea, key bytea)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN @extschema@._hmac_with_pads(data, @extschema@._hmac_pads(key));
COMMENT ON FUNCTION @extschema@._hmac_sha256 IS
    'Internal: the HMAC-SHA256 of data by key. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._signing_pads(secret text)
RETURNS bytea
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_key bytea;
BEGIN
    IF secret LIKE 'whsec\_%' AND octet_length(secret) <= 200 THEN
        BEGIN
            v_key := decode(substr(secret, 7), 'base64');
        EXCEPTION WHEN data_exception THEN
            v_key := NULL; -- Its message would show a part of the secret.
        END;
    END IF;
    IF (octet_length(v_key) BETWEEN 24 AND 64) IS NOT TRUE THEN
        RAISE EXCEPTION 'expected secret to be whsec_ and the base64 of 24 to 64 bytes' USING ERRCODE = '22023';
    END IF;
    RETURN @extschema@._hmac_pads(v_key);
END
$$;
COMMENT ON FUNCTION @extschema@._signing_pads IS
    'Internal: the pads of a signing secret such as whsec_…; raises 22023, without showing it, when it is not one.';

CREATE OR REPLACE FUNCTION @extschema@._sign(message_id text, at bigint, body text, pads bytea)
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN pg_catalog.concat('v1,', pg_catalog.encode(@extschema@._hmac_with_pads(
    pg_catalog.convert_to(pg_catalog.concat(message_id, '.', at, '.', body), 'UTF8'), pads), 'base64'));
COMMENT ON FUNCTION @extschema@._sign IS
    'Internal: the signature of a message by Standard Webhooks; at is in seconds since 1970, pads come from _signing_pads. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._new_signing_secret()
RETURNS text
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
-- Random numbers of the strong kind, which core offers as uuids only: 4 times 122 bits.
RETURN 'whsec_' || encode(sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64');
COMMENT ON FUNCTION @extschema@._new_signing_secret IS 'Internal: a new random signing secret of 32 bytes.';

-- extension/functions/77-dispatch.sql
-- Dispatch: which jobs are sent to which endpoint now, and the exact request of each. A dispatcher only carries bytes: it
-- picks requests, sends them as they are, and reports the answers.

-- Writes: what pick_jobs writes; request; endpoint_state when an endpoint cannot be used.
-- Locks: endpoint_state of each endpoint that has jobs, with SKIP LOCKED, until the transaction ends; what pick_jobs locks.
CREATE OR REPLACE FUNCTION @extschema@.pick_requests(
    max_requests integer DEFAULT 100,
    dispatcher text DEFAULT NULL,
    queue_names text[] DEFAULT NULL,
    max_timeout_milliseconds integer DEFAULT NULL,
    durable boolean DEFAULT false
)
RETURNS SETOF @extschema@.dispatch_request
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = on
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    v_turns @extschema@.endpoint_turn[];
    v_mark bigint := nextval('@extschema@.request_request_id_seq'::regclass);
    v_left integer := max_requests;
    v_sent integer;
BEGIN
    IF (max_requests BETWEEN 1 AND 10000 AND COALESCE(octet_length(dispatcher), 0) <= 200
        AND COALESCE(max_timeout_milliseconds, 1000) >= 1000) IS NOT TRUE THEN
        PERFORM @extschema@._require(max_requests BETWEEN 1 AND 10000,
            'max_requests to be between 1 and 10000', max_requests::text);
        PERFORM @extschema@._require(octet_length(dispatcher) <= 200 OR dispatcher IS NULL,
            'dispatcher to be at most 200 bytes long', dispatcher);
        PERFORM @extschema@._require(COALESCE(max_timeout_milliseconds >= 1000, true),
            'max_timeout_milliseconds to be at least 1000', max_timeout_milliseconds::text);
    END IF;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM @extschema@._require_read_committed();
    END IF;
    IF durable IS NOT TRUE THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;

    v_turns := @extschema@._open_endpoints(
        @extschema@._due_endpoints(queue_names, max_timeout_milliseconds), max_requests);
    -- Each gets an equal share; what one leaves goes, in the next round, to those that have more.
    WHILE v_left > 0 AND v_turns <> '{}' LOOP
        v_turns := @extschema@._share_requests(v_turns, v_left);
        RETURN QUERY
        SELECT r.queue_name, r.job_id, r.lease_token, r.lease_until, r.attempt, r.method, r.url, r.headers,
               r.body, r.timeout_milliseconds, r.max_response_bytes, r.manual_release, r.is_insecure_allowed
        FROM @extschema@._make_requests(v_turns, pick_requests.dispatcher) AS r;
        GET DIAGNOSTICS v_sent = ROW_COUNT;
        v_left := v_left - v_sent;
        EXIT WHEN v_left = 0 OR v_sent = 0;
        v_turns := @extschema@._hungry_endpoints(v_turns, v_mark);
        v_mark := nextval('@extschema@.request_request_id_seq'::regclass);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.pick_requests IS
$$Leases up to max_requests jobs (1 to 10000, default 100) of queues that have an active endpoint and returns for each the request to send: exactly these headers and this body, within timeout_milliseconds, without following redirects, reading no more of the answer than max_response_bytes. Report each answer by answer_requests. Endpoints take turns, and none gets more requests than may be under way to it.
dispatcher: a name for the history (up to 200 bytes). queue_names: only these queues; default all that the caller may use. max_timeout_milliseconds (from 1000): only endpoints with no longer timeout.
The lease of a job is its own timeout, else that of the endpoint and 30 seconds; with manual_release its own, else the queue's.
durable => true keeps synchronous_commit as it is: use it in a transaction that does something else too.
Errors: 22004, 22023 for bad values; 0A000 in a transaction that is not read committed; 42501 for a restricted queue that is named.$$;

-- Writes: job.lease_until, running_job.lease_until, request.expires_at.  Locks: the rows of request, then of job.
CREATE OR REPLACE FUNCTION @extschema@.extend_requests(job_ids bigint[], lease_tokens bigint[])
RETURNS SETOF @extschema@.job_lease
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_extended record;
    v_known bigint[] := ARRAY[]::bigint[];
BEGIN
    PERFORM @extschema@._check_release(job_ids, lease_tokens, 'paused', NULL, NULL, NULL, true);
    PERFORM @extschema@._require(lease_tokens IS NOT NULL AND array_position(lease_tokens, NULL) IS NULL,
        'every lease_token', NULL);
    FOR v_extended IN
        WITH extended AS (
            UPDATE @extschema@.request AS r
            SET expires_at = GREATEST(r.expires_at, v_now + (r.timeout_milliseconds + 30000) * interval '1 millisecond')
            FROM unnest(job_ids, lease_tokens) AS g (job_id, lease_token)
            WHERE r.job_id = ANY (extend_requests.job_ids)
              AND r.job_id = g.job_id AND r.lease_token = g.lease_token
            RETURNING r.job_id, r.lease_token, r.timeout_milliseconds
        )
        SELECT e.timeout_milliseconds, array_agg(e.job_id) AS job_ids, array_agg(e.lease_token) AS lease_tokens
        FROM extended AS e
        GROUP BY e.timeout_milliseconds
    LOOP
        v_known := v_known || v_extended.job_ids;
        RETURN QUERY
        SELECT k.job_id, k.state, k.lease_until
        FROM @extschema@.keep_jobs_alive(v_extended.job_ids, v_extended.lease_tokens,
            v_extended.timeout_milliseconds + 30000, true) AS k;
    END LOOP;
    RETURN QUERY
    SELECT g.job_id, 'lost'::text, NULL::timestamptz
    FROM unnest(job_ids) AS g (job_id)
    WHERE g.job_id <> ALL (v_known);
END
$$;
COMMENT ON FUNCTION @extschema@.extend_requests IS
    'Keeps requests that wait in a dispatcher, and the leases of their jobs, alive for as long as they may take from now on, and 30 seconds. Returns for each the state of its lease: running, cancelled, or lost when the request is not known any more or its lease is gone. Errors: 22004, 22023.';

-- extension/functions/78-native.sql
-- The dispatcher inside Postgres: pg_cron runs its loop, pg_net carries the requests. What to send and what an answer means
-- is decided by pick_requests and answer_requests, as for every dispatcher. Both extensions may be missing, or come later,
-- so they are called by dynamic SQL. pg_net loses requests and answers, sends some twice, and forgets its ids in a crash:
-- each case ends in an attempt that is made again.

CREATE OR REPLACE FUNCTION @extschema@._native_dispatcher()
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN 'pg_net'::text;
COMMENT ON FUNCTION @extschema@._native_dispatcher IS
    'Internal: the name of the native dispatcher in request and in the history of jobs. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._native_worker_pid()
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
-- Who may not see the type of another's process sees its application_name.
RETURN (
    SELECT a.pid FROM pg_stat_activity AS a
    WHERE a.datname = current_database()
      AND (a.backend_type LIKE 'pg_net%' OR a.application_name LIKE 'pg_net%')
    ORDER BY a.pid LIMIT 1);
COMMENT ON FUNCTION @extschema@._native_worker_pid IS
    'Internal: the process of pg_net''s worker in this database, null when there is none.';

CREATE OR REPLACE FUNCTION @extschema@._native_batch()
RETURNS integer
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
RETURN GREATEST(COALESCE(NULLIF(current_setting('pg_net.batch_size', true), '')::integer, 200), 1);
COMMENT ON FUNCTION @extschema@._native_batch IS 'Internal: how many requests pg_net sends at once.';

-- By the catalog, because to_regclass raises where the schema may not be used.
CREATE OR REPLACE FUNCTION @extschema@._native_queue_oid()
RETURNS oid
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'net' AND c.relname = 'http_request_queue');
COMMENT ON FUNCTION @extschema@._native_queue_oid IS
    'Internal: the table in which pg_net''s requests wait, null when pg_net is not installed.';

CREATE OR REPLACE FUNCTION @extschema@._native_trouble()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_database text := current_setting('pg_net.database_name', true);
BEGIN
    IF @extschema@._native_queue_oid() IS NULL THEN
        RETURN 'pg_net is not installed in this database';
    ELSIF NOT has_schema_privilege('net', 'USAGE') THEN
        RETURN format('role "%s" may not use pg_net (schema net)', current_user);
    ELSIF to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') IS NULL
       OR to_regprocedure('net.http_get(text,jsonb,jsonb,integer)') IS NULL
       OR to_regclass('net._http_response') IS NULL THEN
        RETURN 'this version of pg_net is not supported: 0.7 is the first that is';
    ELSIF NOT has_table_privilege('net._http_response', 'SELECT')
       OR NOT has_table_privilege('net.http_request_queue', 'SELECT') THEN
        RETURN format('role "%s" may not read the tables of pg_net', current_user);
    ELSIF COALESCE(current_setting('pg_net.batch_size', true), '') = '' THEN
        RETURN 'pg_net is not in shared_preload_libraries';
    ELSIF COALESCE(NULLIF(v_database, ''), 'postgres') <> current_database() THEN
        RETURN format('pg_net works in database "%s" (pg_net.database_name), not in this one', v_database);
    ELSIF @extschema@._native_worker_pid() IS NULL THEN
        RETURN 'the worker of pg_net is not running';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._native_trouble IS
    'Internal: why pg_net can send nothing now; null when it can.';

-- Writes: native_epoch, native_request; what answer_requests writes.  Locks: as answer_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_boot()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_oid oid := COALESCE(@extschema@._native_queue_oid(), 0);
    v_lost jsonb;
BEGIN
    INSERT INTO @extschema@.native_epoch AS e (queue_oid, begun_at, turn_at)
    VALUES (v_queue_oid, v_now, v_now)
    ON CONFLICT ON CONSTRAINT native_epoch_pkey DO UPDATE
    SET queue_oid = EXCLUDED.queue_oid, begun_at = EXCLUDED.begun_at
    WHERE e.queue_oid <> EXCLUDED.queue_oid;
    IF FOUND THEN
        -- pg_net was dropped and made anew, or these rows come from a dump: its ids mean something else now.
        DELETE FROM @extschema@.native_request AS n WHERE true;
    END IF;
    -- Both rows of a request were written in one transaction, so one without the other was lost in a crash.
    SELECT jsonb_agg(jsonb_build_object('job_id', r.job_id, 'lease_token', r.lease_token, 'lost', true))
    INTO v_lost
    FROM @extschema@.request AS r
    WHERE r.dispatcher = @extschema@._native_dispatcher()
      AND NOT EXISTS (SELECT FROM @extschema@.native_request AS n
                      WHERE n.job_id = r.job_id AND n.lease_token = r.lease_token);
    IF v_lost IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM @extschema@.answer_requests(v_lost);
    RETURN jsonb_array_length(v_lost);
END
$$;
COMMENT ON FUNCTION @extschema@._native_boot IS
    'Internal: has the jobs tried again whose requests pg_net has lost in a crash; returns their number.';

-- Writes: native_request.seen_at, worker_pid, restarts; deletes from native_request and net.http_request_queue; what
-- extend_requests and answer_requests write.  Locks: as these.
CREATE OR REPLACE FUNCTION @extschema@._native_sweep()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_mergejoin = off
SET jit = off
AS $$
DECLARE
    c_most_restarts constant integer := 3;
    v_now timestamptz := @extschema@._now();
    v_worker_pid integer := @extschema@._native_worker_pid();
    v_waiting bigint[];
    v_gone bigint[];
    v_stuck bigint[];
    v_cancelled bigint[];
    v_stale bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@.native_request AS n WHERE n.sent_at <= v_now - interval '3 seconds') THEN
        RETURN 0;
    END IF;
    -- Not in the queue can mean under way, in some versions: only time tells it from lost.
    EXECUTE format($sql$
        SELECT COALESCE(array_agg(n.request_id) FILTER (WHERE q.id IS NOT NULL), '{}'),
               COALESCE(array_agg(n.request_id) FILTER (
                   WHERE q.id IS NULL
                     AND n.seen_at <= $1 - n.timeout_milliseconds * interval '1 millisecond' - interval '20 seconds'), '{}')
        FROM @extschema@.native_request AS n
        LEFT JOIN %I.http_request_queue AS q ON q.id = n.request_id
        WHERE n.sent_at <= $1 - interval '3 seconds' $sql$, 'net')
    INTO v_waiting, v_gone USING v_now;

    UPDATE @extschema@.native_request AS n
    SET restarts = n.restarts + CASE WHEN n.worker_pid <> v_worker_pid THEN 1 ELSE 0 END, worker_pid = v_worker_pid
    WHERE n.request_id = ANY (v_waiting) AND n.worker_pid IS DISTINCT FROM v_worker_pid AND v_worker_pid IS NOT NULL;
    v_stuck := @extschema@._native_withdraw(ARRAY(
        SELECT n.request_id FROM @extschema@.native_request AS n
        WHERE n.request_id = ANY (v_waiting) AND n.restarts >= c_most_restarts));
    v_cancelled := @extschema@._native_withdraw(@extschema@._native_extend(v_waiting, v_now));
    -- Endpoints refuse a signature that is minutes old: pg_net is down, or busy with others. (What it sends now is locked.)
    v_stale := @extschema@._native_withdraw(ARRAY(
        SELECT n.request_id FROM @extschema@.native_request AS n
        WHERE n.request_id = ANY (v_waiting) AND n.sent_at <= v_now - interval '1 minute'));
    RETURN @extschema@._native_give_up(v_stuck, '{"error": "the worker of pg_net fails while it sends it"}')
         + @extschema@._native_give_up(v_cancelled || v_stale, '{"given_back": true}')
         + @extschema@._native_give_up(@extschema@._native_unanswered(v_gone), '{"lost": true}');
END
$$;
COMMENT ON FUNCTION @extschema@._native_sweep IS
    'Internal: looks after requests that take long: keeps those alive that wait in pg_net, takes those out that wait for a minute, whose jobs are cancelled, or that make its worker fail, and has those sent again that are lost. Returns the number of those that are over.';

-- Writes: native_request.seen_at; what extend_requests writes.  Locks: as extend_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_extend(request_ids bigint[], at timestamptz)
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_ids bigint[];
    v_job_ids bigint[];
    v_lease_tokens bigint[];
    v_lost bigint[];
BEGIN
    -- A lease has 30 seconds to spare.
    WITH seen AS (
        UPDATE @extschema@.native_request AS n SET seen_at = _native_extend.at
        WHERE n.request_id = ANY (request_ids) AND n.seen_at <= _native_extend.at - interval '8 seconds'
        RETURNING n.request_id, n.job_id, n.lease_token
    )
    SELECT array_agg(s.request_id), array_agg(s.job_id), array_agg(s.lease_token)
    INTO v_ids, v_job_ids, v_lease_tokens
    FROM seen AS s;
    IF v_ids IS NULL THEN
        RETURN ARRAY[]::bigint[];
    END IF;
    v_lost := ARRAY(SELECT e.job_id FROM @extschema@.extend_requests(v_job_ids, v_lease_tokens) AS e
                    WHERE e.state <> 'running');
    RETURN ARRAY(SELECT s.request_id FROM unnest(v_ids, v_job_ids) AS s (request_id, job_id)
                 WHERE s.job_id = ANY (v_lost));
END
$$;
COMMENT ON FUNCTION @extschema@._native_extend IS
    'Internal: extends the leases of requests that wait in pg_net; returns those whose lease is gone, because the job was cancelled or timed out.';

-- Writes: deletes from net.http_request_queue.  Locks: its rows, with SKIP LOCKED: those that are being sent are left.
CREATE OR REPLACE FUNCTION @extschema@._native_withdraw(request_ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
AS $$
DECLARE
    v_withdrawn bigint[];
BEGIN
    IF request_ids <> '{}' AND has_table_privilege('net.http_request_queue', 'SELECT, UPDATE, DELETE') THEN
        EXECUTE format($sql$
            WITH gone AS (
                DELETE FROM %1$I.http_request_queue AS q
                WHERE q.ctid = ANY (ARRAY(
                    SELECT mine.ctid FROM %1$I.http_request_queue AS mine
                    WHERE mine.id = ANY ($1) FOR UPDATE SKIP LOCKED))
                RETURNING q.id
            )
            SELECT array_agg(g.id) FROM gone AS g $sql$, 'net')
        INTO v_withdrawn USING request_ids;
    END IF;
    RETURN COALESCE(v_withdrawn, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._native_withdraw IS
    'Internal: takes those of these requests out of pg_net''s queue that are not being sent; returns them.';

CREATE OR REPLACE FUNCTION @extschema@._native_unanswered(request_ids bigint[])
RETURNS bigint[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_answered bigint[];
BEGIN
    IF request_ids = '{}' THEN
        RETURN request_ids;
    END IF;
    EXECUTE format($sql$
        SELECT array_agg(r.id) FROM %I._http_response AS r
        WHERE r.id = ANY ($1)
          AND r.created >= (SELECT min(n.sent_at) FROM @extschema@.native_request AS n WHERE n.request_id = ANY ($1))
                           - interval '1 minute' $sql$, 'net')
    INTO v_answered USING request_ids;
    RETURN ARRAY(SELECT g.id FROM unnest(request_ids) AS g (id)
                 WHERE g.id <> ALL (COALESCE(v_answered, '{}')));
END
$$;
COMMENT ON FUNCTION @extschema@._native_unanswered IS
    'Internal: those of these requests for which no answer waits to be taken.';

-- Writes: deletes from native_request; what answer_requests writes.  Locks: as answer_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_give_up(request_ids bigint[], answer jsonb)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_answers jsonb;
BEGIN
    WITH gone AS (
        DELETE FROM @extschema@.native_request AS n
        WHERE n.request_id = ANY (request_ids)
        RETURNING n.job_id, n.lease_token
    )
    SELECT jsonb_agg(jsonb_build_object('job_id', g.job_id, 'lease_token', g.lease_token) || _native_give_up.answer)
    INTO v_answers
    FROM gone AS g;
    IF v_answers IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM @extschema@.answer_requests(v_answers);
    RETURN jsonb_array_length(v_answers);
END
$$;
COMMENT ON FUNCTION @extschema@._native_give_up IS
    'Internal: reports the same answer for each of these requests, for which none will come; returns their number.';

-- extension/functions/79-answer.sql
-- Answers: each takes its request out of the table and settles its job; see 67-verdict.sql for what it means.

-- Writes: deletes from request; endpoint_state; queue (410); what release_jobs and keep_jobs_alive write, and add_job
-- for the jobs that an answer asks to add.
-- Locks: rows of request, endpoint_state in the order of queue_id, queue, job: in this order.
CREATE OR REPLACE FUNCTION @extschema@.answer_requests(answers jsonb)
RETURNS SETOF @extschema@.dispatch_outcome
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    v_verdicts @extschema@.answer_verdict[];
    v_outcomes @extschema@.dispatch_outcome[];
BEGIN
    IF (jsonb_typeof(answers) = 'array') IS NOT TRUE THEN
        PERFORM @extschema@._require(false, 'answers to be a json array', answers::text);
    END IF;
    v_verdicts := @extschema@._judge_answers(answers);
    PERFORM @extschema@._note_answers(v_verdicts);
    UPDATE @extschema@.queue AS q
    SET paused_until = 'infinity', pause_reason = 'its endpoint answered HTTP 410 (gone)'
    WHERE q.queue_id IN (SELECT v.queue_id FROM unnest(v_verdicts) AS v WHERE v.is_gone)
      AND (q.paused_until IS NULL OR q.paused_until < 'infinity');
    BEGIN
        v_outcomes := @extschema@._settle_answers(v_verdicts);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded THEN
        -- One of them cannot be stored: each alone then, so that it does not spoil the others.
        v_outcomes := @extschema@._settle_one_by_one(v_verdicts);
    END;
    RETURN QUERY
    SELECT o.job_id, o.lease_token, o.outcome, o.state, o.error
    FROM unnest(v_outcomes) AS o;
END
$$;
COMMENT ON FUNCTION @extschema@.answer_requests IS
$$Reports answers of endpoints: a json array of {job_id, lease_token, status_code?, headers?, body?, error?, timed_out?}, status_code null when there was no answer. Each is told from the others: one that is bad or late harms none. Returns a row for each, in their order; what is answered already, or whose lease is lost, is ignored.
2xx completes the job with a json body as output; 202, or manual_release, leaves it running until its handler releases it. A body of content type application/vnd.pgq+json holds the parameters of release_job, and under jobs what to add in the same transaction.
429 and 503 with Retry-After use no attempt and hold the endpoint for that long (up to an hour); 429 without uses none either. 408, 425, 5xx, redirects, time-outs and no answer fail the attempt; other 4xx too, and the job is dead after client_error_attempts; 410 also pauses the queue.
Also in an answer: body_is_cut (it is no output), follows_redirects (200 and 204 with a location are redirects), given_back (it was not sent: no attempt is used), lost (it is not known what became of it: an attempt is used, the next comes at once).
Errors: 22004, 22023 when answers is no array.$$;

CREATE OR REPLACE FUNCTION @extschema@._id_in(answer jsonb, name text)
RETURNS bigint
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE WHEN (answer OPERATOR(pg_catalog.->>) name) OPERATOR(pg_catalog.~) '^[0-9]{1,18}$'
            THEN (answer OPERATOR(pg_catalog.->>) name)::bigint END;
COMMENT ON FUNCTION @extschema@._id_in IS
    'Internal: a job_id or lease_token of an answer, null when there is none. Without a search_path of its own, so that it is inlined.';

-- Writes: deletes from request.  Locks: its rows.
CREATE OR REPLACE FUNCTION @extschema@._judge_answers(answers jsonb)
RETURNS @extschema@.answer_verdict[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_job_ids bigint[] := ARRAY(SELECT @extschema@._id_in(a.answer, 'job_id') FROM jsonb_array_elements(answers) AS a (answer));
    v_sent record;
    v_endpoint @extschema@.answering_endpoint;
    v_verdict @extschema@.answer_verdict;
    v_verdicts @extschema@.answer_verdict[] := ARRAY[]::@extschema@.answer_verdict[];
BEGIN
    FOR v_sent IN
        WITH given AS MATERIALIZED (
            SELECT g.place, g.answer, g.job_id, g.lease_token,
                   row_number() OVER (PARTITION BY g.job_id, g.lease_token ORDER BY g.place) AS time
            FROM (SELECT a.place, a.answer, @extschema@._id_in(a.answer, 'job_id') AS job_id,
                         @extschema@._id_in(a.answer, 'lease_token') AS lease_token
                  FROM jsonb_array_elements(answers) WITH ORDINALITY AS a (answer, place)) AS g
        ), taken AS (
            DELETE FROM @extschema@.request AS r
            USING given AS g
            WHERE r.job_id = ANY (v_job_ids) AND r.job_id = g.job_id AND r.lease_token = g.lease_token AND g.time = 1
            RETURNING g.place, r.queue_id, r.sent_at, r.timeout_milliseconds
        )
        SELECT g.place, g.answer, g.job_id, g.lease_token, t.queue_id, t.sent_at, t.timeout_milliseconds,
               j.attempt, j.job_id IS NOT NULL AS is_leased
        FROM given AS g
        LEFT JOIN taken AS t ON t.place = g.place
        LEFT JOIN (SELECT known.job_id, known.lease_token, known.attempt FROM @extschema@.job AS known
                   WHERE known.job_id = ANY (v_job_ids)) AS j
            ON j.job_id = g.job_id AND j.lease_token = g.lease_token
        ORDER BY t.queue_id, g.place
    LOOP
        v_verdict := NULL;
        IF v_sent.job_id IS NULL OR v_sent.lease_token IS NULL THEN
            v_verdict.result := 'invalid';
        ELSIF v_sent.queue_id IS NULL THEN
            v_verdict.result := 'ignored';
        ELSE
            IF v_sent.queue_id IS DISTINCT FROM v_endpoint.queue_id THEN
                v_endpoint := @extschema@._answering_endpoint(v_sent.queue_id);
            END IF;
            v_verdict := @extschema@._judge_answer(
                v_sent.answer, v_endpoint, v_sent.attempt::integer, v_sent.timeout_milliseconds);
            -- What it says of the endpoint counts all the same.
            v_verdict.result := CASE WHEN v_sent.is_leased THEN v_verdict.result ELSE 'ignored' END;
        END IF;
        v_verdict.place := v_sent.place;
        v_verdict.queue_id := v_sent.queue_id;
        v_verdict.job_id := v_sent.job_id;
        v_verdict.lease_token := v_sent.lease_token;
        v_verdict.sent_at := v_sent.sent_at;
        v_verdicts := array_append(v_verdicts, v_verdict);
    END LOOP;
    RETURN v_verdicts;
END
$$;
COMMENT ON FUNCTION @extschema@._judge_answers IS
    'Internal: takes the requests that are answered out of the table and says what each answer means. Inherits the settings of answer_requests.';

-- Writes: what _settle_jobs, keep_jobs_alive and _complete_with_jobs write.  Locks: job rows.
CREATE OR REPLACE FUNCTION @extschema@._settle_answers(verdicts @extschema@.answer_verdict[])
RETURNS @extschema@.dispatch_outcome[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_batch record;
    v_verdict @extschema@.answer_verdict;
    v_done bigint[] := ARRAY[]::bigint[];
    v_special @extschema@.dispatch_outcome[] := ARRAY[]::@extschema@.dispatch_outcome[];
BEGIN
    FOR v_batch IN
        SELECT v.result, v.delay_milliseconds, v.retry, array_agg(v.job_id) AS job_ids,
               array_agg(v.lease_token) AS lease_tokens, array_agg(v.output) AS outputs, array_agg(v.error) AS errors
        FROM unnest(verdicts) AS v
        WHERE v.result NOT IN ('ignored', 'invalid') AND v.jobs IS NULL
        GROUP BY v.result, v.delay_milliseconds, v.retry
        ORDER BY v.result, v.delay_milliseconds, v.retry
    LOOP
        IF v_batch.result = 'accepted' THEN
            v_done := v_done || ARRAY(
                SELECT k.job_id FROM @extschema@.keep_jobs_alive(v_batch.job_ids, v_batch.lease_tokens, NULL, true) AS k
                WHERE k.state = 'running');
        ELSE
            v_done := v_done || @extschema@._settle_jobs(v_batch.job_ids, v_batch.lease_tokens, v_batch.result,
                v_batch.outputs, v_batch.errors, v_batch.delay_milliseconds, v_batch.retry, 'failed');
        END IF;
    END LOOP;
    FOR v_verdict IN
        SELECT v.* FROM unnest(verdicts) AS v
        WHERE v.result = 'complete' AND v.jobs IS NOT NULL
        ORDER BY v.job_id
    LOOP
        v_special := array_append(v_special, @extschema@._complete_with_jobs(v_verdict));
    END LOOP;

    RETURN ARRAY(
        SELECT COALESCE(s, ROW(v.job_id, v.lease_token, v.outcome,
                CASE WHEN v.outcome NOT IN ('ignored', 'invalid') THEN
                    COALESCE(j.state, CASE v.outcome WHEN 'failed' THEN 'dead' ELSE v.outcome END) END,
                CASE WHEN v.outcome <> 'ignored' THEN v.error END)::@extschema@.dispatch_outcome)
        FROM (SELECT g.place, g.job_id, g.lease_token, g.error,
                     CASE WHEN g.result = 'invalid' OR g.job_id = ANY (v_done) THEN g.result ELSE 'ignored' END AS outcome
              FROM unnest(verdicts) AS g) AS v
        LEFT JOIN (SELECT k.job_id, @extschema@._state(
                              k.held_by, k.lease_token, k.lease_until, k.start_after, @extschema@._now()) AS state
                   FROM @extschema@.job AS k WHERE k.job_id = ANY (v_done)) AS j ON j.job_id = v.job_id
        LEFT JOIN unnest(v_special) AS s ON s.job_id = v.job_id AND s.lease_token = v.lease_token
        ORDER BY v.place);
END
$$;
COMMENT ON FUNCTION @extschema@._settle_answers IS
    'Internal: does with the jobs what the verdicts say, and tells what became of each, in the order of the answers. Inherits the settings of answer_requests.';

-- Writes, locks: as _settle_answers.
CREATE OR REPLACE FUNCTION @extschema@._settle_one_by_one(verdicts @extschema@.answer_verdict[])
RETURNS @extschema@.dispatch_outcome[]
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_verdict @extschema@.answer_verdict;
    v_outcomes @extschema@.dispatch_outcome[] := ARRAY[]::@extschema@.dispatch_outcome[];
BEGIN
    FOR v_verdict IN SELECT v.* FROM unnest(verdicts) AS v ORDER BY v.place LOOP
        BEGIN
            v_outcomes := v_outcomes || @extschema@._settle_answers(ARRAY[v_verdict]);
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded THEN
            v_verdict.result := 'failed';
            v_verdict.error := format('the answer cannot be stored (SQLSTATE %s)', SQLSTATE);
            v_verdict.output := NULL;
            v_verdict.jobs := NULL;
            v_verdict.delay_milliseconds := NULL;
            v_outcomes := v_outcomes || @extschema@._settle_answers(ARRAY[v_verdict]);
        END;
    END LOOP;
    RETURN v_outcomes;
END
$$;
COMMENT ON FUNCTION @extschema@._settle_one_by_one IS
    'Internal: _settle_answers, each answer alone: the job of one that cannot be stored fails. Inherits the settings of answer_requests.';

-- Writes: what _finish_job and add_job write.  Locks: the job row.
CREATE OR REPLACE FUNCTION @extschema@._complete_with_jobs(verdict @extschema@.answer_verdict)
RETURNS @extschema@.dispatch_outcome
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_given record;
    v_job @extschema@.follow_up;
    v_place bigint;
BEGIN
    IF NOT @extschema@._finish_job(verdict.job_id, verdict.lease_token, 'complete', verdict.output, verdict.error,
                                   @extschema@._now()) THEN
        RETURN ROW(verdict.job_id, verdict.lease_token, 'ignored', NULL, NULL)::@extschema@.dispatch_outcome;
    END IF;
    FOR v_given IN
        SELECT a.job, a.place, (SELECT min(k.key) FROM jsonb_object_keys(
                   CASE WHEN jsonb_typeof(a.job) = 'object' THEN a.job ELSE '{}' END) AS k (key)
               WHERE k.key NOT IN ('queue_name', 'payload', 'start_after', 'priority', 'max_attempts', 'unique_key',
                   'on_conflict', 'throttle_milliseconds', 'group_key', 'timeout_milliseconds', 'timeout_with_result',
                   'headers')) AS unknown_key
        FROM jsonb_array_elements(verdict.jobs) WITH ORDINALITY AS a (job, place)
    LOOP
        v_place := v_given.place;
        PERFORM @extschema@._require(jsonb_typeof(v_given.job) = 'object', 'a json object', v_given.job::text);
        PERFORM @extschema@._require(v_given.unknown_key IS NULL, 'parameters of add_job only', v_given.unknown_key);
        v_job := jsonb_populate_record(NULL::@extschema@.follow_up, v_given.job);
        PERFORM @extschema@.add_job(v_job.queue_name, v_given.job -> 'payload', v_job.start_after,
            COALESCE(v_job.priority, 0), v_job.max_attempts, v_job.unique_key,
            COALESCE(v_job.on_conflict, 'skip'), v_job.throttle_milliseconds, v_job.group_key,
            v_job.timeout_milliseconds, v_job.timeout_with_result, v_job.headers);
    END LOOP;
    RETURN ROW(verdict.job_id, verdict.lease_token, 'complete', 'complete', NULL)::@extschema@.dispatch_outcome;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR insufficient_privilege THEN
    -- All of it is undone: the job is not complete without what was to follow.
    verdict.result := 'failed';
    verdict.error := left(format('job %s of the answer cannot be added: %s', v_place, SQLERRM), 500);
    verdict.output := NULL;
    verdict.jobs := NULL;
    RETURN (@extschema@._settle_answers(ARRAY[verdict]))[1];
END
$$;
COMMENT ON FUNCTION @extschema@._complete_with_jobs IS
    'Internal: completes a job and adds those that its answer asks for, or fails it when one cannot be added. Inherits the settings of answer_requests.';

-- extension/functions/80-status.sql
-- Status: jobs, live and finished, and the state of queues.

CREATE OR REPLACE VIEW @extschema@.every_job AS
SELECT j.job_id, j.queue_id, NULL::text AS finished_as, j.payload, j.headers, j.priority, j.attempt,
       j.max_attempts, j.start_after, j.added_at, j.picked_at, j.lease_token, j.lease_until,
       NULL::timestamptz AS finished_at, j.worker, j.held_by, j.group_key, j.unique_key,
       j.timeout_milliseconds, j.timeout_with_result, NULL::jsonb AS output, NULL::text AS error, j.attempts
FROM @extschema@.job AS j
UNION ALL
SELECT f.job_id, f.queue_id, f.state, f.payload, f.headers, f.priority, f.attempt,
       f.max_attempts, f.start_after, f.added_at, f.picked_at, NULL, NULL,
       f.finished_at, f.worker, NULL, f.group_key, f.unique_key,
       f.timeout_milliseconds, f.timeout_with_result, f.output, f.error, f.attempts
FROM @extschema@.finished_job AS f;
COMMENT ON VIEW @extschema@.every_job IS
    'All jobs, live and finished; read it through get_job, get_jobs and list_jobs.';

CREATE OR REPLACE FUNCTION @extschema@._state(
    held_by text,
    lease_token bigint,
    lease_until timestamptz,
    start_after timestamptz,
    at timestamptz
)
RETURNS text
LANGUAGE sql
IMMUTABLE
PARALLEL SAFE
RETURN CASE
    WHEN held_by IS NOT NULL THEN 'held'
    WHEN lease_token IS NOT NULL AND lease_until OPERATOR(pg_catalog.>) at THEN 'running'
    WHEN start_after OPERATOR(pg_catalog.>) at THEN 'scheduled'
    ELSE 'ready' END;
COMMENT ON FUNCTION @extschema@._state IS
    'Internal: the state of a live job; a lease that ran out leaves it ready. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._status(j @extschema@.every_job, at timestamptz)
RETURNS @extschema@.job_status
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue record;
BEGIN
    SELECT q.queue_name, q.max_attempts INTO v_queue
    FROM @extschema@.queue AS q WHERE q.queue_id = j.queue_id;
    RETURN (
        j.job_id,
        v_queue.queue_name,
        COALESCE(j.finished_as,
                 @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, at)),
        j.payload, j.headers, j.priority::integer, j.attempt::integer,
        COALESCE(j.max_attempts, v_queue.max_attempts), j.start_after, j.added_at, j.picked_at,
        j.lease_until, j.finished_at, j.worker, j.held_by, j.group_key, j.unique_key,
        j.timeout_milliseconds, j.timeout_with_result, j.output, j.error,
        CASE WHEN j.finished_at IS NULL OR j.picked_at IS NULL THEN COALESCE(j.attempts, '[]')
             ELSE @extschema@._with_attempt(j.attempts, @extschema@._attempt(
                 j.attempt, j.picked_at, j.finished_at, j.worker,
                 CASE j.finished_as WHEN 'dead' THEN 'failed' ELSE j.finished_as END, j.error)) END
    )::@extschema@.job_status;
END
$$;
COMMENT ON FUNCTION @extschema@._status IS 'Internal: a row of every_job as get_job shows it.';

CREATE OR REPLACE FUNCTION @extschema@.get_jobs(job_ids bigint[])
RETURNS SETOF @extschema@.job_status
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_job @extschema@.every_job;
BEGIN
    PERFORM @extschema@._require(job_ids IS NOT NULL, 'job_ids', NULL);
    PERFORM @extschema@._require(COALESCE(array_ndims(job_ids), 1) = 1,
        'job_ids to have one dimension', array_dims(job_ids));
    PERFORM @extschema@._check_access(array_agg(DISTINCT j.queue_id), 'observer')
    FROM @extschema@.every_job AS j
    JOIN @extschema@.queue AS q ON q.queue_id = j.queue_id
    WHERE j.job_id = ANY (job_ids) AND q.is_restricted
    HAVING count(*) > 0;
    FOR v_job IN
        SELECT j.* FROM @extschema@.every_job AS j
        WHERE j.job_id = ANY (job_ids)
        ORDER BY array_position(job_ids, j.job_id)
    LOOP
        RETURN NEXT @extschema@._status(v_job, v_now);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.get_jobs IS
    'Returns these jobs, live or finished, in the order of job_ids; an unknown id, or one whose history is no longer kept, gives no row.';

CREATE OR REPLACE FUNCTION @extschema@.get_job(job_id bigint)
RETURNS @extschema@.job_status
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_job @extschema@.job_status;
BEGIN
    PERFORM @extschema@._require(job_id IS NOT NULL, 'job_id', NULL);
    SELECT g.* INTO v_job FROM @extschema@.get_jobs(ARRAY[job_id]) AS g;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'job % not found', job_id
            USING ERRCODE = 'JQ002',
                  DETAIL = 'It was never added, its adding is not committed, or its history is not kept any more.';
    END IF;
    RETURN v_job;
END
$$;
COMMENT ON FUNCTION @extschema@.get_job IS
    'Returns a job, live or finished, with the history of its attempts. Raises JQ002 when it is not known.';

CREATE OR REPLACE FUNCTION @extschema@.list_jobs(
    queue_name text DEFAULT NULL,
    state text DEFAULT NULL,
    before_job_id bigint DEFAULT NULL,
    max_jobs integer DEFAULT 100
)
RETURNS SETOF @extschema@.job_status
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 100
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_id integer := CASE WHEN queue_name IS NOT NULL
                               THEN @extschema@._queue_id(queue_name, 'observer') END;
    v_hidden integer[];
    v_job @extschema@.every_job;
BEGIN
    PERFORM @extschema@._require(COALESCE(
            state IN ('scheduled', 'ready', 'running', 'held', 'complete', 'dead', 'cancelled'), true),
        'state to be one of scheduled, ready, running, held, complete, dead, cancelled', state);
    PERFORM @extschema@._require(max_jobs BETWEEN 1 AND 10000,
        'max_jobs to be between 1 and 10000', max_jobs::text);
    v_hidden := ARRAY(SELECT q.queue_id FROM @extschema@.queue AS q
                      WHERE q.is_restricted AND NOT @extschema@._has_access(q.queue_id, 'observer'));
    FOR v_job IN
        SELECT j.* FROM @extschema@.every_job AS j
        WHERE (v_queue_id IS NULL OR j.queue_id = v_queue_id)
          AND j.queue_id <> ALL (v_hidden)
          AND (before_job_id IS NULL OR j.job_id < before_job_id)
          AND (list_jobs.state IS NULL OR list_jobs.state = COALESCE(j.finished_as,
                @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, v_now)))
        ORDER BY j.job_id DESC
        LIMIT max_jobs
    LOOP
        RETURN NEXT @extschema@._status(v_job, v_now);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.list_jobs IS
    'Returns up to max_jobs jobs (1 to 10000, default 100), the newest first, of one queue or all, in one state or any. The next page: before_job_id => the last job_id seen. Raises JQ001 when the queue does not exist.';

CREATE OR REPLACE FUNCTION @extschema@.queue_stats(queue_name text DEFAULT NULL)
RETURNS SETOF @extschema@.queue_stat
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_queue_id integer := CASE WHEN queue_name IS NOT NULL
                               THEN @extschema@._queue_id(queue_name, 'observer') END;
BEGIN
    RETURN QUERY
    WITH live AS (
        SELECT s.queue_id,
               count(*) FILTER (WHERE s.state = 'ready') AS ready,
               count(*) FILTER (WHERE s.state = 'scheduled') AS scheduled,
               count(*) FILTER (WHERE s.state = 'running') AS running,
               count(*) FILTER (WHERE s.state = 'held') AS held,
               min(s.start_after) FILTER (WHERE s.state = 'ready') AS oldest_ready_at
        FROM (SELECT j.queue_id, j.start_after,
                     @extschema@._state(j.held_by, j.lease_token, j.lease_until, j.start_after, v_now) AS state
              FROM @extschema@.job AS j
              WHERE v_queue_id IS NULL OR j.queue_id = v_queue_id) AS s
        GROUP BY s.queue_id
    ), dead AS (
        SELECT f.queue_id, count(*) AS dead
        FROM @extschema@.finished_job AS f
        WHERE f.state = 'dead' AND (v_queue_id IS NULL OR f.queue_id = v_queue_id)
        GROUP BY f.queue_id
    ), minute AS (
        SELECT f.queue_id, count(*) AS finished, count(*) FILTER (WHERE f.state = 'dead') AS failed
        FROM @extschema@.finished_job AS f
        WHERE f.finished_at > v_now - interval '1 minute'
          AND (v_queue_id IS NULL OR f.queue_id = v_queue_id)
        GROUP BY f.queue_id
    )
    SELECT q.queue_name, COALESCE(l.ready, 0), COALESCE(l.scheduled, 0), COALESCE(l.running, 0),
           COALESCE(l.held, 0), COALESCE(d.dead, 0),
           floor(EXTRACT(epoch FROM v_now - l.oldest_ready_at) * 1000)::bigint,
           COALESCE(m.finished, 0), m.failed::double precision / m.finished,
           COALESCE(q.paused_until > v_now, false)
    FROM @extschema@.queue AS q
    LEFT JOIN live AS l ON l.queue_id = q.queue_id
    LEFT JOIN dead AS d ON d.queue_id = q.queue_id
    LEFT JOIN minute AS m ON m.queue_id = q.queue_id
    WHERE (v_queue_id IS NULL OR q.queue_id = v_queue_id)
      AND (NOT q.is_dropped OR l.queue_id IS NOT NULL)
      AND (NOT q.is_restricted OR @extschema@._has_access(q.queue_id, 'observer'))
    ORDER BY q.queue_name;
END
$$;
COMMENT ON FUNCTION @extschema@.queue_stats IS
    'Returns for one queue or all: numbers of jobs by state; the age of the oldest ready job in milliseconds, null when none is ready; how many jobs finished in the last minute, as far as history is kept, and which share of them (0 to 1) died. Counts every live job: seconds for millions. Raises JQ001 when the queue does not exist.';

-- extension/functions/81-native_answer.sql
-- The answers that pg_net has brought, from its table to answer_requests.

CREATE OR REPLACE FUNCTION @extschema@._native_text(content text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- pg_net stores the bytes that it has received, whatever the encoding of the database is.
    RETURN convert_from(convert_to(content, getdatabaseencoding()), 'UTF8');
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN '';
END
$$;
COMMENT ON FUNCTION @extschema@._native_text IS
    'Internal: what an endpoint has sent, as text of this database; empty when it is none.';

CREATE OR REPLACE FUNCTION @extschema@._native_answer(
    request @extschema@.native_request,
    status_code integer,
    headers jsonb,
    content text,
    timed_out boolean,
    error_msg text
)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_is_cut boolean := octet_length(content) > request.max_response_bytes;
BEGIN
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'job_id', request.job_id,
        'lease_token', request.lease_token,
        'follows_redirects', true,
        'status_code', status_code,
        'headers', (
            SELECT jsonb_object_agg(lower(h.name), @extschema@._native_text(h.value))
            FROM jsonb_each_text(CASE WHEN jsonb_typeof(headers) = 'object' THEN headers ELSE '{}' END) AS h (name, value)
            WHERE lower(h.name) IN ('content-type', 'location', 'retry-after')),
        -- Of a body that is too long only the beginning is shown, in an error.
        'body', @extschema@._native_text(CASE WHEN v_is_cut THEN left(content, 1000) ELSE content END),
        'body_is_cut', v_is_cut,
        -- Most versions leave timed_out null.
        'timed_out', status_code IS NULL AND (timed_out IS TRUE OR error_msg ILIKE 'timeout%'),
        'error', left(@extschema@._native_text(error_msg), 200)));
END
$$;
COMMENT ON FUNCTION @extschema@._native_answer IS
    'Internal: an answer as it stands in a row of net._http_response, for answer_requests.';

-- Writes: deletes from native_request and net._http_response; what answer_requests writes.  Locks: as answer_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_reap()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
-- What an endpoint has answered is not for auto_explain to log.
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    c_most_answers constant integer := 1000;
    c_most_bytes constant integer := 33554432;
    v_since timestamptz;
    v_ids bigint[];
BEGIN
    -- created is when the worker's transaction began, and has the only index that there is.
    SELECT min(n.sent_at) - interval '1 minute' INTO v_since FROM @extschema@.native_request AS n;
    IF v_since IS NULL THEN
        RETURN 0;
    END IF;
    EXECUTE format($sql$
        SELECT array_agg(a.id)
        FROM (SELECT r.id, row_number() OVER w AS place, sum(octet_length(r.content)) OVER w AS bytes
              FROM %I._http_response AS r
              JOIN @extschema@.native_request AS n ON n.request_id = r.id
              WHERE r.created >= $1 AND r.created >= n.sent_at - interval '1 minute'
              WINDOW w AS (ORDER BY r.id)) AS a
        WHERE a.place = 1 OR (a.place <= $2 AND a.bytes <= $3) $sql$, 'net')
    INTO v_ids USING v_since, c_most_answers, c_most_bytes;
    IF v_ids IS NULL THEN
        RETURN 0;
    END IF;
    BEGIN
        PERFORM @extschema@._native_take(v_ids, v_since);
    EXCEPTION WHEN OTHERS THEN
        -- Whatever is wrong with one of them, it must not keep the others, nor come again at every turn.
        PERFORM @extschema@._native_take_one_by_one(v_ids, v_since);
    END;
    RETURN cardinality(v_ids);
END
$$;
COMMENT ON FUNCTION @extschema@._native_reap IS
    'Internal: takes the answers that have come in, up to 1000 and 32 MB at a time; returns their number.';

-- Writes, locks: as _native_reap.
CREATE OR REPLACE FUNCTION @extschema@._native_take(request_ids bigint[], since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_answers jsonb;
BEGIN
    EXECUTE format($sql$
        SELECT jsonb_agg(@extschema@._native_answer(
                   n, r.status_code, r.headers, r.content, r.timed_out, r.error_msg))
        FROM %I._http_response AS r
        JOIN @extschema@.native_request AS n ON n.request_id = r.id
        WHERE r.created >= $2 AND r.id = ANY ($1) $sql$, 'net')
    INTO v_answers USING request_ids, since;
    IF v_answers IS NOT NULL THEN
        PERFORM @extschema@.answer_requests(v_answers);
    END IF;
    PERFORM @extschema@._native_forget(request_ids, since);
END
$$;
COMMENT ON FUNCTION @extschema@._native_take IS
    'Internal: reports these answers. Inherits the settings of _native_reap.';

-- Writes: deletes from native_request and net._http_response.
CREATE OR REPLACE FUNCTION @extschema@._native_forget(request_ids bigint[], since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
BEGIN
    DELETE FROM @extschema@.native_request AS n WHERE n.request_id = ANY (request_ids);
    -- Where the role may not, pg_net deletes them when their time is over.
    IF has_table_privilege('net._http_response', 'DELETE') THEN
        EXECUTE format('DELETE FROM %I._http_response AS r WHERE r.created >= $2 AND r.id = ANY ($1)', 'net')
        USING request_ids, since;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._native_forget IS
    'Internal: forgets these requests and their answers. Inherits the settings of _native_reap.';

-- Writes, locks: as _native_reap.
CREATE OR REPLACE FUNCTION @extschema@._native_take_one_by_one(request_ids bigint[], since timestamptz)
RETURNS void
LANGUAGE plpgsql
VOLATILE
AS $$
DECLARE
    v_id bigint;
    v_state text;
BEGIN
    FOREACH v_id IN ARRAY request_ids LOOP
        BEGIN
            PERFORM @extschema@._native_take(ARRAY[v_id], since);
        EXCEPTION WHEN OTHERS THEN
            v_state := SQLSTATE;
            PERFORM @extschema@.answer_requests(jsonb_build_array(jsonb_build_object(
                'job_id', n.job_id, 'lease_token', n.lease_token,
                'error', format('the answer cannot be read (SQLSTATE %s)', v_state))))
            FROM @extschema@.native_request AS n WHERE n.request_id = v_id;
            PERFORM @extschema@._native_forget(ARRAY[v_id], since);
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._native_take_one_by_one IS
    'Internal: reports these answers each by itself; one that cannot be read is a failure. Inherits the settings of _native_reap.';

-- extension/functions/82-native_claim.sql
-- The requests that pg_net is given.

-- Writes: native_request, net.http_request_queue; what pick_requests writes.  Locks: as pick_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_claim(is_alone boolean)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Above this pg_net runs into the limit of 1024 open files, which it reports as endpoints that cannot be reached.
    c_most_at_once constant integer := 800;
    v_room integer;
BEGIN
    -- A second batch in its queue hides the time that a turn takes; a third would only wait.
    SELECT 2 * LEAST(@extschema@._native_batch(), c_most_at_once) - count(*) INTO v_room
    FROM @extschema@.native_request AS n;
    IF v_room <= 0 THEN
        RETURN 0;
    END IF;
    BEGIN
        RETURN @extschema@._native_send(v_room, NULL, is_alone);
    EXCEPTION WHEN OTHERS THEN
        RETURN @extschema@._native_send_by_queue(v_room, is_alone);
    END;
END
$$;
COMMENT ON FUNCTION @extschema@._native_claim IS
    'Internal: picks as many requests as pg_net has room for and hands them over, to be sent when the transaction commits; returns their number. is_alone: nothing else in the transaction must be durable.';

-- Writes: native_request, net.http_request_queue; what pick_requests writes.  Locks: as pick_requests.
CREATE OR REPLACE FUNCTION @extschema@._native_send(max_requests integer, queue_names text[], is_alone boolean)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
-- With other plans auto_explain, where it logs nested statements, would log the headers of each request, with its token.
-- For the same reason no request is ever a parameter of the dynamic statement.
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_sent integer;
BEGIN
    -- A time-out above a minute would keep all others waiting for as long, and PostgreSQL from stopping.
    -- An id that is there already was lost together with its request, when pg_net began anew.
    EXECUTE format($sql$
        INSERT INTO @extschema@.native_request AS n (
            request_id, job_id, lease_token, sent_at, seen_at, timeout_milliseconds, max_response_bytes)
        SELECT CASE r.method
                   WHEN 'POST' THEN %1$I.http_post(url => r.url, body => r.body::jsonb, headers => r.headers,
                                                   timeout_milliseconds => r.timeout_milliseconds)
                   ELSE %1$I.http_get(url => r.url, headers => r.headers,
                                      timeout_milliseconds => r.timeout_milliseconds) END,
               r.job_id, r.lease_token, $4, $4, r.timeout_milliseconds, r.max_response_bytes
        FROM @extschema@.pick_requests(
            $1, @extschema@._native_dispatcher(), $2, max_timeout_milliseconds => 60000, durable => $3) AS r
        ON CONFLICT ON CONSTRAINT native_request_pkey DO UPDATE SET
            job_id = EXCLUDED.job_id, lease_token = EXCLUDED.lease_token, sent_at = EXCLUDED.sent_at,
            seen_at = EXCLUDED.seen_at, timeout_milliseconds = EXCLUDED.timeout_milliseconds,
            max_response_bytes = EXCLUDED.max_response_bytes, worker_pid = NULL, restarts = 0 $sql$, 'net')
    USING max_requests, queue_names, NOT is_alone, @extschema@._now();
    GET DIAGNOSTICS v_sent = ROW_COUNT;
    RETURN v_sent;
END
$$;
COMMENT ON FUNCTION @extschema@._native_send IS
    'Internal: picks requests, of these queues or of all, and hands them to pg_net; returns their number.';

-- Writes: as _native_send; endpoint_state of those whose requests pg_net refuses.
CREATE OR REPLACE FUNCTION @extschema@._native_send_by_queue(max_requests integer, is_alone boolean)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_endpoint record;
    v_sent integer := 0;
BEGIN
    FOR v_endpoint IN
        SELECT q.queue_id, q.queue_name
        FROM @extschema@.endpoint AS e
        JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
        WHERE e.is_active
        ORDER BY random()
    LOOP
        EXIT WHEN v_sent >= max_requests;
        BEGIN
            v_sent := v_sent + @extschema@._native_send(
                max_requests - v_sent, ARRAY[v_endpoint.queue_name], is_alone);
        EXCEPTION WHEN OTHERS THEN
            -- What is wrong with pg_net, and not with this endpoint, undoes it all.
            IF left(SQLSTATE, 2) IN ('3F', '40', '42', '53', '55', '57', '58') THEN
                RAISE;
            END IF;
            -- The message may show a whole request, with its token.
            PERFORM @extschema@._hold_endpoint(
                v_endpoint.queue_id, 10000, format('pg_net refuses its requests (SQLSTATE %s)', SQLSTATE));
        END;
    END LOOP;
    RETURN v_sent;
END
$$;
COMMENT ON FUNCTION @extschema@._native_send_by_queue IS
    'Internal: as _native_send for all queues, but one after the other; an endpoint whose requests pg_net refuses is held for 10 seconds.';

-- extension/functions/83-native_loop.sql
-- The loop of the native dispatcher. Its procedure commits, so it can neither pin its search_path nor run as its owner:
-- all that it does is to call these functions.

-- Locks: an advisory lock, until the transaction ends.
CREATE OR REPLACE FUNCTION @extschema@._native_lock()
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN pg_try_advisory_xact_lock('@extschema@.native_epoch'::regclass::oid::integer, 0);
END
$$;
COMMENT ON FUNCTION @extschema@._native_lock IS
    'Internal: whether this session is the one that dispatches.';

CREATE OR REPLACE FUNCTION @extschema@._native_rest(seconds double precision)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._native_lock();
    PERFORM pg_sleep(seconds);
END
$$;
COMMENT ON FUNCTION @extschema@._native_rest IS
    'Internal: sleeps between two turns, and lets no other dispatcher begin meanwhile.';

-- Writes: native_epoch.fault, when a step fails; what the steps write.
CREATE OR REPLACE FUNCTION @extschema@._native_try(step text, is_alone boolean DEFAULT true)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE step
        WHEN 'boot' THEN @extschema@._native_boot()
        WHEN 'reap' THEN @extschema@._native_reap()
        WHEN 'sweep' THEN @extschema@._native_sweep()
        WHEN 'claim' THEN @extschema@._native_claim(is_alone)
        WHEN 'purge' THEN @extschema@._purge_native_runs()
        WHEN 'maintain' THEN (@extschema@.maintain()).emptied_history_slots END;
EXCEPTION WHEN OTHERS THEN
    -- A step that fails keeps none of the others from being done. Its message might show a request, with its token.
    UPDATE @extschema@.native_epoch AS e
    SET fault = format('%s: SQLSTATE %s', step, SQLSTATE), fault_at = @extschema@._now();
    RETURN 0;
END
$$;
COMMENT ON FUNCTION @extschema@._native_try IS
    'Internal: does one step of a turn and returns how much; a step that fails is noted, and undone.';

-- Writes: native_epoch; what the steps write.
CREATE OR REPLACE FUNCTION @extschema@._native_begin(run_seconds integer)
RETURNS @extschema@.native_turn
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_minute timestamptz := date_trunc('minute', v_now) + interval '59.3 seconds';
    v_timeout interval := (SELECT s.setting::bigint * interval '1 millisecond' FROM pg_settings AS s
                           WHERE s.name = 'statement_timeout');
    v_turn @extschema@.native_turn;
BEGIN
    v_turn.started_at := v_now;
    v_turn.ends_at := CASE
        WHEN run_seconds IS NOT NULL THEN v_now + run_seconds * interval '1 second'
        -- So that the next run, at the full minute, begins at once.
        WHEN v_minute - v_now > interval '1 second' THEN v_minute
        ELSE v_minute + interval '1 minute' END;
    -- A time-out counts from the CALL on.
    IF v_timeout > interval '0' THEN
        v_turn.ends_at := LEAST(v_turn.ends_at, v_now + v_timeout * 0.8);
    END IF;
    v_turn.pause_seconds := 0;
    v_turn.is_over := false;
    PERFORM @extschema@._native_try('boot');
    PERFORM @extschema@._native_try('maintain');
    PERFORM @extschema@._native_try('purge');
    RETURN v_turn;
END
$$;
COMMENT ON FUNCTION @extschema@._native_begin IS
    'Internal: the first turn of a run: looks after what the last left behind, and says when this one ends.';

-- Writes: native_epoch.turn_at; what the steps write.
CREATE OR REPLACE FUNCTION @extschema@._native_turn(last @extschema@.native_turn, run_seconds integer)
RETURNS @extschema@.native_turn
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_turn @extschema@.native_turn := last;
    v_answered integer := 0;
    v_done integer;
BEGIN
    IF NOT @extschema@._native_lock() THEN
        v_turn.is_over := true;
        RETURN v_turn;
    END IF;
    IF last.started_at IS NULL THEN
        RETURN @extschema@._native_begin(run_seconds);
    END IF;
    IF COALESCE(last.checked_at <= v_now - interval '3 seconds', true) THEN
        v_turn.trouble := @extschema@._native_check();
        v_turn.checked_at := v_now;
        v_answered := @extschema@._native_try('sweep');
    END IF;
    v_answered := v_answered + @extschema@._native_try('reap');
    v_done := v_answered;
    IF v_turn.trouble IS NULL THEN
        v_done := v_done + @extschema@._native_try('claim', v_answered = 0);
    END IF;
    v_turn.pause_seconds := CASE
        WHEN v_done > 0 THEN 0.05
        ELSE LEAST(GREATEST(last.pause_seconds, 0.05) * 1.5, 0.5) END;
    v_turn.is_over := @extschema@._now() + v_turn.pause_seconds * interval '1 second' >= v_turn.ends_at;
    RETURN v_turn;
END
$$;
COMMENT ON FUNCTION @extschema@._native_turn IS
    'Internal: one turn of the native dispatcher: takes answers, looks after old requests each 3 seconds, hands new ones to pg_net. is_over: the run ends, because its time is over or another dispatches.';

-- Writes: native_epoch.turn_at.
CREATE OR REPLACE FUNCTION @extschema@._native_check()
RETURNS text
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_batch integer := @extschema@._native_batch();
    v_trouble text := @extschema@._native_trouble();
    v_waiting integer;
BEGIN
    UPDATE @extschema@.native_epoch AS e SET turn_at = @extschema@._now();
    IF NOT FOUND OR (SELECT e.queue_oid FROM @extschema@.native_epoch AS e)
                    IS DISTINCT FROM COALESCE(@extschema@._native_queue_oid(), 0) THEN
        PERFORM @extschema@._native_try('boot');
    END IF;
    IF v_trouble IS NULL THEN
        -- Its queue has no index, and what is sent with a signature that is minutes old is refused.
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I.http_request_queue LIMIT $1) AS q', 'net')
        INTO v_waiting USING v_batch * 5;
        v_trouble := CASE WHEN v_waiting >= v_batch * 4 THEN 'too many requests wait in pg_net' END;
    END IF;
    RETURN v_trouble;
END
$$;
COMMENT ON FUNCTION @extschema@._native_check IS
    'Internal: notes that the dispatcher is alive, and says why nothing should be handed to pg_net now.';

CREATE OR REPLACE PROCEDURE @extschema@.run_native_dispatcher(run_seconds integer DEFAULT NULL)
LANGUAGE plpgsql
AS $$
DECLARE
    v_turn @extschema@.native_turn;
BEGIN
    LOOP
        v_turn := @extschema@._native_turn(v_turn, run_seconds);
        COMMIT;
        EXIT WHEN v_turn.is_over;
        PERFORM @extschema@._native_rest(v_turn.pause_seconds);
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE @extschema@.run_native_dispatcher IS
$$Dispatches jobs to their endpoints by pg_net for run_seconds, or, without, until the end of the minute; always less than statement_timeout. pg_cron calls it: see start_native_dispatcher. While one session runs it, it returns at once in any other.
It commits after each turn: call it alone, outside of a transaction.$$;

-- extension/functions/84-native_schedule.sql
-- The schedule of the native dispatcher, by pg_cron, and how it is doing.

CREATE OR REPLACE FUNCTION @extschema@._schema_name()
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
RETURN (
    SELECT n.nspname::text FROM pg_class AS job JOIN pg_namespace AS n ON n.oid = job.relnamespace
    WHERE job.oid = '@extschema@.job'::regclass);
COMMENT ON FUNCTION @extschema@._schema_name IS 'Internal: the schema of this installation, not quoted.';

CREATE OR REPLACE FUNCTION @extschema@._native_cron_name(purpose text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format('%s %s (%s)', @extschema@._schema_name(), purpose, current_database());
END
$$;
COMMENT ON FUNCTION @extschema@._native_cron_name IS
    'Internal: the name of a job of pg_cron, whose names are for all databases: purpose is dispatcher or vacuum.';

-- By the catalog, because to_regclass raises where the schema may not be used.
CREATE OR REPLACE FUNCTION @extschema@._native_has_cron()
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'cron' AND has_schema_privilege(n.oid, 'USAGE'))
       AND to_regclass('cron.job') IS NOT NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._native_has_cron IS
    'Internal: whether pg_cron is installed in this database, for the owner of this queue to use.';

-- Writes: cron.job.
CREATE OR REPLACE FUNCTION @extschema@.start_native_dispatcher()
RETURNS @extschema@.native_health
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_call text := format('CALL %I.run_native_dispatcher', @extschema@._schema_name());
    v_name text := @extschema@._native_cron_name('dispatcher');
BEGIN
    IF @extschema@._native_queue_oid() IS NULL THEN
        RAISE EXCEPTION 'pg_net is not installed in this database'
            USING ERRCODE = '55000', HINT = 'Create the extension pg_net, or use the dispatcher of the SDK.';
    ELSIF NOT @extschema@._native_has_cron() THEN
        RAISE EXCEPTION 'pg_cron is not installed in this database, or role "%" may not use it', current_user
            USING ERRCODE = '55000',
                  DETAIL = format('The database of pg_cron is "%s" (cron.database_name).',
                                  COALESCE(current_setting('cron.database_name', true), 'unknown')),
                  HINT = format('Create the extension pg_cron; or, in its database: SELECT cron.schedule_in_database(%L, %L, %L, %L).',
                                v_name, '* * * * *', v_call || '()', current_database());
    END IF;
    BEGIN
        -- A run takes 55 seconds: this is how soon the next one follows.
        EXECUTE format('SELECT %I.schedule($1, $2, $3)', 'cron') USING v_name, '5 seconds', v_call || '(run_seconds => 55)';
    EXCEPTION WHEN OTHERS THEN
        -- Up to version 1.4 pg_cron knows only minutes. If it was something else, it is raised now.
        EXECUTE format('SELECT %I.schedule($1, $2, $3)', 'cron') USING v_name, '* * * * *', v_call || '()';
    END;
    -- Before version 0.20.3 of pg_net autovacuum does not see what its worker deletes.
    IF (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class AS c WHERE c.oid = @extschema@._native_queue_oid()) THEN
        EXECUTE format('SELECT %I.schedule($1, $2, $3)', 'cron')
        USING @extschema@._native_cron_name('vacuum'), '17 * * * *', 'VACUUM net.http_request_queue';
    END IF;
    RETURN @extschema@.native_health();
END
$$;
COMMENT ON FUNCTION @extschema@.start_native_dispatcher IS
$$Has pg_cron run the dispatcher inside Postgres from now on, which sends jobs to their endpoints by pg_net. Call it again after either extension was added anew or updated. Returns how it is doing. Endpoints with a timeout above 60000 milliseconds are not served.
Errors: 55000 when pg_net or pg_cron is not installed in this database.$$;

-- Writes: cron.job, native_request, net.http_request_queue; what answer_requests writes.
CREATE OR REPLACE FUNCTION @extschema@.stop_native_dispatcher()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_left integer;
BEGIN
    IF @extschema@._native_has_cron() THEN
        EXECUTE format('SELECT count(%1$I.unschedule(j.jobid)) FROM %1$I.job AS j
                        WHERE j.username = current_user AND j.jobname = ANY ($1)', 'cron')
        USING ARRAY[@extschema@._native_cron_name('dispatcher'), @extschema@._native_cron_name('vacuum')];
    END IF;
    PERFORM @extschema@._native_end_run();
    IF @extschema@._native_queue_oid() IS NOT NULL THEN
        PERFORM @extschema@._native_give_up(
            @extschema@._native_withdraw(ARRAY(SELECT n.request_id FROM @extschema@.native_request AS n)),
            '{"given_back": true}');
    END IF;
    SELECT count(*) INTO v_left FROM @extschema@.native_request AS n;
    RETURN v_left;
END
$$;
COMMENT ON FUNCTION @extschema@.stop_native_dispatcher IS
    'Ends the dispatcher inside Postgres. Jobs that still wait in pg_net go back to their lines. Returns how many requests pg_net is sending: their answers are taken if the dispatcher is started again in time, else their leases run out.';

-- Locks: the advisory lock of the dispatcher; waits 2 seconds at most.
CREATE OR REPLACE FUNCTION @extschema@._native_end_run()
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_lock_timeout text := current_setting('lock_timeout');
    v_space oid := '@extschema@.native_epoch'::regclass;
BEGIN
    -- pg_cron 1.4 only turns away from the session of a run that is unscheduled.
    PERFORM pg_cancel_backend(l.pid)
    FROM pg_locks AS l
    JOIN pg_database AS d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND l.classid = v_space AND l.objid = 0 AND l.objsubid = 2 AND l.granted
      AND d.datname = current_database() AND l.pid <> pg_backend_pid();
    PERFORM set_config('lock_timeout', '2s', true);
    PERFORM pg_advisory_xact_lock(v_space::integer, 0);
    PERFORM set_config('lock_timeout', v_lock_timeout, true);
EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
    RAISE WARNING 'the run under way goes on until its time is over'
        USING DETAIL = 'Another role has started it, or it does not react.';
END
$$;
COMMENT ON FUNCTION @extschema@._native_end_run IS
    'Internal: cancels the run that is under way, and lets no other begin before the transaction ends.';

-- Writes: native_epoch.purged_at; deletes from cron.job_run_details.
CREATE OR REPLACE FUNCTION @extschema@._purge_native_runs()
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_call text := format('CALL %I.run_native_dispatcher', @extschema@._schema_name());
    v_purged integer := 0;
BEGIN
    -- It has no index on time.
    UPDATE @extschema@.native_epoch AS e SET purged_at = v_now
    WHERE COALESCE(e.purged_at <= v_now - interval '6 hours', true);
    IF FOUND AND @extschema@._native_has_cron() THEN
        EXECUTE format($sql$
            DELETE FROM %I.job_run_details AS d
            WHERE d.end_time < $1 AND d.username = current_user AND d.database = current_database()
              AND (split_part(d.command, '(', 1) = $2 OR d.command = $3) $sql$, 'cron')
        USING v_now - interval '1 day', v_call, 'VACUUM net.http_request_queue';
        GET DIAGNOSTICS v_purged = ROW_COUNT;
    END IF;
    RETURN v_purged;
END
$$;
COMMENT ON FUNCTION @extschema@._purge_native_runs IS
    'Internal: deletes, each 6 hours, what pg_cron has noted of our runs more than a day ago; returns the number.';

CREATE OR REPLACE FUNCTION @extschema@.native_health()
RETURNS @extschema@.native_health
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_health @extschema@.native_health;
    v_last_run text;
BEGIN
    SELECT e.turn_at, e.fault, e.fault_at INTO v_health.last_turn_at, v_health.last_fault, v_health.last_fault_at
    FROM @extschema@.native_epoch AS e;
    SELECT count(*), (EXTRACT(epoch FROM v_now - min(n.sent_at)) * 1000)::bigint
    INTO v_health.in_flight, v_health.oldest_milliseconds
    FROM @extschema@.native_request AS n;
    v_health.pg_net_version := (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'pg_net');
    v_health.pg_cron_version := (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'pg_cron');
    IF @extschema@._native_has_cron() THEN
        EXECUTE format($sql$
            SELECT j.schedule, (SELECT concat_ws(': ', d.status, d.return_message)
                                FROM %1$I.job_run_details AS d
                                WHERE d.jobid = j.jobid AND d.status IN ('failed', 'succeeded')
                                ORDER BY d.runid DESC LIMIT 1)
            FROM %1$I.job AS j
            WHERE j.username = current_user AND j.active AND j.jobname = $1 $sql$, 'cron')
        INTO v_health.schedule, v_last_run USING @extschema@._native_cron_name('dispatcher');
    END IF;
    v_health.problems := @extschema@._native_problems(v_health, v_last_run);
    v_health.is_healthy := v_health.problems = '{}';
    RETURN v_health;
END
$$;
COMMENT ON FUNCTION @extschema@.native_health IS
    'Returns whether the dispatcher inside Postgres works, and if not, what is in its way: an extension that is missing or not loaded, another database, a schedule that is not set or does not run, endpoints that it does not serve.';

CREATE OR REPLACE FUNCTION @extschema@._native_problems(health @extschema@.native_health, last_run text)
RETURNS text[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_slow text := (
        SELECT string_agg(format('"%s"', q.queue_name), ', ' ORDER BY q.queue_name)
        FROM @extschema@.endpoint AS e
        JOIN @extschema@.queue AS q ON q.queue_id = e.queue_id
        WHERE e.is_active AND e.timeout_milliseconds > 60000);
BEGIN
    RETURN array_remove(ARRAY[
        @extschema@._native_trouble(),
        CASE
            WHEN COALESCE(health.last_turn_at > v_now - interval '2 minutes', false) THEN NULL
            WHEN NOT @extschema@._native_has_cron() THEN 'pg_cron is not installed in this database'
            WHEN health.schedule IS NULL THEN 'it is not scheduled: call start_native_dispatcher()'
            WHEN last_run LIKE 'failed%' THEN format('its last run by pg_cron %s', last_run)
            ELSE 'it has not run for two minutes' END,
        CASE WHEN health.last_fault_at > v_now - interval '10 minutes'
            THEN format('a step failed (%s)', health.last_fault) END,
        CASE WHEN health.oldest_milliseconds > 120000
            THEN format('a request is under way for %s seconds', health.oldest_milliseconds / 1000) END,
        CASE WHEN @extschema@._native_batch() > 800
            THEN 'pg_net.batch_size is above 800: it may run out of files (ulimit -n)' END,
        'pg_net serves no timeout above 60000 milliseconds, as have the endpoints of ' || v_slow], NULL);
END
$$;
COMMENT ON FUNCTION @extschema@._native_problems IS
    'Internal: what keeps the native dispatcher from working, or will. last_run: how the last run by pg_cron has ended.';

-- extension/functions/85-maintain.sql
-- Maintenance: housekeeping that keeps tables small. Correctness never waits for it.

-- Writes: deletes from unique_key and idle_worker; truncates expired slots
-- of finished_job.  Locks: a slot exclusively, if that is free within 100 milliseconds.
CREATE OR REPLACE FUNCTION @extschema@.maintain()
RETURNS @extschema@.maintenance
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_now timestamptz := @extschema@._now();
    v_result @extschema@.maintenance;
BEGIN
    DELETE FROM @extschema@.unique_key AS k
    WHERE (k.queue_id, k.unique_key) IN (
        SELECT old.queue_id, old.unique_key FROM @extschema@.unique_key AS old
        WHERE old.holds_until <= v_now
        FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_result.expired_unique_keys = ROW_COUNT;

    DELETE FROM @extschema@.idle_worker AS w
    WHERE (w.worker, w.queue_id) IN (
        SELECT gone.worker, gone.queue_id FROM @extschema@.idle_worker AS gone
        WHERE gone.until <= v_now - interval '1 minute'
        FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_result.gone_idle_workers = ROW_COUNT;

    v_result.emptied_history_slots := @extschema@._empty_expired_slots(@extschema@._day(v_now));
    RETURN v_result;
END
$$;
COMMENT ON FUNCTION @extschema@.maintain IS
    'Forgets throttles that are over and workers that are gone, and empties the history of the days that expired. Returns how much of each. Never needed for a job to run; workers call it about each minute.';

-- Writes: history_slot; truncates slots of finished_job.
-- Locks: each slot exclusively until the transaction ends; gives a slot up after 100 milliseconds.
CREATE OR REPLACE FUNCTION @extschema@._empty_expired_slots(today integer)
RETURNS integer
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_lock_timeout text := current_setting('lock_timeout');
    v_day integer;
    v_emptied integer := 0;
BEGIN
    -- Days older than that share their slot with days to come, and go when those expire.
    FOR v_day IN
        SELECT d.day
        FROM generate_series(today - 9, today - 1) AS d (day)
        LEFT JOIN @extschema@.history_slot AS s ON s.slot = d.day % 40
        WHERE COALESCE(s.emptied_for_day < d.day, true)
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '100ms', true);
            EXECUTE format('TRUNCATE @extschema@.finished_job_%s', lpad((v_day % 40)::text, 2, '0'));
            INSERT INTO @extschema@.history_slot AS s (slot, emptied_for_day)
            VALUES (v_day % 40, v_day)
            ON CONFLICT ON CONSTRAINT history_slot_pkey DO UPDATE SET emptied_for_day = EXCLUDED.emptied_for_day;
            v_emptied := v_emptied + 1;
        EXCEPTION WHEN lock_not_available THEN
            NULL; -- Somebody reads it: the next call tries again.
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', v_lock_timeout, true);
    RETURN v_emptied;
END
$$;
COMMENT ON FUNCTION @extschema@._empty_expired_slots IS
    'Internal: truncates the slots of the days before today that are not emptied yet; returns their number.';

-- extension/functions/90-access.sql
-- Access: tables are nobody's, functions are granted by what a role does. All grants are on this page.

CREATE OR REPLACE FUNCTION @extschema@._functions_of(access text)
RETURNS regprocedure[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT p.oid::regprocedure
        FROM pg_proc AS p
        JOIN pg_class AS job ON job.oid = '@extschema@.job'::regclass
        WHERE p.pronamespace = job.relnamespace AND p.proname = ANY (CASE access
            WHEN 'producer' THEN ARRAY['add_job', 'add_jobs']
            WHEN 'worker' THEN ARRAY['pick_jobs', 'release_job', 'release_jobs', 'release_and_pick',
                'keep_jobs_alive', 'announce_idle', 'announce_busy', 'wake_up_channel', 'maintain']
            WHEN 'observer' THEN ARRAY['get_job', 'get_jobs', 'list_jobs', 'queue_stats', 'get_queue_config',
                'endpoint_status', 'native_health']
            -- The procedure commits, so it cannot run as its owner: it calls the two functions as who calls it.
            WHEN 'dispatcher' THEN ARRAY['pick_requests', 'answer_requests', 'extend_requests', 'endpoint_status',
                'announce_idle', 'announce_busy', 'wake_up_channel', 'maintain', 'run_native_dispatcher',
                '_native_turn', '_native_rest']
            WHEN 'admin' THEN ARRAY['cancel_job', 'retry_job', 'redrive_jobs', 'reschedule_job',
                'set_queue_config', 'pause_queue', 'resume_queue', 'purge_queue', 'drop_queue',
                'set_endpoint', 'get_endpoint', 'remove_endpoint', 'set_endpoint_active',
                'set_endpoint_bearer_token', 'get_endpoint_bearer_token', 'set_endpoint_signing_secret',
                'forget_previous_signing_secret']
            WHEN 'any' THEN ARRAY['installed_version', 'error_codes'] END));
END
$$;
COMMENT ON FUNCTION @extschema@._functions_of IS
    'Internal: the functions that an access grants; any stands for those that come with each.';

CREATE OR REPLACE FUNCTION @extschema@._has_access(queue_id integer, needed_access text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Inside these functions current_user is their owner: the caller is the role that was set, or logged in.
    v_caller name := COALESCE(NULLIF(current_setting('role'), 'none'), session_user);
BEGIN
    RETURN pg_has_role(v_caller, current_user, 'USAGE') OR EXISTS (
        SELECT FROM @extschema@.queue_access AS a
        JOIN pg_roles AS r ON r.rolname = a.role_name
        WHERE a.queue_id = _has_access.queue_id
          -- Who dispatches picks, as a worker does.
          AND (a.access IN (needed_access, 'admin') OR (a.access = 'dispatcher' AND needed_access = 'worker'))
          AND pg_has_role(v_caller, r.oid, 'USAGE'));
END
$$;
COMMENT ON FUNCTION @extschema@._has_access IS
    'Internal: whether the caller may do this with a restricted queue: its owner, a role that was granted it, or members of these.';

CREATE OR REPLACE FUNCTION @extschema@._check_access(queue_ids integer[], needed_access text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_queue_name text;
BEGIN
    SELECT q.queue_name INTO v_queue_name
    FROM @extschema@.queue AS q
    WHERE q.queue_id = ANY (queue_ids) AND q.is_restricted
      AND NOT @extschema@._has_access(q.queue_id, needed_access)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no % access to queue "%"', needed_access, v_queue_name
            USING ERRCODE = '42501', HINT = 'grant_access gives a role access to a queue.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_access IS
    'Internal: raises 42501 when one of these queues is restricted and the caller has not this access.';

CREATE OR REPLACE FUNCTION @extschema@._check_job_access(job_id bigint, needed_access text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(job_id IS NOT NULL, 'job_id', NULL);
    PERFORM @extschema@._check_access(array_agg(DISTINCT j.queue_id), needed_access)
    FROM @extschema@.every_job AS j
    WHERE j.job_id = _check_job_access.job_id
    HAVING count(*) > 0;
END
$$;
COMMENT ON FUNCTION @extschema@._check_job_access IS
    'Internal: as _check_access, for the queue of a job.';

-- Writes: grants; queue.is_restricted and queue_access when a queue is named.
CREATE OR REPLACE FUNCTION @extschema@.grant_access(role_name name, access text, queue_name text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_function regprocedure;
BEGIN
    PERFORM @extschema@._check_grant(role_name, access);
    EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %I', role_name);
    FOREACH v_function IN ARRAY @extschema@._functions_of(access) || @extschema@._functions_of('any') LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', v_function, role_name);
    END LOOP;
    IF queue_name IS NOT NULL THEN
        INSERT INTO @extschema@.queue_access (queue_id, role_name, access)
        VALUES (@extschema@._make_queue(queue_name), grant_access.role_name, grant_access.access)
        ON CONFLICT ON CONSTRAINT queue_access_pkey DO NOTHING;
        UPDATE @extschema@.queue AS q SET is_restricted = true
        WHERE q.queue_name = grant_access.queue_name AND NOT q.is_restricted;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.grant_access IS
$$Lets a role use the functions that a producer (adds), a worker (picks, releases, keeps alive), an observer (reads status), a dispatcher (sends jobs to endpoints) or an admin (controls jobs and sets queues and endpoints) needs. With a queue_name the queue becomes restricted: only roles that were granted access to it, and the owner, can use it; the function grants themselves are for all queues that are not restricted.
Errors: 22023 for another access, 42704 for a role that does not exist.$$;

-- Writes: grants; queue_access when a queue is named.
CREATE OR REPLACE FUNCTION @extschema@.revoke_access(role_name name, access text, queue_name text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_function regprocedure;
BEGIN
    PERFORM @extschema@._check_grant(role_name, access);
    IF queue_name IS NULL THEN
        FOREACH v_function IN ARRAY @extschema@._functions_of(access) LOOP
            EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM %I', v_function, role_name);
        END LOOP;
        DELETE FROM @extschema@.queue_access AS a
        WHERE a.role_name = revoke_access.role_name AND a.access = revoke_access.access;
    ELSE
        DELETE FROM @extschema@.queue_access AS a
        WHERE a.queue_id = @extschema@._queue_id(queue_name, 'admin')
          AND a.role_name = revoke_access.role_name AND a.access = revoke_access.access;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@.revoke_access IS
    'Takes back what grant_access gave: the access to one restricted queue, or, without a queue_name, the functions and the access to all queues. A queue stays restricted.';

CREATE OR REPLACE FUNCTION @extschema@._check_grant(role_name name, access text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM @extschema@._require(access IN ('producer', 'worker', 'observer', 'dispatcher', 'admin'),
        'access to be one of producer, worker, observer, dispatcher, admin', access);
    PERFORM @extschema@._require(role_name IS NOT NULL, 'role_name', NULL);
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
        RAISE EXCEPTION 'role "%" does not exist', role_name USING ERRCODE = '42704';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_grant IS
    'Internal: raises for arguments of grant_access and revoke_access that make no sense.';

-- Nothing is for everybody. This stands last, after every function has been made.
DO $$
DECLARE
    v_function regprocedure;
BEGIN
    FOR v_function IN
        SELECT p.oid
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::regclass
        WHERE p.pronamespace = job.relnamespace
    LOOP
        EXECUTE pg_catalog.format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', v_function);
    END LOOP;
END
$$;

-- extension/footer.extension.sql
-- Last in the script of the extension: pg_dump carries the rows of its tables. The condition lets
-- a dump of the schema alone leave the jobs out: PGOPTIONS='-c pgq.dump_jobs=off' pg_dump -s.
DO $$
DECLARE
    c_settings constant text[] := ARRAY[
        'queue', 'lane', 'queue_access', 'endpoint', 'endpoint_secret', 'endpoint_state', 'endpoint_allowed_host'];
    c_jobs constant text :=
        $cond$WHERE pg_catalog.current_setting('pgq.dump_jobs', true) IS DISTINCT FROM 'off'$cond$;
    v_relation record;
BEGIN
    FOR v_relation IN
        SELECT c.oid, c.relname, c.relkind
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::regclass
        WHERE c.relnamespace = job.relnamespace AND c.relkind IN ('r', 'S')
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump(
            v_relation.oid,
            CASE
                WHEN v_relation.relkind = 'S' OR v_relation.relname = ANY (c_settings) THEN ''
                WHEN v_relation.relname IN ('idle_worker', 'request', 'native_request', 'native_epoch') THEN 'WHERE false'
                ELSE c_jobs
            END);
    END LOOP;
END
$$;
