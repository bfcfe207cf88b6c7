//! Why a table cannot be converted, found out before anything is done to it. What is not known to be
//! carried over stands in the way: nothing is lost in silence.

use super::carry::Names;
use super::uses::ROUTINE;
use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;

/// One obstacle, and what to do about it.
#[derive(Debug, Clone)]
pub struct Obstacle {
    pub what: String,
    pub remedy: String,
}

/// The table's key column and choices of the caller.
pub struct Request<'a> {
    pub names: &'a Names<'a>,
    pub column: i16,
    pub widen_key: bool,
    pub drop_incoming: bool,
}

pub fn find(request: &Request) -> Result<Vec<Obstacle>> {
    let names = request.names;
    spi::read_now(
        &format!("{GIVEN}, {ROUTINE} {QUERY}"),
        &[
            names.table.into(),
            names.name.into(),
            names.history.into(),
            names.owner.into(),
            request.column.into(),
            request.widen_key.into(),
            request.drop_incoming.into(),
        ],
        |row| {
            Ok(Obstacle {
                what: row.get(1)?.unwrap_or_default(),
                remedy: row.get::<String>(2)?.unwrap_or_default(),
            })
        },
    )
}

/// Unique constraints whose key lacks the column: with their indexes, to be widened.
pub fn narrow_keys(table: pg_sys::Oid, column: i16) -> Result<Vec<(pg_sys::Oid, String)>> {
    spi::read_now(
        "SELECT c.conindid, i.relname::text
           FROM pg_constraint AS c JOIN pg_class AS i ON i.oid = c.conindid
          WHERE c.conrelid = $1 AND c.contype IN ('p', 'u') AND NOT $2 = ANY (c.conkey)
          ORDER BY c.conindid",
        &[table.into(), column.into()],
        |row| Ok((row.get(1)?.unwrap_or(pg_sys::InvalidOid), row.get::<String>(2)?.unwrap_or_default())),
    )
}

const GIVEN: &str = "
WITH given AS MATERIALIZED (
    SELECT $1::oid AS tbl, $2::text AS name, $3::text AS history, $4::oid AS owner, $5::int2 AS col, $6::bool AS widen,
           $7::bool AS drop_incoming),
incoming AS (
    SELECT c.*, r.relowner, r.relkind, col = ANY (c.confkey) AS keeps
      FROM given JOIN pg_constraint AS c ON c.confrelid = tbl AND c.contype = 'f' AND c.conparentid = 0
      JOIN pg_class AS r ON r.oid = c.conrelid)";

const QUERY: &str = "
SELECT what, remedy FROM (
SELECT 10, 'it is a partition already', 'Name a table that stands alone.'
  FROM given JOIN pg_class AS c ON c.oid = tbl WHERE c.relispartition
UNION ALL
SELECT 11, 'it takes part in inheritance', 'ALTER TABLE ... NO INHERIT first.'
  FROM given WHERE EXISTS (SELECT FROM pg_inherits WHERE inhparent = tbl)
                OR EXISTS (SELECT FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhrelid = tbl AND NOT c.relispartition)
UNION ALL
SELECT 12, 'it is a typed table', 'ALTER TABLE ... NOT OF first.' FROM given JOIN pg_class AS c ON c.oid = tbl WHERE c.reloftype <> 0
UNION ALL
SELECT 13, 'it is unlogged', 'ALTER TABLE ... SET LOGGED first.' FROM given JOIN pg_class AS c ON c.oid = tbl WHERE c.relpersistence = 'u'
UNION ALL
SELECT 14, format('column %I is generated', a.attname), 'A generated column cannot be a partition key.'
  FROM given JOIN pg_attribute AS a ON a.attrelid = tbl AND a.attnum = col WHERE a.attgenerated <> ''
UNION ALL
SELECT 15, format('%s exists already', history), 'Rename it: the table gets this name as a partition.' FROM given WHERE to_regclass(history) IS NOT NULL
UNION ALL
SELECT 20, format('%s %I does not include the partition key', CASE c.contype WHEN 'p' THEN 'primary key' ELSE 'unique constraint' END, c.conname),
       'widen_key => true adds the partition key to it, which lets equal values of the former key recur.'
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.contype IN ('p', 'u') WHERE NOT col = ANY (c.conkey) AND NOT widen
UNION ALL
SELECT 21, format('unique index %I does not include the partition key', i.relname), 'Drop it, or make it a constraint and use widen_key => true.'
  FROM given JOIN pg_index AS x ON x.indrelid = tbl AND x.indisunique JOIN pg_class AS i ON i.oid = x.indexrelid
 WHERE NOT col = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])
   AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 22, format('index %I is invalid', i.relname), 'REINDEX INDEX CONCURRENTLY, or drop it.'
  FROM given JOIN pg_index AS x ON x.indrelid = tbl AND NOT (x.indisvalid AND x.indisready) JOIN pg_class AS i ON i.oid = x.indexrelid
 WHERE i.relname NOT LIKE 'architect\\_wide\\_%'
UNION ALL
SELECT 23, format('exclusion constraint %I', c.conname), 'Drop it: it could not hold across partitions.'
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.contype = 'x'
UNION ALL
SELECT 24, format('constraint %I is not %s', c.conname, CASE WHEN enforced THEN 'validated' ELSE 'enforced' END),
       CASE WHEN enforced THEN format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', name, c.conname) ELSE 'Drop it: it says nothing of the rows.' END
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.contype IN ('c', 'f', 'n') AND NOT c.convalidated AND c.conname <> 'architect_partition_bound'
 CROSS JOIN LATERAL (VALUES (COALESCE((to_jsonb(c) ->> 'conenforced')::bool, true))) AS e (enforced)
UNION ALL
SELECT 25, format('check constraint %I is NO INHERIT', c.conname), 'Make it inheritable: it would not hold for the partitions to come.'
  FROM given JOIN pg_constraint AS c ON c.conrelid = tbl AND c.contype = 'c' AND c.connoinherit
UNION ALL
SELECT 31, format('foreign key %I of %s refers to a key that lacks the partition key', conname, conrelid::regclass),
       'incoming_keys => ''drop'' drops it; or give the table that refers the partition key, and refer to both columns.'
  FROM given CROSS JOIN incoming WHERE NOT keeps AND NOT drop_incoming
UNION ALL
SELECT 32, format('foreign key %I of %s, which is partitioned', conname, conrelid::regclass),
       'Before PostgreSQL 18 it could not be added again without a long lock. Drop it, or incoming_keys => ''drop''.'
  FROM given CROSS JOIN incoming WHERE relkind = 'p' AND NOT drop_incoming AND current_setting('server_version_num')::int < 180000
UNION ALL
SELECT 33, format('%s belongs to %s, who is not you', conrelid::regclass, pg_get_userbyid(relowner)), 'Its foreign key has to be made anew: call this as a member of both owners.'
  FROM given CROSS JOIN incoming WHERE NOT pg_has_role(relowner, 'USAGE')
UNION ALL
SELECT 40, format('trigger %I is for each row and has transition tables', t.tgname), 'Partitioned tables have none of this kind.'
  FROM given JOIN pg_trigger AS t ON t.tgrelid = tbl AND NOT t.tgisinternal AND t.tgtype::int & 1 = 1 AND (t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL)
UNION ALL
SELECT 44, format('%s belongs to %s, who is not you', v.oid::regclass, pg_get_userbyid(v.relowner)), 'Its query has to be read anew: call this as a member of both owners.'
  FROM given JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
  JOIN pg_rewrite AS r ON r.oid = d.objid AND r.ev_class <> tbl JOIN pg_class AS v ON v.oid = r.ev_class
 WHERE NOT pg_has_role(v.relowner, 'USAGE') GROUP BY v.oid, v.relowner
UNION ALL
SELECT 45, format('function %s belongs to %s, who is not you', p.oid::regprocedure, pg_get_userbyid(p.proowner)), 'Its body has to be read anew: call this as a member of both owners.'
  FROM given JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
  JOIN pg_proc AS p ON p.oid = d.objid WHERE NOT pg_has_role(p.proowner, 'USAGE') GROUP BY p.oid, p.proowner
UNION ALL
SELECT 47, format('%s is a temporary view', v.oid::regclass), 'Drop it, or end the session that has made it.'
  FROM given JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
  JOIN pg_rewrite AS r ON r.oid = d.objid JOIN pg_class AS v ON v.oid = r.ev_class AND v.relpersistence = 't' GROUP BY v.oid
UNION ALL
SELECT 48, format('policy %I on %s belongs to %s, who is not you', p.polname, c.oid::regclass, pg_get_userbyid(c.relowner)), 'It has to be read anew: call this as a member of both owners.'
  FROM given JOIN pg_depend AS d ON d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
  JOIN pg_policy AS p ON p.oid = d.objid AND p.polrelid <> tbl JOIN pg_class AS c ON c.oid = p.polrelid
 WHERE NOT pg_has_role(c.relowner, 'USAGE') GROUP BY p.oid, p.polname, c.oid, c.relowner
UNION ALL
SELECT 46, format('its row type is used by %s', pg_describe_object(d.classid, d.objid, d.objsubid)),
       CASE WHEN d.classid = 'pg_proc'::regclass THEN 'Drop it, and create it again afterwards: it is used elsewhere, or not yours to create.' ELSE 'Change that to another type, or drop it.' END
  FROM given JOIN pg_type AS t ON t.typrelid = tbl
  JOIN pg_depend AS d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype <> 'i'
 WHERE NOT EXISTS (SELECT FROM routine AS r WHERE d.classid = 'pg_proc'::regclass AND r.oid = d.objid) GROUP BY d.classid, d.objid, d.objsubid
UNION ALL
SELECT 50, format('publication %I publishes partitions under their own names', p.pubname),
       format('ALTER PUBLICATION %I SET (publish_via_partition_root = true); else subscribers need a table %s.', p.pubname, history)
  FROM given CROSS JOIN pg_publication AS p
 WHERE NOT p.pubviaroot AND EXISTS (SELECT FROM pg_publication_tables AS t
       WHERE t.pubname = p.pubname AND format('%I.%I', t.schemaname, t.tablename) = name)
UNION ALL
SELECT 51, format('publication %I belongs to %s', p.pubname, pg_get_userbyid(p.pubowner)), 'Call this as a member of its owner, who has to own the table too.'
  FROM given JOIN pg_publication_rel AS r ON r.prrelid = tbl JOIN pg_publication AS p ON p.oid = r.prpubid
 WHERE NOT (pg_has_role(p.pubowner, 'USAGE') AND pg_has_role(p.pubowner, owner, 'USAGE'))
UNION ALL
SELECT 52, 'a subscription writes to it', 'Its rows would go nowhere until REFRESH PUBLICATION: drop it from the subscription first.'
  FROM given WHERE EXISTS (SELECT FROM pg_subscription_rel AS s WHERE s.srrelid = tbl)
UNION ALL
SELECT 60, format('%s depends on it', pg_describe_object(d.classid, d.objid, d.objsubid)), 'It would stay with the rows there are now. Drop it, and create it again afterwards.'
  FROM given JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tbl
 WHERE NOT (d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_constraint'::regclass,
                          'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass, 'pg_policy'::regclass))
   AND NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef AS a WHERE a.oid = d.objid AND a.adrelid = tbl))
   AND NOT (d.classid = 'pg_type'::regclass AND d.deptype = 'i')
   AND NOT (d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_class AS c WHERE c.oid = d.objid AND c.relkind IN ('i', 'S', 't')))
   AND NOT (d.classid = 'pg_proc'::regclass AND EXISTS (SELECT FROM pg_proc AS p WHERE p.oid = d.objid AND p.prosqlbody IS NOT NULL))
 GROUP BY d.classid, d.objid, d.objsubid
UNION ALL
SELECT 61, 'it belongs to an extension', 'Tables of extensions are theirs to change.'
  FROM given JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = tbl AND d.deptype = 'e'
) AS found (position, what, remedy) ORDER BY position, what";
