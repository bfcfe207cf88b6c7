//! Blocks of positions a transaction has open: one for each statement that is being recorded, outermost first.
//!
//! A row's trigger may run statements of its own between two rows of the statement that fired it. When
//! control comes back the outer one goes on in its own block, below theirs: it had made its changes, and
//! held the locks of its rows, before the first of them began.

#![forbid(unsafe_code)]

#[derive(Default)]
pub struct Blocks(Vec<Block>);

#[derive(Clone, Copy)]
pub struct Block {
    /// Number of the statement's command within the transaction.
    pub command: u32,
    /// How many triggers deep it is recorded: statements of one depth follow one another.
    pub depth: i32,
    /// The savepoint it is used in.
    pub savepoint: u32,
    /// The first position of the block.
    pub first: i64,
    pub next: i64,
    pub end: i64,
}

impl Blocks {
    /// The next position in a command's block; none where it has none, or has used it up. `depth` is only
    /// asked for where the command is not the one that came last.
    pub fn next(&mut self, command: u32, depth: impl FnOnce() -> i32) -> Option<i64> {
        if self.0.last()?.command != command {
            let depth = depth();
            self.0.retain(|block| block.depth <= depth);
        }
        let block = self.0.last_mut().filter(|block| block.command == command && block.next < block.end)?;
        block.next += 1;
        Some(block.next - 1)
    }

    /// Whether a command has a block, used up or not.
    pub fn has(&self, command: u32) -> bool {
        self.0.iter().any(|block| block.command == command)
    }

    /// The block of the last statement, if that was of this depth, so that it has ended, and left something of it.
    pub fn rest(&self, depth: i32) -> Option<Block> {
        self.0.last().filter(|block| block.depth == depth && block.next < block.end).copied()
    }

    /// Opens a block, in place of those of statements that have ended by now.
    pub fn open(&mut self, block: Block) {
        self.0.retain(|earlier| earlier.depth < block.depth);
        self.0.push(block);
    }

    /// Savepoints of this number and higher are gone.
    pub fn after_rollback(&mut self, lowest: u32) {
        self.0.retain(|block| block.savepoint < lowest);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(command: u32, depth: i32, savepoint: u32, next: i64) -> Block {
        Block { command, depth, savepoint, first: next, next, end: next + 2 }
    }

    #[test]
    fn an_outer_statement_goes_on_in_its_block_after_inner_ones() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.next(1, || 1), None);
        blocks.open(block(1, 1, 1, 100));
        assert_eq!(blocks.next(1, || 1), Some(100));
        assert_eq!(blocks.next(5, || 2), None);
        blocks.open(block(5, 2, 1, 200));
        assert_eq!(blocks.next(5, || 2), Some(200));
        assert_eq!(blocks.next(1, || 1), Some(101));
        assert_eq!(blocks.next(1, || 1), None, "it is used up");
    }

    #[test]
    fn a_statement_that_ended_is_forgotten() {
        let mut blocks = Blocks::default();
        blocks.open(block(1, 1, 1, 100));
        blocks.open(block(5, 2, 1, 200));
        blocks.open(block(9, 1, 1, 300));
        assert_eq!(blocks.0.len(), 1);
        assert_eq!(blocks.next(1, || 1), None);
    }

    #[test]
    fn what_a_statement_left_is_for_one_that_follows_it() {
        let mut blocks = Blocks::default();
        assert!(blocks.rest(1).is_none());
        blocks.open(block(1, 1, 1, 100));
        assert_eq!(blocks.next(1, || 1), Some(100));
        assert!(blocks.rest(2).is_none(), "the outer statement may go on");
        assert_eq!(blocks.rest(1).map(|rest| rest.next), Some(101));
        assert_eq!(blocks.next(1, || 1), Some(101));
        assert!(blocks.rest(1).is_none(), "it is used up");
    }

    #[test]
    fn a_savepoint_takes_its_blocks_along() {
        let mut blocks = Blocks::default();
        blocks.open(block(1, 1, 1, 100));
        blocks.open(block(5, 2, 2, 200));
        blocks.after_rollback(2);
        assert_eq!(blocks.next(5, || 2), None);
        assert_eq!(blocks.next(1, || 1), Some(100));
        blocks.after_rollback(0);
        assert_eq!(blocks.next(1, || 1), None);
    }
}
