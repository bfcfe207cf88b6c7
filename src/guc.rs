//! Settings. An application sets its three with `SET LOCAL` in each transaction, which is safe
//! behind transaction poolers.

use crate::pg::settings::TextSetting;

/// Who acts, as the application knows them (a user id, an e-mail address). Recorded with every change.
pub static ACTOR: TextSetting = TextSetting::new();
/// The request, job or message this transaction belongs to: a uuid.
pub static CORRELATION_ID: TextSetting = TextSetting::new();
/// Anything else worth keeping with the change: a JSON document.
pub static CONTEXT: TextSetting = TextSetting::new();

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
    crate::pg::settings::reserve_prefix(c"architect");
}
