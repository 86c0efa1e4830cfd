-- The extension becomes plain SQL in schema pgq: nothing belongs to it any more, so that DROP EXTENSION takes nothing along.
DO $$
DECLARE
    v_object record;
BEGIN
    FOR v_object IN
        SELECT i.type, i.identity
        FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_depend AS d ON d.refclassid = e.tableoid AND d.refobjid = e.oid AND d.deptype = 'e'
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) AS i
        -- The row types of tables and the arrays of types go with them, in versions in which they are members at all.
        WHERE e.extname = 'pgq' AND NOT (d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND EXISTS (
            SELECT FROM pg_catalog.pg_depend AS i
            WHERE i.classid = d.classid AND i.objid = d.objid AND i.deptype = 'i'))
    LOOP
        EXECUTE pg_catalog.format('ALTER EXTENSION pgq DROP %s %s', v_object.type, v_object.identity);
    END LOOP;
    -- Triggers, and what else would be dropped with the extension.
    FOR v_object IN
        SELECT i.type, i.identity
        FROM pg_catalog.pg_extension AS e
        JOIN pg_catalog.pg_depend AS d ON d.refclassid = e.tableoid AND d.refobjid = e.oid AND d.deptype = 'x'
        CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) AS i
        WHERE e.extname = 'pgq'
    LOOP
        EXECUTE pg_catalog.format('ALTER %s %s NO DEPENDS ON EXTENSION pgq', v_object.type, v_object.identity);
    END LOOP;
END
$$;
