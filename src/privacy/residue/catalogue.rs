//! Texts in the catalogue that somebody may have put a person's values into: a comment, the bound of a partition for one
//! customer, a default, a view made for one case.

use crate::error::Result;
use crate::pg::batches::Cursor;
use crate::pg::subtransaction::attempt;
use crate::privacy::identity::Seeker;
use crate::privacy::verify::Place;

/// What is looked at: how it is called, the query of objects and their texts, and how to clear it.
const TEXTS: &[(&str, &str, &str)] = &[
    (
        "comment on",
        "SELECT pg_catalog.pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description FROM pg_catalog.pg_description AS d
         UNION ALL
         SELECT pg_catalog.pg_describe_object(d.classoid, d.objoid, 0), d.description FROM pg_catalog.pg_shdescription AS d",
        "COMMENT ON ... IS NULL",
    ),
    (
        "security label of",
        "SELECT pg_catalog.pg_describe_object(l.classoid, l.objoid, l.objsubid), l.label FROM pg_catalog.pg_seclabel AS l
         UNION ALL
         SELECT pg_catalog.pg_describe_object(l.classoid, l.objoid, 0), l.label FROM pg_catalog.pg_shseclabel AS l",
        "SECURITY LABEL ... IS NULL",
    ),
    (
        "bound of",
        "SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0), pg_catalog.pg_get_expr(c.relpartbound, c.oid)
           FROM pg_catalog.pg_class AS c WHERE c.relpartbound IS NOT NULL",
        "ALTER TABLE ... DETACH PARTITION, then DROP TABLE",
    ),
    (
        "definition of",
        "SELECT pg_catalog.pg_describe_object('pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid, 0), pg_catalog.pg_get_expr(d.adbin, d.adrelid)
           FROM pg_catalog.pg_attrdef AS d
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_constraint'::pg_catalog.regclass, c.oid, 0), pg_catalog.pg_get_constraintdef(c.oid)
           FROM pg_catalog.pg_constraint AS c WHERE c.contype OPERATOR(pg_catalog.=) ANY ('{c,x}'::\"char\"[])
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, i.indexrelid, 0), pg_catalog.pg_get_indexdef(i.indexrelid)
           FROM pg_catalog.pg_index AS i WHERE i.indpred IS NOT NULL OR i.indexprs IS NOT NULL
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0), pg_catalog.pg_get_ruledef(r.oid)
           FROM pg_catalog.pg_rewrite AS r WHERE r.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0), pg_catalog.pg_get_triggerdef(t.oid)
           FROM pg_catalog.pg_trigger AS t WHERE NOT t.tgisinternal
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, 0),
                pg_catalog.concat_ws(' ', pg_catalog.pg_get_expr(p.polqual, p.polrelid), pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
           FROM pg_catalog.pg_policy AS p
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0),
                pg_catalog.concat_ws(' ', p.prosrc, pg_catalog.pg_get_function_sqlbody(p.oid), pg_catalog.pg_get_function_arguments(p.oid))
           FROM pg_catalog.pg_proc AS p WHERE p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 0), t.typdefault
           FROM pg_catalog.pg_type AS t WHERE t.typdefault IS NOT NULL
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_type'::pg_catalog.regclass, e.enumtypid, 0), e.enumlabel::pg_catalog.text
           FROM pg_catalog.pg_enum AS e
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, f.ftrelid, 0), f.ftoptions::pg_catalog.text
           FROM pg_catalog.pg_foreign_table AS f
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_foreign_server'::pg_catalog.regclass, f.oid, 0), f.srvoptions::pg_catalog.text
           FROM pg_catalog.pg_foreign_server AS f
         UNION ALL
         SELECT pg_catalog.format('settings of role %s in database %s', s.setrole, s.setdatabase), s.setconfig::pg_catalog.text
           FROM pg_catalog.pg_db_role_setting AS s",
        "ALTER it, or DROP and CREATE it anew",
    ),
    (
        "name of",
        "SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0), c.relname::pg_catalog.text
           FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum), a.attname::pg_catalog.text
           FROM pg_catalog.pg_attribute AS a
          WHERE a.attrelid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
         UNION ALL
         SELECT pg_catalog.format('schema %I', n.nspname), n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace AS n
         UNION ALL
         SELECT pg_catalog.format('role %I', r.rolname), r.rolname::pg_catalog.text FROM pg_catalog.pg_roles AS r",
        "ALTER ... RENAME",
    ),
];

pub fn texts(seeker: &Seeker) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    for (what, query, how) in TEXTS {
        let mut found = Vec::new();
        let outcome = attempt(|| {
            Cursor::open(query, &[])?.each(|row| {
                if row.text(1).is_some_and(|text| seeker.finds(&text)) {
                    found.push(format!("{what} {}", row.text(0).unwrap_or_default()));
                }
                Ok(())
            })
        });
        if let Err(error) = outcome {
            if error.is_cancel() {
                return Err(error);
            }
            places.push(Place::new(format!("catalogue: {what} objects"), "not searched", error.message()));
        }
        places.extend(found.into_iter().map(|object| {
            // A name that has the value is not written into the proof that it is gone.
            let object = if seeker.finds(&object) {
                format!("{what} an object called after the person")
            } else {
                object
            };
            Place::new(object, "present", "in the catalogue").clear_by(*how)
        }));
    }
    if places.is_empty() {
        places.push(Place::new(
            "catalogue",
            "clear",
            "comments, labels, definitions, partition bounds, settings, names",
        ));
    }
    Ok(places)
}
