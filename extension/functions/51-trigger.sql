-- Jobs on change: a job for each row of a table of the user's that is inserted, updated or deleted.

CREATE OR REPLACE FUNCTION @extschema@._check_change_trigger(settings @extschema@.change_trigger)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- It becomes part of the names of a function and of triggers.
    PERFORM @extschema@._check_name(settings.trigger_name, 40);
    PERFORM @extschema@._require(settings.queue_name <> '' AND octet_length(settings.queue_name) <= 200,
        'queue_name to be 1 to 200 bytes long', settings.queue_name);
    PERFORM @extschema@._require(
        settings.events <@ '{insert,update,delete}' AND settings.events <> '{}' AND array_ndims(settings.events) = 1,
        'events to be some of insert, update, delete', settings.events::text);
    PERFORM @extschema@._require(
        settings.when_changed IS NULL OR ('update' = ANY (settings.events) AND array_ndims(settings.when_changed) = 1
            AND array_position(settings.when_changed, NULL) IS NULL),
        'when_changed to be names of columns, for the event update', settings.when_changed::text);
    PERFORM @extschema@._require(
        settings.payload_columns IS NULL OR (array_ndims(settings.payload_columns) = 1
            AND array_position(settings.payload_columns, NULL) IS NULL),
        'payload_columns to be names of columns', settings.payload_columns::text);
    PERFORM @extschema@._check_add(NULL, settings.priority, settings.max_attempts, settings.unique_key IS NOT NULL,
        settings.on_conflict, settings.throttle_milliseconds, NULL, NULL);
    PERFORM @extschema@._require(COALESCE(settings.delay_milliseconds BETWEEN 0 AND 31536000000, true),
        'delay_milliseconds to be between 0 and 31536000000', settings.delay_milliseconds::text);
    PERFORM @extschema@._require(jsonb_typeof(settings.headers) = 'object' OR settings.headers IS NULL,
        'headers to be a json object', settings.headers::text);
END
$$;
COMMENT ON FUNCTION @extschema@._check_change_trigger IS
    'Internal: raises 22023 or 22004 for an argument of add_job_on_change that is out of its range.';

-- Writes: change_trigger; triggers of the table, and their function.
-- Locks: change_trigger and the table, against writes, if anything is to be done.
CREATE OR REPLACE FUNCTION @extschema@.add_job_on_change(
    name text,
    table_name regclass,
    queue_name text,
    events text[] DEFAULT '{insert,update}',
    condition text DEFAULT NULL,
    when_changed text[] DEFAULT NULL,
    payload_columns text[] DEFAULT NULL,
    unique_key text DEFAULT NULL,
    on_conflict text DEFAULT 'skip',
    throttle_milliseconds bigint DEFAULT NULL,
    group_key text DEFAULT NULL,
    delay_milliseconds bigint DEFAULT NULL,
    priority integer DEFAULT 0,
    max_attempts integer DEFAULT NULL,
    headers jsonb DEFAULT NULL,
    workflow text DEFAULT NULL,
    workflow_version integer DEFAULT NULL
)
RETURNS @extschema@.job_on_change
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_new @extschema@.change_trigger;
BEGIN
    SELECT name, queue_name, workflow, workflow_version, events, condition, when_changed, payload_columns,
        unique_key, on_conflict, throttle_milliseconds, group_key, delay_milliseconds, priority, max_attempts, headers
    INTO v_new.trigger_name, v_new.queue_name, v_new.workflow, v_new.workflow_version, v_new.events, v_new.condition,
        v_new.when_changed, v_new.payload_columns, v_new.unique_key, v_new.on_conflict, v_new.throttle_milliseconds,
        v_new.group_key, v_new.delay_milliseconds, v_new.priority, v_new.max_attempts, v_new.headers;
    PERFORM @extschema@._check_change_trigger(v_new);
    PERFORM @extschema@._check_access_to(queue_name, 'admin');
    PERFORM @extschema@._check_table(table_name);
    v_new.events := ARRAY(SELECT DISTINCT e.event FROM unnest(events) AS e (event) ORDER BY e.event);

    -- Programs say at each start what they said before: that must not lock the table.
    IF NOT @extschema@._is_set_up(v_new, table_name) THEN
        LOCK TABLE @extschema@.change_trigger IN SHARE ROW EXCLUSIVE MODE;
        IF NOT @extschema@._is_set_up(v_new, table_name) THEN
            PERFORM @extschema@.remove_job_on_change(name);
            PERFORM @extschema@._check_workflow(
                (SELECT q.queue_id FROM @extschema@.queue AS q WHERE q.queue_name = add_job_on_change.queue_name),
                workflow, workflow_version);
            PERFORM @extschema@._make_change_trigger(v_new, table_name);
            v_new.created_at := @extschema@._now();
            INSERT INTO @extschema@.change_trigger SELECT (v_new).*;
        END IF;
    END IF;
    RETURN @extschema@._job_on_change(name);
END
$$;
COMMENT ON FUNCTION @extschema@.add_job_on_change IS
$$Sets up triggers on a table that add a job to a queue for each row that is inserted or updated, in the same transaction; sets them up anew if there are some of this name. Returns what is set. One statement makes one call of add_jobs. Nothing is locked when it is all so already. The caller must own the table, and the table's owner have producer access. The expressions are evaluated with the rights of the table's owner and with search_path pg_catalog: write functions of your own with their schema.
name: 1 to 40 bytes. events: some of insert, update, delete; default insert and update.
condition: a SQL expression over the columns of the row, such as status = 'new'; rows for which it is not true add nothing.
when_changed: columns; an updated row counts only if one of them has changed. The table needs a primary key.
payload_columns: the columns of which the payload is made; default the whole row as to_jsonb gives it.
unique_key, group_key: SQL expressions over the row, such as a column; cast to text. on_conflict, throttle_milliseconds, priority, max_attempts, headers: as for add_job. The headers trigger and event are added. delay_milliseconds: how long the job waits. workflow: the jobs are runs of it, in workflow_version, or else in the highest that is defined then.
Errors: 22023 and 22004 for bad values, JQ007 for a workflow that is not defined, 42501 when the caller does not own the table, 55000 without a primary key, and those that Postgres has for an expression, such as 42703 for a column that does not exist.$$;

CREATE OR REPLACE FUNCTION @extschema@._change_problem(settings @extschema@.change_trigger)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_table regclass := @extschema@._changed_table(settings.trigger_name);
    v_function oid := @extschema@._change_function(settings.trigger_name);
    v_column text;
    v_working integer;
BEGIN
    IF v_table IS NULL THEN
        RETURN 'the table was dropped';
    END IF;
    SELECT count(*) INTO v_working FROM pg_trigger AS t
    WHERE t.tgfoid = v_function AND t.tgenabled <> 'D';
    IF v_working <> cardinality(settings.events) THEN
        RETURN 'a trigger was dropped or disabled';
    ELSIF (SELECT p.proowner FROM pg_proc AS p WHERE p.oid = v_function)
          <> (SELECT c.relowner FROM pg_class AS c WHERE c.oid = v_table) THEN
        RETURN 'the table has another owner now';
    END IF;
    SELECT n.name INTO v_column
    FROM unnest(settings.payload_columns || settings.when_changed) AS n (name)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = v_table AND a.attname = n.name AND NOT a.attisdropped);
    RETURN CASE WHEN v_column IS NOT NULL THEN format('column "%s" does not exist', v_column) END;
END
$$;
COMMENT ON FUNCTION @extschema@._change_problem IS
    'Internal: why these triggers do not work as they should, null when they do.';

CREATE OR REPLACE FUNCTION @extschema@._is_set_up(settings @extschema@.change_trigger, table_name regclass)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_old @extschema@.change_trigger := (
        SELECT t FROM @extschema@.change_trigger AS t WHERE t.trigger_name = settings.trigger_name);
BEGIN
    v_old.created_at := settings.created_at;
    RETURN v_old IS NOT DISTINCT FROM settings
       AND @extschema@._changed_table(settings.trigger_name) = table_name
       AND @extschema@._change_problem(settings) IS NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._is_set_up IS
    'Internal: whether triggers of this name are there, on this table, just as they should be.';

CREATE OR REPLACE FUNCTION @extschema@._job_on_change(name text)
RETURNS @extschema@.job_on_change
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.trigger_name, @extschema@._changed_table(t.trigger_name)::text, t.queue_name, t.workflow,
           t.workflow_version, t.events, t.condition, t.when_changed, t.payload_columns, t.unique_key, t.on_conflict,
           t.throttle_milliseconds, t.group_key, t.delay_milliseconds, t.priority, t.max_attempts, t.headers,
           @extschema@._change_problem(t), t.created_at
    FROM @extschema@.change_trigger AS t
    WHERE t.trigger_name = _job_on_change.name;
END;
COMMENT ON FUNCTION @extschema@._job_on_change IS 'Internal: what add_job_on_change has set up, by its name.';

-- Writes: change_trigger; triggers of the table, and their function.  Locks: the table, against all.
CREATE OR REPLACE FUNCTION @extschema@.remove_job_on_change(name text)
RETURNS boolean
LANGUAGE plpgsql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_table regclass := @extschema@._changed_table(name);
BEGIN
    PERFORM @extschema@._require(name IS NOT NULL, 'name', NULL);
    PERFORM @extschema@._check_access_to(t.queue_name, 'admin')
    FROM @extschema@.change_trigger AS t WHERE t.trigger_name = remove_job_on_change.name;
    IF v_table IS NOT NULL THEN
        PERFORM @extschema@._check_table(v_table);
    END IF;
    DELETE FROM @extschema@.change_trigger AS t WHERE t.trigger_name = remove_job_on_change.name;
    IF FOUND AND @extschema@._change_function(name) IS NOT NULL THEN
        PERFORM @extschema@._drop_change_trigger(name);
        RETURN true;
    END IF;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.remove_job_on_change IS
    'Removes what add_job_on_change has set up under this name; jobs that were added stay. Returns whether there was something. Raises 42501 unless the caller owns the table (of which no more need be there).';

CREATE OR REPLACE FUNCTION @extschema@.list_jobs_on_change(queue_name text DEFAULT NULL)
RETURNS SETOF @extschema@.job_on_change
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_name text;
BEGIN
    IF queue_name IS NOT NULL THEN
        PERFORM @extschema@._queue_id(queue_name, 'observer');
    END IF;
    FOR v_name IN
        SELECT t.trigger_name
        FROM @extschema@.change_trigger AS t
        LEFT JOIN @extschema@.queue AS q ON q.queue_name = t.queue_name
        WHERE (list_jobs_on_change.queue_name IS NULL OR t.queue_name = list_jobs_on_change.queue_name)
          AND (q.is_restricted IS NOT TRUE OR @extschema@._has_access(q.queue_id, 'observer'))
        ORDER BY t.trigger_name
    LOOP
        RETURN NEXT @extschema@._job_on_change(v_name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.list_jobs_on_change IS
    'Returns what add_job_on_change has set up, for one queue or for all that the caller may see, by name. problem is null when all is well. Raises JQ001 when the queue does not exist.';
