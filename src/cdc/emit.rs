//! Events of the application's own: the transactional outbox.

use crate::capture::policy::Kind;
use crate::capture::{Emitted, emit as publish};
use crate::cdc::storage;
use crate::error::{Error, Result};
use crate::pg::{datum, json};
use pgrx::AnyElement;

pub fn emit(
    topic: &str,
    key: Option<&str>,
    payload: Option<&AnyElement>,
    headers: Option<&AnyElement>,
    channel: Option<&str>,
) -> Result<i64> {
    if topic.is_empty() {
        return Err(Error::invalid_parameter("an event needs a topic").hint("Name what kind of event it is."));
    }
    if let Some(channel) = channel.filter(|channel| channel.is_empty() || channel.len() > 63) {
        return Err(Error::invalid_parameter(format!("invalid channel name \"{channel}\""))
            .detail("The name of a channel has 1 to 63 bytes.")
            .hint("Choose another channel, or null to wake nobody."));
    }
    let headers = headers.map(datum::jsonb_text);
    if headers.as_ref().is_some_and(|headers| !headers.starts_with('{')) {
        return Err(Error::invalid_parameter("the headers of an event are not a JSON object")
            .hint("Write them as in '{\"content-type\": \"text/plain\"}'."));
    }
    if !Kind::Feed.storage_exists() {
        storage::ensure()?;
    }
    let mut key_text = Vec::new();
    let mut image = b"{\"topic\":".to_vec();
    json::string(topic.as_bytes(), &mut image);
    if let Some(key) = key {
        json::string(key.as_bytes(), &mut key_text);
        image.extend_from_slice(b",\"key\":");
        image.extend_from_slice(&key_text);
    }
    image.extend_from_slice(b",\"payload\":");
    image.extend_from_slice(payload.map_or_else(|| "null".into(), datum::jsonb_text).as_bytes());
    if let Some(headers) = headers {
        image.extend_from_slice(b",\"headers\":");
        image.extend_from_slice(headers.as_bytes());
    }
    image.push(b'}');
    publish(&Emitted { key: key.is_some().then_some(&key_text[..]), image: &image, channel })
}
