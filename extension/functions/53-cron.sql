-- Cron expressions: how they are read, and the next time that one means in a time zone.

-- A range may end on Sunday, which the names of the weekdays have twice.
CREATE OR REPLACE FUNCTION @extschema@._cron_field(
    items text[],
    title text,
    low integer,
    high integer,
    names text[] DEFAULT NULL
)
RETURNS integer[]
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_item text;
    v_part text[];
    v_from integer;
    v_to integer;
    v_step integer;
    v_values integer[] := ARRAY[]::integer[];
BEGIN
    FOREACH v_item IN ARRAY items LOOP
        v_part := regexp_match(v_item, '^(?:([*?])|(\d{1,2}|[[:alpha:]]{3})(?:-(\d{1,2}|[[:alpha:]]{3}))?)(?:/(\d{1,2}))?$');
        v_from := CASE WHEN v_part[1] IS NOT NULL THEN low
                       ELSE @extschema@._cron_number(v_part[2], low, names, 1) END;
        v_to := CASE WHEN v_part[1] IS NOT NULL THEN high
                     WHEN v_part[3] IS NULL THEN v_from
                     ELSE @extschema@._cron_number(v_part[3], low, names, COALESCE(v_from - low + 1, 1)) END;
        v_step := COALESCE(v_part[4]::integer, 1);
        PERFORM @extschema@._require(
            v_from BETWEEN low AND high AND v_to BETWEEN v_from AND high AND v_step BETWEEN 1 AND high - low + 1
                AND (v_part[4] IS NULL OR v_part[1] IS NOT NULL OR v_part[3] IS NOT NULL),
            format('the %s of cron to be * or numbers from %s to %s, with ranges (a-b), steps (*/n, a-b/n) and commas',
                   title, low, high), v_item);
        v_values := v_values || ARRAY(SELECT generate_series(v_from, v_to, v_step));
    END LOOP;
    RETURN ARRAY(SELECT DISTINCT u.value FROM unnest(v_values) AS u (value) ORDER BY u.value);
END
$$;
COMMENT ON FUNCTION @extschema@._cron_field IS
    'Internal: the values of one field of a cron expression, in their order; raises 22023 with the part that is wrong.';

CREATE OR REPLACE FUNCTION @extschema@._cron_number(word text, low integer, names text[], first_place integer)
RETURNS integer
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF word ~ '^\d+$' THEN
        RETURN word::integer;
    END IF;
    RETURN low - 1 + array_position(names, lower(word), first_place);
END
$$;
COMMENT ON FUNCTION @extschema@._cron_number IS
    'Internal: the number that a word of a cron expression means, such as 5 or FRI; null when it means none. first_place: where in the names it begins to look.';

CREATE OR REPLACE FUNCTION @extschema@._read_cron(cron text)
RETURNS @extschema@.cron
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_text text := regexp_replace(cron, '^\s+|\s+$', '', 'g');
    v_fields text[] := regexp_split_to_array(CASE lower(v_text)
        WHEN '@yearly' THEN '0 0 1 1 *'
        WHEN '@annually' THEN '0 0 1 1 *'
        WHEN '@monthly' THEN '0 0 1 * *'
        WHEN '@weekly' THEN '0 0 * * 0'
        WHEN '@daily' THEN '0 0 * * *'
        WHEN '@midnight' THEN '0 0 * * *'
        WHEN '@hourly' THEN '0 * * * *'
        ELSE v_text END, '\s+');
    v_days text[];
    v_cron @extschema@.cron;
BEGIN
    PERFORM @extschema@._require(cardinality(v_fields) IN (5, 6) AND length(cron) <= 1000,
        'cron to have five fields (minute, hour, day, month, weekday), or six with the second first, or to be a word such as @daily',
        cron);
    IF cardinality(v_fields) = 5 THEN
        v_fields := '0'::text || v_fields;
    END IF;
    v_cron.seconds := @extschema@._cron_field(string_to_array(v_fields[1], ','), 'second', 0, 59);
    v_cron.minutes := @extschema@._cron_field(string_to_array(v_fields[2], ','), 'minute', 0, 59);
    v_cron.hours := @extschema@._cron_field(string_to_array(v_fields[3], ','), 'hour', 0, 23);
    v_days := array_remove(string_to_array(upper(v_fields[4]), ','), 'L');
    v_cron.has_last_day := v_days <> string_to_array(upper(v_fields[4]), ',');
    v_cron.days := @extschema@._cron_field(v_days, 'day', 1, 31);
    v_cron.months := @extschema@._cron_field(string_to_array(v_fields[5], ','), 'month', 1, 12,
        '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
    v_cron.weekdays := ARRAY(
        SELECT DISTINCT w.day % 7
        FROM unnest(@extschema@._cron_field(string_to_array(v_fields[6], ','), 'weekday', 0, 7,
            '{sun,mon,tue,wed,thu,fri,sat,sun}')) AS w (day)
        ORDER BY 1);
    v_cron.is_either_day := v_fields[4] NOT IN ('*', '?') AND v_fields[6] NOT IN ('*', '?');
    RETURN v_cron;
END
$$;
COMMENT ON FUNCTION @extschema@._read_cron IS
    'Internal: reads a cron expression of five or six fields, or a word such as @daily; raises 22023 with what is wrong.';

CREATE OR REPLACE FUNCTION @extschema@._next_cron_time(cron @extschema@.cron, from_time time)
RETURNS time
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_hour integer := EXTRACT(hour FROM from_time);
    v_minute integer := EXTRACT(minute FROM from_time);
    v_second integer := EXTRACT(second FROM from_time);
    v_value integer;
BEGIN
    -- In the same minute, then in the same hour, then on the same day.
    IF v_hour = ANY (cron.hours) THEN
        IF v_minute = ANY (cron.minutes) THEN
            v_value := (SELECT min(s.second) FROM unnest(cron.seconds) AS s (second) WHERE s.second >= v_second);
            IF v_value IS NOT NULL THEN
                RETURN make_time(v_hour, v_minute, v_value);
            END IF;
        END IF;
        v_value := (SELECT min(m.minute) FROM unnest(cron.minutes) AS m (minute) WHERE m.minute > v_minute);
        IF v_value IS NOT NULL THEN
            RETURN make_time(v_hour, v_value, cron.seconds[1]);
        END IF;
    END IF;
    v_value := (SELECT min(h.hour) FROM unnest(cron.hours) AS h (hour) WHERE h.hour > v_hour);
    RETURN make_time(v_value, cron.minutes[1], cron.seconds[1]);
END
$$;
COMMENT ON FUNCTION @extschema@._next_cron_time IS
    'Internal: the first time of the day that is meant, from from_time (a whole second) on; null when the day has no more.';

CREATE OR REPLACE FUNCTION @extschema@._next_cron_local(cron @extschema@.cron, from_local timestamp)
RETURNS timestamp
LANGUAGE plpgsql
IMMUTABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_day date := from_local::date;
    v_time time := from_local::time;
    v_is_day boolean;
    v_is_weekday boolean;
    v_next time;
BEGIN
    -- February 29 may be eight years away.
    WHILE v_day < from_local + interval '9 years' LOOP
        IF EXTRACT(month FROM v_day)::integer <> ALL (cron.months) THEN
            v_day := date_trunc('month', v_day::timestamp) + interval '1 month';
            v_time := '00:00';
            CONTINUE;
        END IF;
        v_is_day := EXTRACT(day FROM v_day)::integer = ANY (cron.days)
            OR (cron.has_last_day AND EXTRACT(day FROM v_day + 1) = 1);
        v_is_weekday := EXTRACT(dow FROM v_day)::integer = ANY (cron.weekdays);
        IF (v_is_day AND v_is_weekday) OR (cron.is_either_day AND (v_is_day OR v_is_weekday)) THEN
            v_next := @extschema@._next_cron_time(cron, v_time);
            IF v_next IS NOT NULL THEN
                RETURN v_day + v_next;
            END IF;
        END IF;
        v_day := v_day + 1;
        v_time := '00:00';
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._next_cron_local IS
    'Internal: the first time of a clock that never changes which is meant, from from_local (a whole second) on; null when there is none.';

CREATE OR REPLACE FUNCTION @extschema@._utc_offset(at timestamptz, time_zone text)
RETURNS interval
LANGUAGE sql
STABLE
PARALLEL SAFE
RETURN (at AT TIME ZONE time_zone) - (at AT TIME ZONE 'UTC');
COMMENT ON FUNCTION @extschema@._utc_offset IS
    'Internal: how far clocks in this time zone are ahead. Without a search_path of its own, so that it is inlined.';

CREATE OR REPLACE FUNCTION @extschema@._clock_change(after timestamptz, until timestamptz, time_zone text)
RETURNS timestamptz
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
-- Clocks change at whole quarters of an hour.
RETURN (
    SELECT min(q.at)
    FROM generate_series(date_bin('15 minutes', after, 'epoch') + interval '15 minutes', until,
                         interval '15 minutes') AS q (at)
    WHERE @extschema@._utc_offset(q.at, time_zone) <> @extschema@._utc_offset(after, time_zone));
COMMENT ON FUNCTION @extschema@._clock_change IS
    'Internal: when clocks change for the first time after one time, until another; null when they do not.';

-- Between two changes of the clock local time runs like any other, so the search goes from one to the next. With every hour
-- meant, what counts is real time: nothing runs for the hour that is left out, and all runs twice in the one that comes twice.
-- Otherwise what would fall into the gap runs at its end, and of two equal times only the first counts.
CREATE OR REPLACE FUNCTION @extschema@._next_cron(cron @extschema@.cron, time_zone text, after timestamptz)
RETURNS timestamptz
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_is_hourly boolean := cardinality(cron.hours) = 24;
    v_at timestamptz := date_trunc('second', after) + interval '1 second';
    v_offset interval;
    v_local timestamp;
    v_due timestamptz;
    v_until timestamptz;
BEGIN
    LOOP
        v_offset := @extschema@._utc_offset(v_at, time_zone);
        v_local := @extschema@._next_cron_local(cron, v_at AT TIME ZONE time_zone);
        v_due := (v_local - v_offset) AT TIME ZONE 'UTC';
        v_until := LEAST(v_due, v_at + interval '1 day');
        EXIT WHEN v_due IS NULL;
        IF @extschema@._utc_offset(v_until, time_zone) <> v_offset THEN
            v_due := @extschema@._clock_change(v_at, v_until, time_zone);
            EXIT WHEN NOT v_is_hourly AND v_local < v_due AT TIME ZONE time_zone;
            v_at := v_due;
        ELSIF v_due > v_until THEN
            v_at := GREATEST(v_until, v_due - interval '1 day');
        ELSIF NOT v_is_hourly AND @extschema@._is_repeated(v_due, time_zone) THEN
            v_at := date_bin('15 minutes', v_due, 'epoch') + interval '15 minutes';
        ELSE
            EXIT;
        END IF;
    END LOOP;
    RETURN v_due;
END
$$;
COMMENT ON FUNCTION @extschema@._next_cron IS
    'Internal: the first time after another that a cron expression means in a time zone, to the second; null when there is none.';

CREATE OR REPLACE FUNCTION @extschema@._is_repeated(at timestamptz, time_zone text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_set_back interval := @extschema@._utc_offset(at - interval '1 day', time_zone)
        - @extschema@._utc_offset(at, time_zone);
BEGIN
    RETURN v_set_back > interval '0'
       AND (at - v_set_back) AT TIME ZONE time_zone = at AT TIME ZONE time_zone;
END
$$;
COMMENT ON FUNCTION @extschema@._is_repeated IS
    'Internal: whether clocks showed the same time before, because they were set back since.';
