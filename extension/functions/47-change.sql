-- How the triggers of add_job_on_change (51-trigger.sql) are made. They are ordinary triggers, whose function calls add_jobs once
-- for a statement. It runs with the rights of the table's owner: what it evaluates was written by who may act for that owner, so
-- nobody gets a right by it. For the same reason nothing of what was given is evaluated here, with the rights of the owner of
-- this queue.

CREATE OR REPLACE FUNCTION @extschema@._change_function(name text)
RETURNS oid
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT p.oid FROM pg_proc AS p
        WHERE p.pronamespace = '@extschema@'::regnamespace AND p.proname = '_on_change_' || name);
END
$$;
COMMENT ON FUNCTION @extschema@._change_function IS
    'Internal: the function of the triggers that add_job_on_change has made, null when there is none. It lives in the schema of this queue, and goes with it.';

CREATE OR REPLACE FUNCTION @extschema@._changed_table(name text)
RETURNS regclass
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT t.tgrelid FROM pg_trigger AS t
            WHERE t.tgfoid = @extschema@._change_function(name) LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._changed_table IS 'Internal: the table that has these triggers, null when it was dropped.';

CREATE OR REPLACE FUNCTION @extschema@._check_table(table_name regclass)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_table record;
BEGIN
    PERFORM @extschema@._require(table_name IS NOT NULL, 'table_name', NULL);
    SELECT c.relkind, c.relnamespace, c.relowner, pg_get_userbyid(c.relowner) AS owner_name INTO v_table
    FROM pg_class AS c WHERE c.oid = table_name;
    PERFORM @extschema@._require(
        v_table.relkind IN ('r', 'p') AND v_table.relnamespace <> '@extschema@'::regnamespace,
        'table_name to be an ordinary or a partitioned table', table_name::text);
    IF NOT pg_has_role(@extschema@._caller(), v_table.relowner, 'USAGE') THEN
        RAISE EXCEPTION 'must be owner of table %', table_name USING ERRCODE = '42501';
    ELSIF v_table.owner_name <> current_user
          AND NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
        RAISE EXCEPTION 'role "%" cannot make a trigger for role "%"', current_user, v_table.owner_name
            USING ERRCODE = '42501', DETAIL = 'The one owns this queue and is no superuser, the other owns the table.',
                  HINT = 'Let one role own both, or write a trigger of your own that calls add_jobs.';
    ELSIF NOT has_function_privilege(v_table.relowner, '@extschema@.add_jobs'::regproc, 'EXECUTE')
       OR NOT has_schema_privilege(v_table.relowner, '@extschema@'::regnamespace, 'USAGE') THEN
        RAISE EXCEPTION 'role "%", which owns the table, may not add jobs', v_table.owner_name
            USING ERRCODE = '42501', HINT = format('grant_access(%L, ''producer'') lets it.', v_table.owner_name);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._check_table IS
    'Internal: raises 22023 or 42501 unless the caller may have a trigger made on this table.';

CREATE OR REPLACE FUNCTION @extschema@._change_filter(settings @extschema@.change_trigger, table_name regclass)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_keys text[] := ARRAY(
        SELECT format('former.%1$I = changed.%1$I', a.attname)
        FROM pg_index AS i
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
        WHERE i.indrelid = table_name AND i.indisprimary);
BEGIN
    IF settings.when_changed IS NULL THEN
        RETURN '';
    ELSIF v_keys = '{}' THEN
        RAISE EXCEPTION 'table % has no primary key', table_name
            USING ERRCODE = '55000', DETAIL = 'when_changed finds the former values of a row by it.';
    END IF;
    RETURN format(' AND NOT EXISTS (SELECT FROM former_rows AS former WHERE %s)', array_to_string(
        v_keys || ARRAY(SELECT format('former.%1$I IS NOT DISTINCT FROM changed.%1$I', w.name)
                        FROM unnest(settings.when_changed) AS w (name)), ' AND '));
END
$$;
COMMENT ON FUNCTION @extschema@._change_filter IS
    'Internal: the condition by which only rows of an update count in which one of the columns has changed.';

CREATE OR REPLACE FUNCTION @extschema@._change_query(settings @extschema@.change_trigger, filter text)
RETURNS text
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A comment at the end of an expression ends with its line.
    RETURN format($sql$
        SELECT %s AS payload, (%s
            )::text AS unique_key, (%s
            )::text AS group_key, (row_number() OVER () - 1) / 10000 AS batch
        FROM changed_rows AS changed
        WHERE (%s
            )%s$sql$,
        COALESCE((SELECT format('jsonb_build_object(%s)', string_agg(format('%L, changed.%I', c.name, c.name), ', '))
                  FROM unnest(settings.payload_columns) AS c (name) HAVING count(*) > 0), 'to_jsonb(changed)'),
        COALESCE(settings.unique_key, 'NULL'), COALESCE(settings.group_key, 'NULL'),
        COALESCE(settings.condition, 'true'), filter);
END
$$;
COMMENT ON FUNCTION @extschema@._change_query IS
    'Internal: the query that makes jobs of the rows of a statement, ten thousand of them a batch.';

CREATE OR REPLACE FUNCTION @extschema@._change_loop(settings @extschema@.change_trigger, filter text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN format($sql$
    FOR v_batch IN
        SELECT array_agg(job.payload) AS payloads, array_agg(job.unique_key) AS unique_keys,
            array_agg(job.group_key) AS group_keys
        FROM (%s) AS job
        GROUP BY job.batch ORDER BY job.batch
    LOOP
        PERFORM @extschema@.add_jobs(queue_name => %L, payloads => v_batch.payloads, start_after => %s,
            priority => %L, max_attempts => %L, unique_keys => %s, on_conflict => %L,
            throttle_milliseconds => %L, group_keys => %s, workflow => %L, workflow_version => %L,
            headers => %L || jsonb_build_object('event', lower(TG_OP)));
    END LOOP;$sql$,
        @extschema@._change_query(settings, filter), settings.queue_name,
        CASE WHEN settings.delay_milliseconds IS NULL THEN 'NULL'
             ELSE format('clock_timestamp() + %L::interval', settings.delay_milliseconds * interval '1 millisecond') END,
        settings.priority, settings.max_attempts,
        CASE WHEN settings.unique_key IS NULL THEN 'NULL' ELSE 'v_batch.unique_keys' END,
        settings.on_conflict, settings.throttle_milliseconds,
        CASE WHEN settings.group_key IS NULL THEN 'NULL' ELSE 'v_batch.group_keys' END,
        settings.workflow, settings.workflow_version,
        COALESCE(settings.headers, '{}') || jsonb_build_object('trigger', settings.trigger_name));
END
$$;
COMMENT ON FUNCTION @extschema@._change_loop IS
    'Internal: the statements by which the function of these triggers adds the jobs of the rows of a statement.';

-- Writes: a function in the schema of this queue, with the rights of the table's owner.
CREATE OR REPLACE FUNCTION @extschema@._make_change_function(
    function_name name,
    returns text,
    body text,
    table_name regclass
)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format($sql$
        CREATE FUNCTION @extschema@.%I() RETURNS %s LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS %L $sql$, function_name, returns, body);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION @extschema@.%I FROM PUBLIC', function_name);
    EXECUTE format('ALTER FUNCTION @extschema@.%I OWNER TO %I', function_name,
        (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = table_name));
END
$$;
COMMENT ON FUNCTION @extschema@._make_change_function IS
    'Internal: makes a function that runs with the rights of the table''s owner.';

-- Writes: triggers of the table, and their function.  Locks: the table, against writes.
CREATE OR REPLACE FUNCTION @extschema@._make_change_trigger(settings @extschema@.change_trigger, table_name regclass)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_name name := '_on_change_' || settings.trigger_name;
    v_filter text := @extschema@._change_filter(settings, table_name);
    v_loop text := @extschema@._change_loop(settings, '');
    v_event text;
BEGIN
    -- Read and planned, not run: with the rights of the table's owner.
    PERFORM @extschema@._make_change_function(v_name, 'void', format(
        'BEGIN PERFORM FROM (WITH changed_rows AS (SELECT * FROM %1$s), former_rows AS (SELECT * FROM %1$s) %2$s) AS job LIMIT 0; END',
        table_name, @extschema@._change_query(settings, v_filter)), table_name);
    EXECUTE format('SELECT @extschema@.%I()', v_name);
    EXECUTE format('DROP FUNCTION @extschema@.%I', v_name);

    IF v_filter <> '' THEN
        v_loop := format('IF TG_OP = ''UPDATE'' THEN %s ELSE %s END IF;', @extschema@._change_loop(settings, v_filter), v_loop);
    END IF;
    PERFORM @extschema@._make_change_function(v_name, 'trigger',
        format(E'#variable_conflict use_column\nDECLARE v_batch record; BEGIN %s RETURN NULL; END', v_loop), table_name);
    FOREACH v_event IN ARRAY settings.events LOOP
        EXECUTE format(
            'CREATE TRIGGER %I AFTER %s ON %s REFERENCING %s FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.%I()',
            format('pgq_%s_%s', settings.trigger_name, v_event), v_event, table_name,
            CASE WHEN v_event = 'delete' THEN 'OLD TABLE AS changed_rows'
                 WHEN v_event = 'update' AND v_filter <> '' THEN 'OLD TABLE AS former_rows NEW TABLE AS changed_rows'
                 ELSE 'NEW TABLE AS changed_rows' END, v_name);
    END LOOP;
    PERFORM @extschema@._go_with_extension(settings.trigger_name);
END
$$;
COMMENT ON FUNCTION @extschema@._make_change_trigger IS
    'Internal: makes the triggers, after what they evaluate has been checked against the table.';

-- Writes: triggers of the table, and their function.  Locks: the table, against all.
CREATE OR REPLACE FUNCTION @extschema@._drop_change_trigger(name text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_trigger record;
BEGIN
    FOR v_trigger IN
        SELECT t.tgname, t.tgrelid::regclass AS table_name FROM pg_trigger AS t
        WHERE t.tgfoid = @extschema@._change_function(name)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_trigger.tgname, v_trigger.table_name);
    END LOOP;
    EXECUTE format('DROP FUNCTION @extschema@.%I', '_on_change_' || name);
END
$$;
COMMENT ON FUNCTION @extschema@._drop_change_trigger IS 'Internal: drops the triggers, as far as they are there, and their function.';

CREATE OR REPLACE FUNCTION @extschema@._go_with_extension(name text)
RETURNS void
LANGUAGE plpgsql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_extension name := (
        SELECT e.extname FROM pg_depend AS d
        JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
        WHERE d.classid = 'pg_class'::regclass AND d.objid = '@extschema@.job'::regclass AND d.deptype = 'e');
    v_trigger record;
BEGIN
    -- As plain SQL they go with the schema.
    IF v_extension IS NOT NULL THEN
        FOR v_trigger IN
            SELECT t.tgname, t.tgrelid::regclass AS table_name FROM pg_trigger AS t
            WHERE t.tgfoid = @extschema@._change_function(name)
        LOOP
            EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION %I',
                v_trigger.tgname, v_trigger.table_name, v_extension);
        END LOOP;
        EXECUTE format('ALTER FUNCTION @extschema@.%I DEPENDS ON EXTENSION %I', '_on_change_' || name, v_extension);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._go_with_extension IS
    'Internal: has triggers and their function dropped with the extension, of which they are no part, so that a dump has them.';
