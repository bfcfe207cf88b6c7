//! Settings. An application sets the first three with `SET LOCAL` in each transaction, which is safe
//! behind transaction poolers.

use crate::pg::settings::{ServerSetting, TextSetting};

/// Who acts, as the application knows them (a user id, an e-mail address). Recorded with every change.
pub static ACTOR: TextSetting = TextSetting::new();
/// The request, job or message this transaction belongs to: a uuid.
pub static CORRELATION_ID: TextSetting = TextSetting::new();
/// Anything else worth keeping with the change: a JSON document.
pub static CONTEXT: TextSetting = TextSetting::new();

/// File of the master keys that wrap the data keys of encrypted values. Only the server's configuration
/// sets it: who could choose the file could choose the key.
pub static MASTER_KEY_FILE: ServerSetting = ServerSetting::new();
/// Command that prints the master keys, for those kept in a key management service.
pub static MASTER_KEY_COMMAND: ServerSetting = ServerSetting::new();

/// Defines the settings; called once, when the library is loaded.
pub fn define() {
    ACTOR.define(
        c"architect.actor",
        c"Who makes the change, as the application knows them.",
        c"Recorded with every audited or captured change and by created_by and updated_by columns.",
    );
    CORRELATION_ID.define(
        c"architect.correlation_id",
        c"The request or job this transaction belongs to, as a uuid.",
        c"Recorded with every audited or captured change. A value that is not a uuid is an error when a change is recorded.",
    );
    CONTEXT.define(
        c"architect.context",
        c"A JSON document recorded with every change of this transaction.",
        c"Recorded with every audited or captured change. Invalid JSON is an error when a change is recorded.",
    );
    MASTER_KEY_FILE.define(
        c"architect.master_key_file",
        c"File of the master keys that wrap the data keys of encrypted values.",
        c"Lines of a name and 64 hexadecimal digits; the last one wraps new keys. Must be readable by the server only.",
    );
    MASTER_KEY_COMMAND.define(
        c"architect.master_key_command",
        c"Shell command that prints the master keys, instead of architect.master_key_file.",
        c"Run by the server's operating system user, once a session that encrypts or decrypts.",
    );
    crate::pg::settings::reserve_prefix(c"architect");
}
