//! db_architect: a database architect that lives inside PostgreSQL.
//!
//! This file is the table of contents: modules, the ordered SQL chain and `_PG_init`.

#[cfg(not(panic = "unwind"))]
compile_error!(
    "db_architect must be built with panic = \"unwind\": errors cross into PostgreSQL by unwinding"
);

use pgrx::prelude::*;

mod access;
mod audit;
mod capture;
mod catalog;
mod cdc;
mod ddl;
mod error;
mod guc;
mod index;
mod maintenance;
mod partition;
mod pg;
mod privacy;
#[cfg(any(test, feature = "pg_test"))]
mod tests;
mod updated_at;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/schema.sql", name = "schema", bootstrap);
extension_sql_file!("../sql/capture.sql", name = "capture", requires = ["schema"]);
extension_sql_file!("../sql/updated_at.sql", name = "updated_at", requires = ["schema"]);
extension_sql_file!("../sql/maintenance.sql", name = "maintenance", requires = ["schema"]);
extension_sql_file!("../sql/partition_job.sql", name = "partition_job", requires = ["schema"]);
extension_sql_file!("../sql/partition.sql", name = "partition", requires = ["schema"]);
extension_sql_file!("../sql/cdc.sql", name = "cdc", requires = ["schema"]);
extension_sql_file!("../sql/audit_using.sql", name = "audit_using", requires = ["capture"]);
extension_sql_file!("../sql/index.sql", name = "index", requires = ["schema"]);
extension_sql_file!("../sql/cdc_consumer.sql", name = "cdc_consumer", requires = ["schema"]);

extension_sql_file!("../sql/finalize.sql", name = "finalize", finalize);

/// Called once in each session that loads the library.
#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    if pg::session::is_binary_upgrade() {
        return;
    }
    guc::define();
    pg::invalidation::register();
    pg::whatif::install();
    pg::notify::before_commit(capture::before_commit);
    pg::executor::take_up_by(capture::write_pending);
}

/// The version of the loaded library, as in `db_architect.control`.
#[pg_extern(immutable, parallel_safe)]
fn architect_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
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
