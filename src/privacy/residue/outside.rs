//! What the database cannot look into.

use crate::error::Result;
use crate::pg::{lookup, security, spi};
use crate::privacy::request::Request;
use crate::privacy::verify::Place;

/// Copies elsewhere.
pub fn places(request: &Request) -> Result<Vec<Place>> {
    let mut places = Vec::new();
    let earliest = security::as_extension_owner(|| {
        spi::read_one_now::<String>(
            "SELECT (r.erased_at OPERATOR(pg_catalog.+) s.backup_retention)::pg_catalog.text
               FROM architect.privacy_request AS r, architect.privacy_setting AS s
              WHERE r.request_id OPERATOR(pg_catalog.=) $1",
            &[request.request_id.into()],
        )
    });
    let how = "restoring one: reapply_tombstones(); set_privacy_rules(backup_retention => ...) says when they are gone";
    places.push(Place {
        earliest,
        ..Place::new("backups and archived write-ahead log", "outside", "kept elsewhere").clear_by(how)
    });
    places.push(
        Place::new("server log", "outside", "statements and messages of before, as far as they were logged")
            .clear_by("the log's own retention"),
    );
    let list = |query: &str| -> Result<Vec<String>> {
        Ok(spi::read_now(query, &[], |row| row.get::<String>(1))?.into_iter().flatten().collect())
    };
    for table in list(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c
           JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
          WHERE c.relkind OPERATOR(pg_catalog.=) 'f' ORDER BY 1",
    )? {
        places.push(Place::new(
            format!("foreign table {table}"),
            "outside",
            "its rows are on another server",
        ));
    }
    for publication in
        list("SELECT p.pubname::pg_catalog.text FROM pg_catalog.pg_publication AS p ORDER BY 1")?
    {
        places.push(
            Place::new(format!("subscribers of publication {publication}"), "outside", "they have copies")
                .clear_by("deletes and updates reach them by replication; check there"),
        );
    }
    if lookup::own_relation("cdc_consumer").is_some() {
        let consumers = security::as_extension_owner(|| {
            list("SELECT c.name FROM architect.cdc_consumer AS c ORDER BY 1")
        })?;
        for consumer in consumers {
            places.push(
                Place::new(
                    format!("consumer {consumer} of the change feed"),
                    "outside",
                    "keeps what it has read",
                )
                .clear_by("it reads of the erasing as of any change; check there"),
            );
        }
    }
    Ok(places)
}
