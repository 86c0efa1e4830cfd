-- The plain SQL in schema pgq becomes the extension: what is there stays, and is made a part of it. All functions follow,
-- because they may have been written for another name of the schema.
DO $$
DECLARE
    v_version text := (SELECT e.extversion FROM pg_catalog.pg_extension AS e WHERE e.extname = 'pgq');
    v_grant record;
    v_object record;
BEGIN
    IF @extschema@.installed_version() <> v_version THEN
        RAISE EXCEPTION 'expected plain SQL of version % in schema @extschema@, found %', v_version, @extschema@.installed_version()
            USING ERRCODE = '55000', HINT = 'Update the plain SQL first.';
    ELSIF EXISTS (
        SELECT FROM @extschema@.change_trigger AS c
        JOIN pg_catalog.pg_proc AS p ON p.proname = '_on_change_' || c.trigger_name
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::pg_catalog.regclass AND p.pronamespace = job.relnamespace
        WHERE pg_catalog.strpos(p.prosrc, '@extschema@.add_jobs(') = 0
    ) THEN
        RAISE EXCEPTION 'triggers of add_job_on_change call this queue by the name that its schema had before'
            USING ERRCODE = '55000', HINT = 'Before you rename the schema call remove_job_on_change; set them up anew afterwards.';
    END IF;
    -- What is granted now would count as the extension's own, and pg_dump would leave it out.
    FOR v_grant IN
        SELECT DISTINCT p.oid::pg_catalog.regprocedure AS routine, r.rolname AS role_name
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::pg_catalog.regclass
        CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS acl
        JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
        WHERE p.pronamespace = job.relnamespace AND acl.grantee <> p.proowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM %I CASCADE', v_grant.routine, v_grant.role_name);
    END LOOP;
    FOR v_object IN
        SELECT i.type, i.identity
        FROM pg_catalog.pg_class AS job
        CROSS JOIN LATERAL (
            SELECT c.tableoid, c.oid
            FROM pg_catalog.pg_class AS c
            WHERE c.relnamespace = job.relnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
            UNION ALL
            SELECT p.tableoid, p.oid
            FROM pg_catalog.pg_proc AS p
            WHERE p.pronamespace = job.relnamespace
              -- The functions of triggers are no part of it, so that pg_dump has them.
              AND NOT EXISTS (SELECT FROM @extschema@.change_trigger AS c WHERE p.proname = '_on_change_' || c.trigger_name)
            UNION ALL
            SELECT t.tableoid, t.oid
            FROM pg_catalog.pg_type AS t
            JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
            WHERE t.typnamespace = job.relnamespace AND c.relkind = 'c') AS o
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.tableoid, o.oid, 0) AS i
        WHERE job.oid = '@extschema@.job'::pg_catalog.regclass
    LOOP
        EXECUTE pg_catalog.format('ALTER EXTENSION pgq ADD %s %s', v_object.type, v_object.identity);
    END LOOP;
END
$$;
