//! The feed as a session writes to it: where its tables are, the positions, and what waits to be written.

use crate::capture::feed::{self, ChangeFeed, Entry};
use crate::capture::log::{Operation, Statement};
use crate::capture::notice;
use crate::capture::pending::Pending;
use crate::capture::position::Positions;
use crate::capture::recorder::Emitted;
use crate::capture::warning;
use crate::error::{Error, Result};
use crate::pg::memory::OwnedContext;
use crate::pg::{executor, session};
use pgrx::pg_sys;
use std::rc::Rc;

#[derive(Default)]
pub struct FeedWriter {
    state: FeedState,
    /// There while the feed is open, and kept while it is opened again.
    positions: Option<Positions>,
    pending: Pending,
    /// Where rows are put together; empty but for that.
    memory: Option<OwnedContext>,
}

#[derive(Default)]
enum FeedState {
    #[default]
    Unknown,
    Open(ChangeFeed),
    /// It cannot be written to, until something changes.
    Broken,
}

impl FeedWriter {
    /// Puts a change into the feed. It never fails the statement: what cannot be written is not captured, and
    /// said once.
    pub fn publish(&mut self, statement: &Statement, channel: Option<&Rc<str>>, entry: &Entry) {
        let published = self.open().and_then(|feed| {
            let Some((feed, positions, pending)) = feed else { return Ok(()) };
            let waits = Pending::takes(entry);
            let position = if waits && positions.may_wait(statement.txid, statement.command) {
                pending.add(statement, None, entry, feed, positions)?;
                None
            } else {
                pending.take_positions(positions)?;
                let (position, is_first) = positions.of_statement(statement.txid, statement.command)?;
                if !is_first && waits {
                    pending.add(statement, Some(position), entry, feed, positions)?;
                } else {
                    feed.append(statement, position, entry)?;
                }
                Some(position)
            };
            if let Some(channel) = channel {
                notice::note(statement.txid, channel, position);
            }
            Ok(())
        });
        if let Err(error) = published {
            self.is_broken(&error);
        }
    }

    pub fn emit(&mut self, statement: &Statement, event: &Emitted) -> Result<i64> {
        if matches!(self.state, FeedState::Broken) {
            self.state = FeedState::Unknown;
        }
        let Some((feed, positions, pending)) = self.open()? else {
            return Err(Error::internal("the change feed is not open"));
        };
        pending.take_positions(positions)?;
        let position = positions.single(statement.txid)?;
        let entry = Entry {
            table_id: 0,
            relation_id: 0,
            operation: Operation::Event,
            key: event.key,
            former_key: None,
            image: Some(event.image),
        };
        feed.append(statement, position, &entry)?;
        if let Some(channel) = event.channel {
            notice::note(statement.txid, &channel.into(), Some(position));
        }
        Ok(position)
    }

    /// Writes what waits in the innermost savepoint.
    pub fn write_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let memory = self.memory.take().unwrap_or_else(|| OwnedContext::new(c"db_architect feed"));
        let written = memory.within(|| {
            let Some((feed, positions, pending)) = self.open()? else { return Ok(()) };
            pending.write(session::savepoint(), feed, positions)
        });
        memory.reset();
        self.memory = Some(memory);
        if let Err(error) = written {
            self.is_broken(&error);
        }
        match self.state {
            FeedState::Broken => self.pending.clear(),
            // What is left is of savepoints around this one.
            _ if !self.pending.is_empty() => executor::leave(),
            _ => {}
        }
    }

    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn is_broken(&mut self, error: &Error) {
        warning::feed_is_broken(error);
        self.state = FeedState::Broken;
    }

    /// The feed; none while it is known to be broken.
    fn open(&mut self) -> Result<Option<(&mut ChangeFeed, &mut Positions, &mut Pending)>> {
        if matches!(self.state, FeedState::Unknown) {
            self.positions = Some(Positions::open(self.positions.take())?);
            self.state = FeedState::Open(ChangeFeed::open()?);
            executor::concerns(feed::tables()?);
        }
        match (&mut self.state, &mut self.positions) {
            (FeedState::Open(feed), Some(positions)) => Ok(Some((feed, positions, &mut self.pending))),
            _ => Ok(None),
        }
    }

    /// Savepoints of this number and higher are gone; 0: all.
    pub fn after_rollback(&mut self, lowest: u32) {
        self.pending.after_rollback(lowest);
        if let FeedState::Open(feed) = &mut self.state {
            feed.after_rollback();
        }
        if let Some(positions) = &mut self.positions {
            positions.after_rollback(lowest);
            if !positions.are_held() {
                self.pending.give_positions_back();
            }
        }
    }

    /// To be told which relations changed, by a question about any of them; says whether the feed has to be opened
    /// anew that was open.
    pub fn look_again(&mut self, any: impl Fn(&dyn Fn(pg_sys::Oid) -> bool) -> bool) -> bool {
        let sequence = |oid| self.positions.as_ref().is_some_and(|positions| positions.depends_on(oid));
        let (stale, was_open) = match &self.state {
            FeedState::Open(feed) => (any(&|oid| feed.depends_on(oid) || sequence(oid)), true),
            FeedState::Broken => (any(&|_| true), false),
            FeedState::Unknown => (false, false),
        };
        if stale {
            self.state = FeedState::Unknown;
        }
        stale && was_open
    }
}
