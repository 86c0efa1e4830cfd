-- Last in every script that upgrades: new functions are granted to the roles that header.upgrade.sql has noted.
-- A GRANT within the script of an extension would count as the extension's own, and pg_dump would leave it out. So the
-- function is born with its grants, by default privileges that hold for that moment only.
DO $$
DECLARE
    v_had_public_default boolean := NOT EXISTS (
        SELECT FROM pg_catalog.pg_default_acl AS d
        JOIN pg_catalog.pg_roles AS r ON r.oid = d.defaclrole
        WHERE r.rolname = current_user AND d.defaclnamespace = 0 AND d.defaclobjtype = 'f'
          AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(d.defaclacl) AS acl WHERE acl.grantee = 0));
    v_function record;
    v_grant text;
BEGIN
    IF v_had_public_default THEN
        ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON ROUTINES FROM PUBLIC;
    END IF;
    FOR v_function IN
        SELECT p.oid::regprocedure::text AS signature, pg_catalog.pg_get_functiondef(p.oid) AS definition,
               pg_catalog.obj_description(p.oid, 'pg_proc') AS comment, pg_catalog.array_agg(w.rolname) AS roles,
               pg_catalog.array_agg(w.is_grantable) AS are_grantable
        FROM (
            SELECT p.oid, g.rolname, g.is_grantable
            FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgq.upgrade_grants')::jsonb)
                AS g (proname name, rolname name, is_grantable boolean)
            JOIN pg_catalog.pg_proc AS p ON p.proname = g.proname
            JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::regclass
            WHERE p.pronamespace = job.relnamespace
            UNION
            SELECT f.oid, a.rolname, false
            FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgq.upgrade_accesses')::jsonb)
                AS a (access text, rolname name)
            CROSS JOIN LATERAL pg_catalog.unnest(@extschema@._functions_of(a.access)) AS f (oid)
        ) AS w
        JOIN pg_catalog.pg_proc AS p ON p.oid = w.oid
        JOIN pg_catalog.pg_roles AS r ON r.rolname = w.rolname
        WHERE NOT EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) AS acl
                          WHERE acl.grantee = r.oid AND acl.is_grantable >= w.is_grantable)
        GROUP BY p.oid
    LOOP
        EXECUTE 'DROP ROUTINE ' || v_function.signature;
        FOR v_i IN 1..pg_catalog.cardinality(v_function.roles) LOOP
            EXECUTE pg_catalog.format(
                'ALTER DEFAULT PRIVILEGES IN SCHEMA @extschema@ GRANT EXECUTE ON ROUTINES TO %I', v_function.roles[v_i])
                || CASE WHEN v_function.are_grantable[v_i] THEN ' WITH GRANT OPTION' ELSE '' END;
        END LOOP;
        EXECUTE v_function.definition;
        EXECUTE pg_catalog.format('COMMENT ON ROUTINE %s IS %L', v_function.signature, v_function.comment);
        FOREACH v_grant IN ARRAY v_function.roles LOOP
            EXECUTE pg_catalog.format(
                'ALTER DEFAULT PRIVILEGES IN SCHEMA @extschema@ REVOKE EXECUTE ON ROUTINES FROM %I', v_grant);
        END LOOP;
    END LOOP;
    IF v_had_public_default THEN
        ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON ROUTINES TO PUBLIC;
    END IF;
    PERFORM pg_catalog.set_config('role', pg_catalog.current_setting('pgq.upgrade_role'), true);
END
$$;
