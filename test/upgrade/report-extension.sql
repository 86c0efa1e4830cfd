-- What only an extension has: its members, what pg_dump carries, and the grants that pg_dump takes for its own.
SET search_path = '';
SELECT pg_catalog.concat_ws(' | ', 'member', pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid))
FROM pg_catalog.pg_extension AS e
JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
WHERE e.extname = 'pgq'
UNION ALL
SELECT pg_catalog.concat_ws(' | ', 'dumped', c.relation::regclass::text, c.condition)
FROM pg_catalog.pg_extension AS e
CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS c (relation, condition)
WHERE e.extname = 'pgq'
UNION ALL
SELECT pg_catalog.concat_ws(' | ', 'own grant', pg_catalog.pg_describe_object(i.classoid, i.objoid, i.objsubid), i.initprivs::text)
FROM pg_catalog.pg_init_privs AS i
WHERE i.privtype = 'e'
UNION ALL
SELECT pg_catalog.concat_ws(' | ', 'extension', e.extname, e.extversion, e.extrelocatable::text, e.extnamespace::regnamespace::text)
FROM pg_catalog.pg_extension AS e
WHERE e.extname = 'pgq'
ORDER BY 1;
