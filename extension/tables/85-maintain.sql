CREATE TYPE @extschema@.maintenance AS (
    expired_unique_keys integer,
    gone_idle_workers integer,
    emptied_history_slots integer,
    expired_signal_tokens integer
);
COMMENT ON TYPE @extschema@.maintenance IS 'How much of each kind a call of maintain() has put in order.';
