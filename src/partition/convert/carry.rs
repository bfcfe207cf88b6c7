//! Everything that hangs on a table, as the commands that make it anew on the partitioned table that takes
//! its name. All of it is written down before the table is renamed, so names in expressions stay the
//! table's and mean the partitioned table afterwards. Under the safe search_path.

use super::uses::ROUTINE;
use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;

/// A command and the role it runs as.
#[derive(Debug, Clone)]
pub struct Statement {
    pub role: pg_sys::Oid,
    pub sql: String,
}

/// The table that is converted.
pub struct Names<'a> {
    pub table: pg_sys::Oid,
    pub owner: pg_sys::Oid,
    /// Qualified: the table's now, the partitioned table's afterwards.
    pub name: &'a str,
    /// Qualified: what the table is called afterwards, as a partition.
    pub history: &'a str,
}

impl Names<'_> {
    /// Commands a query makes. Its parameters: $1 the table's OID, $2 its name, $3 its name afterwards, $4 its
    /// owner; `given` and `routine` have them and its functions. It returns a role and a command.
    pub fn statements(&self, query: &str) -> Result<Vec<Statement>> {
        // A query need not use them all.
        let query = format!(
            "WITH given AS MATERIALIZED (SELECT $1::oid AS tbl, $2::text AS name, $3::text AS history, $4::oid AS owner),
             {ROUTINE} {query}"
        );
        spi::read_now(
            &query,
            &[self.table.into(), self.name.into(), self.history.into(), self.owner.into()],
            |row| {
                Ok(Statement {
                    role: row.get(1)?.unwrap_or(pg_sys::InvalidOid),
                    sql: row.get(2)?.unwrap_or_default(),
                })
            },
        )
    }
}

/// What hangs on the table by name and would clash with what the partitioned table hands down.
pub const STRIP: &str = "
SELECT owner, format('DROP TRIGGER %I ON %s', t.tgname, history)
  FROM given JOIN pg_trigger AS t ON t.tgrelid = tbl AND NOT t.tgisinternal
UNION ALL
SELECT owner, format('DROP RULE %I ON %s', r.rulename, history)
  FROM given JOIN pg_rewrite AS r ON r.ev_class = tbl
UNION ALL
SELECT owner, format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', history, a.attname)
  FROM given JOIN pg_attribute AS a ON a.attrelid = tbl AND a.attidentity <> '' AND NOT a.attisdropped";

/// Identity columns, with sequences of the same names and settings. Their values: `sequence_values`.
pub const IDENTITY: &str = "
SELECT owner, format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s)',
         name, a.attname, CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, s.seqrelid::regclass,
         s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)
  FROM given JOIN pg_attribute AS a ON a.attrelid = tbl AND a.attidentity <> '' AND NOT a.attisdropped
  JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl AND d.refobjsubid = a.attnum
                     AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
  JOIN pg_sequence AS s ON s.seqrelid = d.objid";

/// Sequences of identity columns, to read their values from.
pub const IDENTITY_SEQUENCES: &str = "
SELECT owner, s.seqrelid::regclass::text
  FROM given JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
                     AND d.classid = 'pg_class'::regclass AND d.deptype = 'i' AND d.refobjsubid > 0
  JOIN pg_sequence AS s ON s.seqrelid = d.objid";

/// Privileges and comments of identity's sequences; sequences that belong to columns otherwise move over.
pub const SEQUENCES: &str = "
SELECT owner, format('GRANT %s ON SEQUENCE %s TO %s%s', x.privilege_type, c.oid::regclass,
                     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                     CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM given JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
                     AND d.classid = 'pg_class'::regclass AND d.deptype = 'i' AND d.refobjsubid > 0
  JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
 CROSS JOIN aclexplode(c.relacl) AS x WHERE x.grantee <> c.relowner
UNION ALL
SELECT owner, format('COMMENT ON SEQUENCE %s IS %L', c.oid::regclass, obj_description(c.oid, 'pg_class'))
  FROM given JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
                     AND d.classid = 'pg_class'::regclass AND d.deptype = 'i' AND d.refobjsubid > 0
  JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S' WHERE obj_description(c.oid, 'pg_class') IS NOT NULL
UNION ALL
SELECT owner, format('ALTER SEQUENCE %s OWNED BY %s.%I', c.oid::regclass, name, a.attname)
  FROM given JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
                     AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' AND d.refobjsubid > 0
  JOIN pg_class AS c ON c.oid = d.objid AND c.relkind = 'S'
  JOIN pg_attribute AS a ON a.attrelid = tbl AND a.attnum = d.refobjsubid";

/// Foreign keys to other tables; those to the table itself: `uses.rs`.
pub const OUTGOING: &str = "
SELECT owner, format('ALTER TABLE %s ADD CONSTRAINT %I %s', name, c.conname, pg_get_constraintdef(c.oid))
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.confrelid <> tbl AND c.contype = 'f' AND c.conparentid = 0
UNION ALL
SELECT owner, format('COMMENT ON CONSTRAINT %I ON %s IS %L', c.conname, name, obj_description(c.oid, 'pg_constraint'))
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.confrelid <> tbl AND c.contype = 'f' AND c.conparentid = 0
 WHERE obj_description(c.oid, 'pg_constraint') IS NOT NULL";

/// In the order they were made; they fire in that of their names. Those of our own functions, which the owner
/// may have no right to, are made as the extension's owner; those of audit and change feed follow their
/// policies (capture/exchange.rs).
pub const TRIGGERS: &str = "
SELECT CASE WHEN p.pronamespace = 'architect'::regnamespace
            THEN (SELECT e.extowner FROM pg_extension AS e WHERE e.extname = 'db_architect') ELSE owner END, sql
  FROM given JOIN pg_trigger AS t ON t.tgrelid = tbl AND NOT t.tgisinternal
  JOIN pg_proc AS p ON p.oid = t.tgfoid AND NOT (p.pronamespace = 'architect'::regnamespace AND p.proname = 'capture')
 CROSS JOIN LATERAL (VALUES
     (1, pg_get_triggerdef(t.oid)),
     (2, CASE t.tgenabled WHEN 'D' THEN format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', name, t.tgname)
                          WHEN 'R' THEN format('ALTER TABLE ONLY %s ENABLE REPLICA TRIGGER %I', name, t.tgname)
                          WHEN 'A' THEN format('ALTER TABLE ONLY %s ENABLE ALWAYS TRIGGER %I', name, t.tgname) END),
     (3, CASE WHEN obj_description(t.oid, 'pg_trigger') IS NOT NULL
              THEN format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, name, obj_description(t.oid, 'pg_trigger')) END)
   ) AS part (n, sql)
 WHERE sql IS NOT NULL ORDER BY t.oid, n";

pub const RULES: &str = "
SELECT owner, sql FROM given JOIN pg_rewrite AS r ON r.ev_class = tbl
 CROSS JOIN LATERAL (VALUES
     (1, rtrim(pg_get_ruledef(r.oid), ';')),
     (2, CASE r.ev_enabled WHEN 'D' THEN format('ALTER TABLE %s DISABLE RULE %I', name, r.rulename)
                           WHEN 'R' THEN format('ALTER TABLE %s ENABLE REPLICA RULE %I', name, r.rulename)
                           WHEN 'A' THEN format('ALTER TABLE %s ENABLE ALWAYS RULE %I', name, r.rulename) END),
     (3, format('COMMENT ON RULE %I ON %s IS %L', r.rulename, name, nullif(obj_description(r.oid, 'pg_rewrite'), '')))
   ) AS part (n, sql)
 WHERE sql IS NOT NULL AND (n <> 3 OR obj_description(r.oid, 'pg_rewrite') IS NOT NULL) ORDER BY r.oid, n";

pub const POLICIES: &str = "
SELECT owner, format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, name,
         CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
         CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
         (SELECT string_agg(CASE WHEN o = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END, ', ') FROM unnest(p.polroles) AS o),
         ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')')
  FROM given JOIN pg_policy AS p ON p.polrelid = tbl
UNION ALL
SELECT owner, format('COMMENT ON POLICY %I ON %s IS %L', p.polname, name, obj_description(p.oid, 'pg_policy'))
  FROM given JOIN pg_policy AS p ON p.polrelid = tbl WHERE obj_description(p.oid, 'pg_policy') IS NOT NULL
UNION ALL
SELECT owner, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name) FROM given JOIN pg_class AS c ON c.oid = tbl WHERE c.relrowsecurity
UNION ALL
SELECT owner, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name) FROM given JOIN pg_class AS c ON c.oid = tbl WHERE c.relforcerowsecurity";

/// Privileges: exactly those, whatever default privileges have given the new table.
pub const PRIVILEGES: &str = "
SELECT owner, format('GRANT %s%s ON TABLE %s TO %s%s', x.privilege_type, x.column_name, name,
                     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END,
                     CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM given CROSS JOIN LATERAL (
      SELECT x.*, '' AS column_name FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS x WHERE c.oid = tbl
      UNION ALL
      SELECT x.*, format(' (%I)', a.attname)
        FROM pg_attribute AS a CROSS JOIN aclexplode(a.attacl) AS x WHERE a.attrelid = tbl AND NOT a.attisdropped) AS x
UNION ALL
SELECT owner, format('REVOKE ALL ON TABLE %s FROM %s', name, quote_ident(pg_get_userbyid(owner)))
  FROM given JOIN pg_class AS c ON c.oid = tbl AND c.relacl IS NOT NULL
 WHERE NOT EXISTS (SELECT FROM aclexplode(c.relacl) AS x WHERE x.grantee = owner)";

/// Run on the new table before: what default privileges have given it.
pub const REVOKE_DEFAULTS: &str = "
SELECT DISTINCT owner, format('REVOKE ALL ON TABLE %s FROM %s', c.oid::regclass,
                     CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END)
  FROM given JOIN pg_class AS c ON c.oid = tbl CROSS JOIN aclexplode(c.relacl) AS x WHERE x.grantee <> c.relowner";

/// What LIKE leaves behind: comments on the table, planner settings of columns, security labels.
pub const DETAILS: &str = "
SELECT owner, format('COMMENT ON TABLE %s IS %L', name, obj_description(tbl, 'pg_class'))
  FROM given WHERE obj_description(tbl, 'pg_class') IS NOT NULL
UNION ALL
SELECT owner, format('ALTER TABLE ONLY %s ALTER COLUMN %I SET STATISTICS %s', name, a.attname, a.attstattarget)
  FROM given JOIN pg_attribute AS a ON a.attrelid = tbl AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0
UNION ALL
SELECT owner, format('ALTER TABLE ONLY %s ALTER COLUMN %I SET (%I = %L)', name, a.attname, o.option_name, o.option_value)
  FROM given JOIN pg_attribute AS a ON a.attrelid = tbl AND a.attnum > 0 AND NOT a.attisdropped
 CROSS JOIN pg_options_to_table(a.attoptions) AS o WHERE o.option_name IN ('n_distinct', 'n_distinct_inherited')
UNION ALL
SELECT owner, format('SECURITY LABEL FOR %I ON %s %s%s IS %L', l.provider, CASE WHEN l.objsubid = 0 THEN 'TABLE' ELSE 'COLUMN' END,
                     name, COALESCE((SELECT format('.%I', a.attname) FROM pg_attribute AS a WHERE a.attrelid = tbl AND a.attnum = l.objsubid AND l.objsubid > 0), ''),
                     l.label)
  FROM given JOIN pg_seclabel AS l ON l.classoid = 'pg_class'::regclass AND l.objoid = tbl";
