//! Logical messages: what the application says about its transaction, and events of its own.
#![forbid(unsafe_code)]

use crate::cdc::event::{self, Body, Operation, Section};
use crate::pg::json;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Prefix of a message about the transaction it is in: who acts, for which request.
pub const CONTEXT: &str = "architect.context";
/// Prefix of an event an application writes itself.
pub const EVENT: &str = "architect.event";
/// Prefix of a message that only moves slots along.
pub const HEARTBEAT: &str = "architect.heartbeat";

#[derive(Deserialize)]
struct Context<'a> {
    #[serde(default)]
    actor: Option<String>,
    #[serde(default)]
    correlation_id: Option<String>,
    #[serde(borrow, default)]
    context: Option<&'a RawValue>,
}

/// The members that say who acted, from the content of a context message; none from anything else.
pub fn author(content: &[u8]) -> Option<Vec<u8>> {
    // An array would be read as an object's members in order.
    if content.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let said: Context = serde_json::from_slice(content).ok()?;
    Some(event::author(
        said.actor.as_deref().map(str::as_bytes),
        said.correlation_id.as_deref().map(str::as_bytes),
        said.context.map(|c| c.get().as_bytes()),
    ))
}

#[derive(Deserialize)]
struct Outbox<'a> {
    topic: String,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
}

/// A message as an event.
pub struct Said {
    pub operation: Operation,
    /// Its topic or prefix, as a member.
    pub names: Vec<u8>,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    headers: Option<Vec<u8>>,
}

impl Said {
    /// `is_text`: whether the content is text in the server's encoding.
    pub fn of(prefix: &[u8], content: &[u8], is_text: bool) -> Self {
        if prefix == HEARTBEAT.as_bytes() {
            let names = Vec::new();
            return Self { operation: Operation::Heartbeat, names, key: None, payload: None, headers: None };
        }
        if prefix == EVENT.as_bytes()
            && let Ok(outbox) = serde_json::from_slice::<Outbox>(content)
        {
            let json = |value: Option<&RawValue>| value.map(|v| v.get().as_bytes().to_vec());
            return Self {
                operation: Operation::Event,
                names: member("topic", outbox.topic.as_bytes()),
                key: json(outbox.key),
                payload: json(outbox.payload),
                headers: json(outbox.headers),
            };
        }
        let mut payload = Vec::new();
        if is_text {
            json::string(content, &mut payload);
        } else {
            json::hex(content, &mut payload);
        }
        Self {
            operation: Operation::Message,
            names: member("prefix", prefix),
            key: None,
            payload: Some(payload),
            headers: None,
        }
    }
}

fn member(name: &str, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    json::string(name.as_bytes(), &mut out);
    out.push(b':');
    json::string(text, &mut out);
    out
}

impl Body for Said {
    fn write(&mut self, section: Section, out: &mut Vec<u8>) -> bool {
        let value = match section {
            Section::Key => &self.key,
            Section::Payload => &self.payload,
            Section::Headers => &self.headers,
            _ => return false,
        };
        let Some(value) = value else { return false };
        out.extend_from_slice(value);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_and_events_are_read() {
        let said = author(br#"{"actor":"al\"ice","context":{"a":[1, 2]},"other":1}"#).unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), r#""actor":"al\"ice","context":{"a":[1, 2]}"#);
        assert!(author(b"{").is_none() && author(b"[]").is_none() && author(b"\xff").is_none());
        let event = Said::of(EVENT.as_bytes(), br#"{"topic":"o","key":"k","payload":{"a":1}}"#, true);
        assert_eq!((event.operation, &event.names[..]), (Operation::Event, &br#""topic":"o""#[..]));
        assert_eq!(event.payload.as_deref(), Some(&br#"{"a":1}"#[..]));
    }

    #[test]
    fn anything_else_is_a_message() {
        let said = Said::of(EVENT.as_bytes(), b"no json", true);
        assert_eq!(
            (said.operation, said.payload.as_deref()),
            (Operation::Message, Some(&b"\"no json\""[..]))
        );
        let said = Said::of(b"x", b"\x00\xff", false);
        assert_eq!(said.payload.as_deref(), Some(&b"\"\\\\x00ff\""[..]));
    }
}
