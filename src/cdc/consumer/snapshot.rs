//! The rows that were there when a consumer was made.

use super::delivery::{Delivery, Sink};
use super::state::{Consumer, Reading};
use crate::error::Result;

/// Rows that were there are numbered from here: below every position of the feed.
pub const FIRST: i64 = i64::MIN / 2;

/// The next batch of rows.
pub struct Batch {
    pub count: usize,
    pub after: i64,
    pub reading: Reading,
    pub progress: Progress,
}

pub struct Progress;

pub fn next(_consumer: &Consumer, _max: usize, _sink: &mut dyn Sink) -> Result<Option<Batch>> {
    Ok(None)
}
pub fn advance(_consumer: i32, _progress: &Progress) -> Result<()> {
    Ok(())
}
pub fn finish(_consumer: i32) -> Result<()> {
    Ok(())
}
pub fn read_again(
    _position: i64,
    _reading: &Reading,
    _after: i64,
    _attempt: i32,
    _each: &mut dyn FnMut(&Delivery) -> Result<bool>,
) -> Result<()> {
    Ok(())
}
pub fn key_at(_position: i64, _reading: &Reading, _after: i64, _at: i64) -> Result<Option<String>> {
    Ok(None)
}

/// Tables whose rows a consumer begins with.
pub fn tables(_filter: &super::filter::Filter) -> Result<Vec<i32>> {
    Ok(Vec::new())
}
