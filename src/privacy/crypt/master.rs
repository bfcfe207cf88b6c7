//! The master keys of this session: read from the file, or from what the command prints, that the
//! server's configuration names. They are never in a setting, an argument or the database.

use super::key_file::{self, MasterKey};
use crate::error::{Error, Result};
use crate::guc;
use pgrx::prelude::*;
use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use zeroize::Zeroizing;

/// Permissions a key file must not give: anything to others, writing to the group.
const FORBIDDEN: u32 = 0o027;

pub type Keys = Rc<Vec<MasterKey>>;

/// Where keys were read from, and in which state a file was then.
#[derive(PartialEq, Clone)]
enum Source {
    File { path: String, inode: u64, size: u64, modified: (i64, i64) },
    Command(String),
}

thread_local! {
    static READ: RefCell<Option<(Source, Keys)>> = const { RefCell::new(None) };
}

/// The master keys; the last one wraps new keys. A file is read again when it has changed, a command is
/// run once a session and again when `again` says that a key was missing.
pub fn keys(again: bool) -> Result<Keys> {
    let source = source()?;
    let known = READ.with_borrow(|read| {
        let (from, keys) = read.as_ref()?;
        let stale = again && matches!(from, Source::Command(_));
        (*from == source && !stale).then(|| Rc::clone(keys))
    });
    if let Some(keys) = known {
        return Ok(keys);
    }
    let text = match &source {
        Source::File { path, .. } => {
            Zeroizing::new(std::fs::read_to_string(path).map_err(|e| unreadable(&e))?)
        }
        Source::Command(command) => run(command)?,
    };
    let keys =
        key_file::parse(&text).map_err(|reason| invalid(format!("The keys cannot be used: {reason}.")))?;
    let keys = Rc::new(keys);
    READ.with_borrow_mut(|read| *read = Some((source, Rc::clone(&keys))));
    Ok(keys)
}

fn source() -> Result<Source> {
    match (guc::MASTER_KEY_FILE.get(), guc::MASTER_KEY_COMMAND.get()) {
        (Some(path), None) => {
            let file = std::fs::metadata(&path).map_err(|e| unreadable(&e))?;
            if file.mode() & FORBIDDEN != 0 {
                return Err(invalid(
                    "The file of architect.master_key_file is open to others than its owner.",
                )
                .hint("chmod 0600 the file (0640 if it belongs to root)."));
            }
            let modified = (file.mtime(), file.mtime_nsec());
            Ok(Source::File { path, inode: file.ino(), size: file.size(), modified })
        }
        (None, Some(command)) => Ok(Source::Command(command)),
        (Some(_), Some(_)) => Err(invalid(
            "Both architect.master_key_file and architect.master_key_command are set; one of them is needed.",
        )),
        (None, None) => Err(Error::not_in_prerequisite_state("no master key is configured").hint(
            "Set architect.master_key_file (or architect.master_key_command) in postgresql.conf and reload. \
             The file has lines of a name and 64 hexadecimal digits and must be readable by the server only.",
        )),
    }
}

fn run(command: &str) -> Result<Zeroizing<String>> {
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .output()
        .map_err(|e| unreadable(&e))?;
    if !output.status.success() {
        return Err(invalid(format!(
            "The command of architect.master_key_command failed: {}.",
            output.status
        )));
    }
    String::from_utf8(output.stdout).map(Zeroizing::new).map_err(|_| {
        invalid("The command of architect.master_key_command printed something that is not text.")
    })
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR, "the master key cannot be read").detail(detail)
}

/// Says why and not which file: the path is for superusers.
fn unreadable(error: &std::io::Error) -> Error {
    invalid(format!("The system says: {}.", error.kind()))
}
