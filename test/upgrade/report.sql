-- What an installation is made of, one fact a line, so that two can be compared: the schema of the setting
-- report.schema, whose name is written as pgq. Columns of tables are known by name, since an upgrade adds them last;
-- the fields of types have places, because rows are made by place.
SET search_path = '';
WITH namespace AS (
    SELECT n.oid, n.nspname, n.nspacl, n.nspowner
    FROM pg_catalog.pg_namespace AS n WHERE n.nspname = pg_catalog.current_setting('report.schema')
), relation AS (
    SELECT c.* FROM pg_catalog.pg_class AS c JOIN namespace AS n ON n.oid = c.relnamespace
), fact (kind, name, detail) AS (
    SELECT 'schema', 'pgq', pg_catalog.obj_description(n.oid, 'pg_namespace')
    FROM namespace AS n
UNION ALL
    SELECT 'function', p.oid::regprocedure::text, pg_catalog.md5(pg_catalog.replace(pg_catalog.replace(
               pg_catalog.pg_get_functiondef(p.oid), pg_catalog.quote_ident(n.nspname), 'pgq'), n.nspname, 'pgq'))
    FROM pg_catalog.pg_proc AS p JOIN namespace AS n ON n.oid = p.pronamespace
UNION ALL
    SELECT 'comment on function', p.oid::regprocedure::text, pg_catalog.obj_description(p.oid, 'pg_proc')
    FROM pg_catalog.pg_proc AS p JOIN namespace AS n ON n.oid = p.pronamespace
UNION ALL
    SELECT 'grant on function', p.oid::regprocedure::text, pg_catalog.format('%s to %s', acl.privilege_type,
               CASE WHEN acl.grantee = p.proowner THEN 'owner' WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END)
    FROM pg_catalog.pg_proc AS p JOIN namespace AS n ON n.oid = p.pronamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS acl
UNION ALL
    SELECT 'relation', r.relname, pg_catalog.concat_ws(' ', r.relkind::text, r.relpersistence::text, r.relreplident::text,
               r.relrowsecurity::text, (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(r.reloptions) AS o),
               pg_catalog.pg_get_expr(r.relpartbound, r.oid), pg_catalog.pg_get_partkeydef(r.oid), r.relacl::text,
               CASE WHEN r.relkind = 'v' THEN pg_catalog.pg_get_viewdef(r.oid) END)
    FROM relation AS r
UNION ALL
    SELECT 'reloptions of toast', r.relname,
           (SELECT pg_catalog.string_agg(o, ',' ORDER BY o) FROM pg_catalog.unnest(t.reloptions) AS o)
    FROM relation AS r JOIN pg_catalog.pg_class AS t ON t.oid = r.reltoastrelid
UNION ALL
    SELECT 'comment', r.relname || ' ' || d.objsubid, d.description
    FROM relation AS r JOIN pg_catalog.pg_description AS d
      ON (d.classoid, d.objoid) IN (('pg_catalog.pg_class'::regclass, r.oid), ('pg_catalog.pg_type'::regclass, r.reltype))
UNION ALL
    SELECT CASE r.relkind WHEN 'c' THEN 'field ' || a.attnum WHEN 'v' THEN 'column ' || a.attnum ELSE 'column' END,
           r.relname || '.' || a.attname,
           pg_catalog.concat_ws(' ', pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull::text, a.attidentity::text,
               a.attgenerated::text, a.attstorage::text, a.attcompression::text, a.attcollation::regcollation::text,
               pg_catalog.pg_get_expr(d.adbin, d.adrelid))
    FROM relation AS r
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = r.oid AND d.adnum = a.attnum
    WHERE r.relkind NOT IN ('i', 'I', 'S')
UNION ALL
    SELECT 'constraint', r.relname || '.' || c.conname, pg_catalog.concat_ws(' ', pg_catalog.pg_get_constraintdef(c.oid), c.convalidated::text)
    FROM relation AS r JOIN pg_catalog.pg_constraint AS c ON c.conrelid = r.oid
UNION ALL
    SELECT 'index', i.indexrelid::regclass::text, pg_catalog.concat_ws(' ', pg_catalog.pg_get_indexdef(i.indexrelid), i.indisvalid::text)
    FROM relation AS r JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
UNION ALL
    SELECT 'sequence', s.seqrelid::regclass::text, pg_catalog.concat_ws(' ', s.seqtypid::regtype::text, s.seqstart::text,
               s.seqincrement::text, s.seqmin::text, s.seqmax::text, s.seqcache::text, s.seqcycle::text, d.refobjid::regclass::text, d.deptype::text)
    FROM relation AS r JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = r.oid
    LEFT JOIN pg_catalog.pg_depend AS d ON d.objid = r.oid AND d.deptype IN ('a', 'i') AND d.classid = 'pg_catalog.pg_class'::regclass
UNION ALL
    SELECT 'type', pg_catalog.format_type(t.oid, NULL), t.typtype::text || COALESCE(t.typacl::text, '')
    FROM pg_catalog.pg_type AS t JOIN namespace AS n ON n.oid = t.typnamespace
UNION ALL
    SELECT 'trigger', r.relname, t.tgname FROM relation AS r JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid
UNION ALL
    SELECT 'default privileges', d.defaclobjtype::text, d.defaclacl::text FROM pg_catalog.pg_default_acl AS d
UNION ALL
    SELECT 'owner', owner::regrole::text, pg_catalog.count(*)::text
    FROM (SELECT r.relowner FROM relation AS r WHERE r.relkind <> 'i' UNION ALL
          SELECT p.proowner FROM pg_catalog.pg_proc AS p JOIN namespace AS n ON n.oid = p.pronamespace UNION ALL
          SELECT t.typowner FROM pg_catalog.pg_type AS t JOIN namespace AS n ON n.oid = t.typnamespace) AS o (owner)
    GROUP BY owner
)
SELECT pg_catalog.replace(pg_catalog.replace(pg_catalog.concat_ws(' | ', f.kind, f.name, f.detail),
           pg_catalog.quote_ident(n.nspname), 'pgq'), n.nspname, 'pgq')
FROM fact AS f CROSS JOIN namespace AS n
ORDER BY 1;
