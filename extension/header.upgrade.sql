-- First in every script that upgrades: all tables are locked before anything is changed, so no transaction meets
-- half an upgrade. Locks that are not got are all given back and tried again. To wait for job lets picks pile up that
-- hold queue and will not give it up. So job is taken at a moment when nobody has it: then only who stands between two
-- tables is in the way. If such a moment does not come, some tries wait, never long enough for a deadlock to be found.
DO $$
DECLARE
    v_patience interval := COALESCE(NULLIF(pg_catalog.current_setting('pgq.upgrade_patience', true), ''), '10s');
    v_give_up_at timestamptz := pg_catalog.clock_timestamp() + v_patience;
    v_schema oid := (SELECT c.relnamespace FROM pg_catalog.pg_class AS c WHERE c.oid = '@extschema@.job'::regclass);
    v_try integer := 0;
    v_began_at timestamptz;
    v_tables text;
    v_holders text;
BEGIN
    SELECT pg_catalog.string_agg(c.oid::regclass::text, ', ' ORDER BY c.relname) INTO v_tables
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = v_schema AND c.relkind IN ('r', 'p') AND NOT c.relispartition;
    LOOP
        v_try := v_try + 1;
        v_began_at := pg_catalog.clock_timestamp();
        BEGIN
            IF v_try % 100 = 0 THEN
                PERFORM pg_catalog.set_config('lock_timeout', '200ms', true);
                LOCK TABLE @extschema@.job IN ACCESS EXCLUSIVE MODE;
            ELSE
                LOCK TABLE @extschema@.job IN ACCESS EXCLUSIVE MODE NOWAIT;
            END IF;
            PERFORM pg_catalog.set_config('lock_timeout', '20ms', true);
            EXECUTE 'LOCK TABLE ' || v_tables || ' IN ACCESS EXCLUSIVE MODE';
            EXIT;
        EXCEPTION WHEN lock_not_available THEN
            IF pg_catalog.clock_timestamp() >= v_give_up_at THEN
                SELECT pg_catalog.string_agg(pg_catalog.format('process %s (%s, in a transaction for %s)', h.pid,
                    COALESCE(NULLIF(h.application_name, ''), h.usename, 'unknown'),
                    pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - h.xact_start)), ', ')
                INTO v_holders
                FROM (
                    SELECT DISTINCT a.pid, a.application_name, a.usename, a.xact_start
                    FROM pg_catalog.pg_locks AS l
                    JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
                    JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
                    WHERE c.relnamespace = v_schema AND l.granted AND l.pid <> pg_catalog.pg_backend_pid()
                      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d
                                        WHERE d.datname = pg_catalog.current_database())
                    ORDER BY a.xact_start
                    LIMIT 3) AS h;
                RAISE EXCEPTION 'could not lock the tables of @extschema@ for the upgrade within %', v_patience
                    USING ERRCODE = '55P03',
                          DETAIL = 'In use by ' || COALESCE(v_holders, 'a transaction that has just ended') || '.',
                          HINT = 'Nothing was changed. Workers may go on; let long transactions that use the queue end (a dump, an open session), '
                              || 'or end them with pg_terminate_backend, and try again. SET pgq.upgrade_patience = ''5min'' tries for longer.';
            END IF;
            -- Workers get several times as long as the try may have held them up.
            PERFORM pg_catalog.pg_sleep(pg_catalog.random() * (0.002
                + 5 * EXTRACT(epoch FROM pg_catalog.clock_timestamp() - v_began_at)::double precision));
        END;
    END LOOP;
    PERFORM pg_catalog.set_config('lock_timeout', '10s', true);
END
$$;

-- What is made from here on belongs to the owner of the rest, whoever upgrades. The footer gives roles what they had
-- before, and what the accesses that they had whole have come to comprise.
DO $$
DECLARE
    v_owner name;
    v_accesses jsonb;
    v_grants jsonb;
BEGIN
    SELECT r.rolname INTO v_owner
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
    WHERE c.oid = '@extschema@.job'::regclass;
    PERFORM pg_catalog.set_config('pgq.upgrade_role', pg_catalog.current_setting('role'), true);
    IF current_user <> v_owner THEN
        PERFORM pg_catalog.set_config('role', v_owner, true);
    END IF;

    WITH grants AS (
        SELECT p.oid, p.proname, r.rolname, acl.is_grantable
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_class AS job ON job.oid = '@extschema@.job'::regclass
        CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS acl
        JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
        WHERE p.pronamespace = job.relnamespace AND acl.grantee <> p.proowner
    ), accesses AS (
        SELECT a.access, g.rolname
        FROM pg_catalog.unnest(ARRAY['producer', 'worker', 'observer', 'dispatcher', 'admin']) AS a (access)
        CROSS JOIN LATERAL @extschema@._functions_of(a.access) AS f (functions)
        JOIN grants AS g ON g.oid = ANY (f.functions)
        GROUP BY a.access, g.rolname, f.functions
        HAVING pg_catalog.count(DISTINCT g.oid) = pg_catalog.cardinality(f.functions)
    )
    SELECT (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(a)) FROM accesses AS a),
           (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(g)) FROM grants AS g)
    INTO v_accesses, v_grants;
    PERFORM pg_catalog.set_config('pgq.upgrade_accesses', COALESCE(v_accesses, '[]')::text, true);
    PERFORM pg_catalog.set_config('pgq.upgrade_grants', COALESCE(v_grants, '[]')::text, true);
END
$$;
