//! The event trigger behind which tables are followed, and who follows.

use crate::capture::ddl::{self, Follower};
use pgrx::prelude::*;

const FOLLOWERS: &[Follower] = &[crate::audit::FOLLOWER, crate::cdc::FOLLOWER];

/// Event trigger function behind architect_ddl: records new tables of audited and captured schemas,
/// completes new partitions, follows renames. What fails is a warning, never an error of the command.
#[pg_extern(sql = "
CREATE FUNCTION architect.note_ddl() RETURNS event_trigger
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
CREATE EVENT TRIGGER architect_ddl ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'ALTER SCHEMA')
    EXECUTE FUNCTION architect.note_ddl();
")]
fn note_ddl(_fcinfo: pgrx::pg_sys::FunctionCallInfo) {
    ddl::on_ddl_command_end(FOLLOWERS);
}
