//! What a new partition takes from its parent, and from the latest partition where a partitioned table
//! has nothing to take.

use super::table::{Parent, Partition};
use crate::error::Result;
use crate::pg::spi;
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

/// Indexes of the parent whose counterparts in a partition are marked.
#[derive(Debug, Clone, Default)]
pub struct MarkedIndexes {
    /// It identifies rows to replicas.
    identity: Option<pg_sys::Oid>,
    /// CLUSTER orders rows by it.
    clustered: Option<pg_sys::Oid>,
}

/// How new partitions are made.
#[derive(Debug, Clone, Default)]
pub struct Template {
    unlogged: bool,
    access_method: Option<String>,
    tablespace: Option<String>,
    /// `name=value` and `toast.name=value`, rendered.
    storage: Vec<String>,
    /// Statistics targets of columns, as ALTER TABLE has them.
    columns: Vec<String>,
    row_security: bool,
    force_row_security: bool,
    /// FULL or NOTHING.
    replica_identity: Option<&'static str>,
    pub indexes: MarkedIndexes,
    /// GRANT and ALTER PUBLICATION statements: what stands before and after the partition's name.
    grants: Vec<(String, String)>,
    publications: Vec<(String, String)>,
    /// The latest partition, where it is partitioned itself.
    pub divided_like: Option<pg_sys::Oid>,
}

impl Template {
    /// `default` is taken after where there is no latest one.
    pub fn of(
        parent: &Parent,
        latest: Option<&Partition>,
        default: Option<&Partition>,
        privileges: bool,
    ) -> Result<Self> {
        let sibling = latest.map_or(pg_sys::InvalidOid, |partition| partition.oid);
        let like = latest.or(default).map_or(pg_sys::InvalidOid, |partition| partition.oid);
        let rows = spi::read_now(
            "SELECT coalesce(s.relpersistence = 'u', false),
                    nullif(m.amname::text, current_setting('default_table_access_method')), t.spcname::text, s.reloptions,
                    (SELECT x.reloptions FROM pg_class x WHERE x.oid = s.reltoastrelid),
                    p.relrowsecurity, p.relforcerowsecurity,
                    CASE WHEN p.relreplident = 'd' THEN coalesce(s.relreplident, 'd') ELSE p.relreplident END,
                    coalesce(
                        (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = p.oid AND i.indisreplident),
                        (SELECT h.inhparent FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid
                          WHERE i.indrelid = s.oid AND i.indisreplident)),
                    s.relkind = 'p',
                    (SELECT h.inhparent FROM pg_index i JOIN pg_inherits h ON h.inhrelid = i.indexrelid
                      WHERE i.indrelid = s.oid AND i.indisclustered)
               FROM pg_class p
               LEFT JOIN pg_class s ON s.oid = $2
               LEFT JOIN pg_am m ON m.oid = coalesce(nullif(p.relam, 0), (SELECT l.relam FROM pg_class l WHERE l.oid = $3 AND l.relkind = 'r'))
               LEFT JOIN pg_tablespace t ON t.oid = p.reltablespace
              WHERE p.oid = $1",
            &[parent.oid.into(), sibling.into(), like.into()],
            |row| {
                let identity = row.get::<i8>(8)?.map_or(b'd', |kind| kind as u8);
                let mut storage: Vec<String> = row
                    .get::<Vec<String>>(4)?
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|o| option("", o))
                    .collect();
                let toast = row.get::<Vec<String>>(5)?.unwrap_or_default();
                storage.extend(toast.iter().filter_map(|o| option("toast.", o)));
                Ok(Self {
                    unlogged: row.get(1)?.unwrap_or_default(),
                    access_method: row.get(2)?,
                    tablespace: row.get(3)?,
                    storage,
                    row_security: row.get(6)?.unwrap_or_default(),
                    force_row_security: row.get(7)?.unwrap_or_default(),
                    replica_identity: match identity {
                        b'f' => Some("FULL"),
                        b'n' => Some("NOTHING"),
                        _ => None,
                    },
                    indexes: MarkedIndexes {
                        identity: if identity == b'i' { row.get(9)? } else { None },
                        clustered: row.get(11)?,
                    },
                    divided_like: row.get::<bool>(10)?.unwrap_or_default().then_some(sibling),
                    ..Self::default()
                })
            },
        )?;
        let mut template = rows.into_iter().next().unwrap_or_default();
        if privileges {
            template.grants = grants(parent.oid)?;
        }
        template.publications = publications(sibling)?;
        template.columns = columns(parent.oid)?;
        Ok(template)
    }

    /// The statement that makes a table to become a partition. Not IDENTITY, which it gets from the parent,
    /// and no foreign keys and indexes, which attaching makes.
    #[must_use]
    pub fn create(&self, parent: &str, child: &str, divided_by: Option<&str>) -> String {
        let mut sql = format!(
            "CREATE {}TABLE {child} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED \
             INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING STATISTICS INCLUDING COMMENTS)",
            if self.unlogged { "UNLOGGED " } else { "" }
        );
        if let Some(key) = divided_by {
            sql += &format!(" PARTITION BY {key}");
        } else {
            if let Some(method) = &self.access_method {
                sql += &format!(" USING {}", quote_identifier(method));
            }
            if !self.storage.is_empty() {
                sql += &format!(" WITH ({})", self.storage.join(", "));
            }
        }
        if let Some(tablespace) = &self.tablespace {
            sql += &format!(" TABLESPACE {}", quote_identifier(tablespace));
        }
        sql
    }

    /// What else is done to it before it is attached.
    #[must_use]
    pub fn before_attaching(&self, child: &str) -> Vec<String> {
        let mut sql = Vec::new();
        if !self.columns.is_empty() {
            sql.push(format!("ALTER TABLE {child} {}", self.columns.join(", ")));
        }
        if let Some(identity) = self.replica_identity {
            sql.push(format!("ALTER TABLE {child} REPLICA IDENTITY {identity}"));
        }
        if self.row_security {
            sql.push(format!("ALTER TABLE {child} ENABLE ROW LEVEL SECURITY"));
        }
        if self.force_row_security {
            sql.push(format!("ALTER TABLE {child} FORCE ROW LEVEL SECURITY"));
        }
        sql.extend(self.grants.iter().map(|(before, after)| format!("{before}{child}{after}")));
        sql
    }

    /// What is done once it is, and may fail without harm: a publication may belong to somebody else.
    #[must_use]
    pub fn after_attaching(&self, child: &str) -> Vec<String> {
        self.publications.iter().map(|(before, after)| format!("{before}{child}{after}")).collect()
    }
}

/// `name=value` as it stands in WITH (...); none for what nobody could set.
fn option(prefix: &str, option: &str) -> Option<String> {
    let (name, value) = option.split_once('=')?;
    Some(format!("{prefix}{} = {}", quote_identifier(name), pgrx::spi::quote_literal(value)))
}

/// What LIKE leaves behind: the parent's statistics targets of columns.
fn columns(parent: pg_sys::Oid) -> Result<Vec<String>> {
    spi::read_now(
        "SELECT format('ALTER COLUMN %I SET STATISTICS %s', a.attname, a.attstattarget) FROM pg_attribute a
          WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0 ORDER BY a.attnum",
        &[parent.into()],
        |row| row.get::<String>(1),
    )
    .map(|rows| rows.into_iter().flatten().collect())
}

/// The parent's privileges, of the table and of its columns, as statements.
fn grants(parent: pg_sys::Oid) -> Result<Vec<(String, String)>> {
    spi::read_now(
        "SELECT format('GRANT %s%s ON TABLE ', g.privilege, g.columns),
                format(' TO %s%s', CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END,
                       CASE WHEN g.grantable THEN ' WITH GRANT OPTION' ELSE '' END)
           FROM (SELECT a.privilege_type, '', a.grantee, a.is_grantable, c.relowner
                   FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE c.oid = $1
                  UNION ALL
                 SELECT a.privilege_type, format(' (%I)', t.attname), a.grantee, a.is_grantable, c.relowner
                   FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid CROSS JOIN LATERAL aclexplode(t.attacl) a
                  WHERE t.attrelid = $1 AND NOT t.attisdropped) g (privilege, columns, grantee, grantable, owner)
          WHERE g.grantee <> g.owner
          ORDER BY 2, 1",
        &[parent.into()],
        |row| Ok((row.get(1)?.unwrap_or_default(), row.get(2)?.unwrap_or_default())),
    )
}

/// Publications the latest partition is in by its own name, with its columns and rows.
fn publications(sibling: pg_sys::Oid) -> Result<Vec<(String, String)>> {
    let fifteen = if cfg!(feature = "pg14") {
        "'', ''"
    } else {
        "coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
                            WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs::int2[])) || ')', ''),
         coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', '')"
    };
    spi::read_now(
        &format!(
            "SELECT format('ALTER PUBLICATION %I ADD TABLE ', p.pubname), {fifteen}
               FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
              WHERE r.prrelid = $1 AND NOT p.puballtables ORDER BY p.pubname"
        ),
        &[sibling.into()],
        |row| {
            let part = |i| row.get::<String>(i).map(Option::unwrap_or_default);
            Ok((part(1)?, part(2)? + &part(3)?))
        },
    )
}

impl MarkedIndexes {
    /// What is done with a partition's indexes, which attaching has made: marks, and statistics targets of
    /// expressions, which the parent's indexes have.
    pub fn on(&self, partition: pg_sys::Oid) -> Result<Vec<String>> {
        spi::read_now(
            "SELECT command
               FROM pg_index AS x JOIN pg_inherits AS h ON h.inhrelid = x.indexrelid JOIN pg_class AS i ON i.oid = x.indexrelid
              CROSS JOIN LATERAL (
                  SELECT format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', x.indrelid::regclass, i.relname) WHERE h.inhparent = $2
                   UNION ALL
                  SELECT format('ALTER TABLE %s CLUSTER ON %I', x.indrelid::regclass, i.relname) WHERE h.inhparent = $3 AND i.relkind = 'i'
                   UNION ALL
                  SELECT format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', i.oid::regclass, a.attnum, a.attstattarget)
                    FROM pg_attribute AS a WHERE a.attrelid = h.inhparent AND a.attstattarget >= 0
                   ) AS c (command)
              WHERE x.indrelid = $1 ORDER BY x.indexrelid",
            &[partition.into(), self.identity.into(), self.clustered.into()],
            |row| row.get::<String>(1),
        )
        .map(|rows| rows.into_iter().flatten().collect())
    }
}
