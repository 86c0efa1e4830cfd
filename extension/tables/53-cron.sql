CREATE TYPE @extschema@.cron AS (
    seconds integer[],
    minutes integer[],
    hours integer[],
    days integer[],
    months integer[],
    weekdays integer[],
    has_last_day boolean,
    is_either_day boolean
);
COMMENT ON TYPE @extschema@.cron IS
    'Internal: a cron expression that was read: the values of each field in their order, Sunday is 0. is_either_day: a day of the month or a weekday is enough.';
