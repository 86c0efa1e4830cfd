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
