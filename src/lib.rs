//! db_architect: a database architect that lives inside PostgreSQL.
//!
//! This file is the table of contents: modules, the ordered SQL chain and `_PG_init`.

#[cfg(not(panic = "unwind"))]
compile_error!("db_architect must be built with panic = \"unwind\": errors cross into PostgreSQL by unwinding");

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

/// The version of the loaded library, as in `db_architect.control`.
#[pg_extern(immutable, parallel_safe)]
fn architect_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[cfg(any(test, feature = "pg_test"))]
#[pg_schema]
mod tests {
    use pgrx::prelude::*;

    #[pg_test]
    fn the_library_knows_its_version() {
        let version = Spi::get_one::<String>("SELECT architect.architect_version()").unwrap();
        assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
}

/// What `cargo pgrx test` calls.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        vec![]
    }
}
