//! Everything elsewhere that uses a table, as the commands that make it use the partitioned table that takes
//! its name: foreign keys to it, views, rules and policies that read it, functions whose bodies are kept
//! parsed, publications. Written down before the table is renamed, as in `carry.rs`. Under the safe search_path.

use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;

/// Foreign keys of other tables go: they cannot refer to a table while it is exchanged.
pub const DROP_INCOMING: &str = "
SELECT r.relowner, format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname)
  FROM given JOIN pg_constraint AS c ON c.confrelid = tbl AND c.conrelid <> tbl AND c.contype = 'f' AND c.conparentid = 0
  JOIN pg_class AS r ON r.oid = c.conrelid
 ORDER BY c.conrelid, c.conname";

/// They come back unchecked, and are checked afterwards beside readers and writers.
pub const ADD_INCOMING: &str = "
SELECT r.relowner, format('ALTER TABLE %s ADD CONSTRAINT %I %s%s', c.conrelid::regclass, c.conname,
                          pg_get_constraintdef(c.oid), CASE WHEN c.convalidated THEN ' NOT VALID' ELSE '' END)
  FROM given JOIN pg_constraint AS c ON c.confrelid = tbl AND c.conrelid <> tbl AND c.contype = 'f' AND c.conparentid = 0
  JOIN pg_class AS r ON r.oid = c.conrelid
UNION ALL
SELECT r.relowner, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, c.conrelid::regclass, obj_description(c.oid, 'pg_constraint'))
  FROM given JOIN pg_constraint AS c ON c.confrelid = tbl AND c.conrelid <> tbl AND c.contype = 'f' AND c.conparentid = 0
  JOIN pg_class AS r ON r.oid = c.conrelid
 WHERE obj_description(c.oid, 'pg_constraint') IS NOT NULL";

/// Foreign keys of the table to itself go too.
pub const DROP_SELF: &str = "
SELECT owner, format('ALTER TABLE %s DROP CONSTRAINT %I', name, c.conname)
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.confrelid = tbl AND c.contype = 'f'
 ORDER BY c.conname";

/// They come back between the first partition and the partitioned table, unchecked, and are made the
/// partitioned table's once they are checked: it cannot have them unchecked before PostgreSQL 18.
pub const ADD_SELF: &str = "
SELECT owner, format('ALTER TABLE %s ADD CONSTRAINT %I %s NOT VALID', history, c.conname, pg_get_constraintdef(c.oid))
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.confrelid = tbl AND c.contype = 'f'
UNION ALL
SELECT owner, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, history, obj_description(c.oid, 'pg_constraint'))
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.confrelid = tbl AND c.contype = 'f'
 WHERE obj_description(c.oid, 'pg_constraint') IS NOT NULL";

/// Views keep their identity; their queries are read anew and mean the partitioned table.
pub const VIEWS: &str = "
SELECT v.relowner, format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
                          CASE WHEN v.reloptions IS NULL THEN '' ELSE ' WITH (' || array_to_string(v.reloptions, ', ') || ')' END,
                          rtrim(pg_get_viewdef(v.oid), ';'))
  FROM given CROSS JOIN LATERAL (
      SELECT DISTINCT r.ev_class FROM pg_depend AS d
        JOIN pg_rewrite AS r ON r.oid = d.objid AND r.ev_type = '1'
       WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl AND r.ev_class <> tbl) AS r
  JOIN pg_class AS v ON v.oid = r.ev_class AND v.relkind = 'v'
 ORDER BY v.oid";

/// Functions written in SQL whose bodies are kept parsed.
pub const FUNCTIONS: &str = "
SELECT p.proowner, pg_get_functiondef(p.oid)
  FROM given CROSS JOIN LATERAL (
      SELECT DISTINCT d.objid FROM pg_depend AS d
       WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl) AS d
  JOIN pg_proc AS p ON p.oid = d.objid
 WHERE NOT EXISTS (SELECT FROM routine AS r WHERE r.oid = p.oid)
 ORDER BY p.oid";

/// Functions and procedures that take or return rows of the table, which have its row type: made anew. Where
/// nothing else has them, and nothing about them is for a superuser to say.
pub const ROUTINE: &str = "
routine AS (
    SELECT p.* FROM given CROSS JOIN LATERAL (
          SELECT DISTINCT d.objid FROM pg_type AS t JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray)
           WHERE t.typrelid = tbl AND d.classid = 'pg_proc'::regclass) AS d
      JOIN pg_proc AS p ON p.oid = d.objid AND p.prokind IN ('f', 'p')
      JOIN pg_language AS l ON l.oid = p.prolang
     WHERE pg_has_role(p.proowner, 'USAGE')
       AND (l.lanpltrusted AND NOT p.proleakproof AND p.prosupport = 0 OR (SELECT a.rolsuper FROM pg_roles AS a WHERE a.oid = p.proowner))
       AND has_schema_privilege(p.proowner, p.pronamespace, 'CREATE') AND has_language_privilege(p.proowner, p.prolang, 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_depend AS u WHERE u.refclassid = 'pg_proc'::regclass AND u.refobjid = p.oid)
       AND NOT EXISTS (SELECT FROM pg_depend AS u WHERE u.classid = 'pg_proc'::regclass AND u.objid = p.oid AND u.deptype IN ('e', 'x'))
       AND NOT EXISTS (SELECT FROM pg_seclabel AS s WHERE s.classoid = 'pg_proc'::regclass AND s.objoid = p.oid))";

pub const DROP_ROUTINES: &str =
    "SELECT p.proowner, format('DROP ROUTINE %s', p.oid::regprocedure) FROM routine AS p ORDER BY p.oid";

/// With the privileges they had, whatever default privileges say.
pub const ADD_ROUTINES: &str = "
SELECT p.proowner, sql FROM routine AS p
 CROSS JOIN LATERAL (VALUES (coalesce((
     SELECT string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', ')
       FROM pg_default_acl AS d CROSS JOIN aclexplode(d.defaclacl) AS x WHERE d.defaclrole = p.proowner AND d.defaclobjtype = 'f'), ''))) AS given_by_default (roles)
 CROSS JOIN LATERAL (
     SELECT 1, pg_get_functiondef(p.oid)
      UNION ALL
     SELECT 2, format('REVOKE ALL ON ROUTINE %s FROM %I, PUBLIC%s', p.oid::regprocedure, pg_get_userbyid(p.proowner), ', ' || nullif(roles, ''))
      WHERE p.proacl IS NOT NULL OR roles <> ''
      UNION ALL
     SELECT 3, format('GRANT EXECUTE ON ROUTINE %s TO %s%s', p.oid::regprocedure,
                      CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                      CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
       FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS x WHERE p.proacl IS NOT NULL OR roles <> ''
      UNION ALL
     SELECT 4, format('COMMENT ON ROUTINE %s IS %L', p.oid::regprocedure, obj_description(p.oid, 'pg_proc'))
      WHERE obj_description(p.oid, 'pg_proc') IS NOT NULL) AS part (n, sql)
 ORDER BY p.oid, n";

#[cfg(not(feature = "pg14"))]
pub const PUBLICATIONS: &str = "
SELECT p.pubowner, sql
  FROM given JOIN pg_publication_rel AS r ON r.prrelid = tbl JOIN pg_publication AS p ON p.oid = r.prpubid
 CROSS JOIN LATERAL (VALUES
     (1, format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, history)),
     (2, format('ALTER PUBLICATION %I ADD TABLE %s%s%s', p.pubname, name,
            (SELECT ' (' || string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'
               FROM pg_attribute AS a WHERE a.attrelid = tbl AND a.attnum = ANY (r.prattrs::int2[])),
            ' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')'))) AS part (n, sql)
 ORDER BY p.oid, n";
#[cfg(feature = "pg14")]
pub const PUBLICATIONS: &str = "
SELECT p.pubowner, sql
  FROM given JOIN pg_publication_rel AS r ON r.prrelid = tbl JOIN pg_publication AS p ON p.oid = r.prpubid
 CROSS JOIN LATERAL (VALUES
     (1, format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, history)),
     (2, format('ALTER PUBLICATION %I ADD TABLE %s', p.pubname, name))) AS part (n, sql)
 ORDER BY p.oid, n";

/// Rules of other tables and views; whether they are enabled, and comments, stay.
pub const RULES: &str = "
SELECT c.relowner, 'CREATE OR REPLACE' || substr(rtrim(pg_get_ruledef(r.oid), ';'), length('CREATE ') )
  FROM given CROSS JOIN LATERAL (
      SELECT DISTINCT d.objid FROM pg_depend AS d
       WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl) AS d
  JOIN pg_rewrite AS r ON r.oid = d.objid AND r.ev_class <> tbl AND r.ev_type <> '1'
  JOIN pg_class AS c ON c.oid = r.ev_class
 ORDER BY r.oid";

/// Policies of other tables.
pub const POLICIES: &str = "
SELECT c.relowner, format('ALTER POLICY %I ON %s%s%s', p.polname, c.oid::regclass,
                          ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
  FROM given CROSS JOIN LATERAL (
      SELECT DISTINCT d.objid FROM pg_depend AS d
       WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl) AS d
  JOIN pg_policy AS p ON p.oid = d.objid AND p.polrelid <> tbl
  JOIN pg_class AS c ON c.oid = p.polrelid
 ORDER BY p.oid";

/// A materialized view that reads the table. Its query is read anew; its rows, those of the table, stay.
#[derive(Debug, Clone)]
pub struct Materialized {
    pub view: pg_sys::Oid,
    pub owner: pg_sys::Oid,
    pub name: String,
    pub query: String,
}

pub fn materialized_views(table: pg_sys::Oid) -> Result<Vec<Materialized>> {
    spi::read_now(
        "SELECT v.oid, v.relowner, v.oid::regclass::text, pg_get_viewdef(v.oid)
           FROM pg_class AS v
          WHERE v.relkind = 'm' AND v.oid IN (
                SELECT r.ev_class FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
                 WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1)
          ORDER BY v.oid",
        &[table.into()],
        |row| {
            Ok(Materialized {
                view: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                owner: row.get(2)?.unwrap_or(pg_sys::InvalidOid),
                name: row.get(3)?.unwrap_or_default(),
                query: row.get(4)?.unwrap_or_default(),
            })
        },
    )
}

/// Relations whose views, rules or policies read the table: they are locked before it is.
pub fn readers(table: pg_sys::Oid) -> Result<Vec<pg_sys::Oid>> {
    spi::read_now(
        "SELECT r.ev_class FROM pg_depend AS d JOIN pg_rewrite AS r ON r.oid = d.objid
          WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND r.ev_class <> $1
          UNION
         SELECT p.polrelid FROM pg_depend AS d JOIN pg_policy AS p ON p.oid = d.objid
          WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND p.polrelid <> $1
          ORDER BY 1",
        &[table.into()],
        |row| row.get::<pg_sys::Oid>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}
