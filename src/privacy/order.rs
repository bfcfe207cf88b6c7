//! The order in which tables are emptied.
#![forbid(unsafe_code)]

/// Groups of tables: who refers comes before who is referred to, and tables that refer to each other in a circle
/// are one group. `refers` holds (who refers, who is referred to). Tarjan's algorithm, without recursion.
pub fn order(count: usize, refers: &[(usize, usize)]) -> Vec<Vec<usize>> {
    // A group is complete once everything it leads to is: leading from the one referred to, to those who refer.
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (from, to) in refers {
        next[*to].push(*from);
    }
    let mut state = Search {
        index: vec![None; count],
        low: vec![0; count],
        on: vec![false; count],
        ..Default::default()
    };
    for start in 0..count {
        if state.index[start].is_none() {
            state.visit(start, &next);
        }
    }
    state.groups
}

#[derive(Default)]
struct Search {
    index: Vec<Option<usize>>,
    low: Vec<usize>,
    on: Vec<bool>,
    stack: Vec<usize>,
    groups: Vec<Vec<usize>>,
    count: usize,
}

impl Search {
    fn enter(&mut self, table: usize) {
        self.index[table] = Some(self.count);
        self.low[table] = self.count;
        self.count += 1;
        self.stack.push(table);
        self.on[table] = true;
    }

    fn visit(&mut self, start: usize, next: &[Vec<usize>]) {
        let mut path = vec![(start, 0)];
        self.enter(start);
        while let Some((table, step)) = path.pop() {
            if let Some(&to) = next[table].get(step) {
                path.push((table, step + 1));
                match self.index[to] {
                    None => {
                        self.enter(to);
                        path.push((to, 0));
                    }
                    Some(index) if self.on[to] => self.low[table] = self.low[table].min(index),
                    Some(_) => {}
                }
                continue;
            }
            if let Some((parent, _)) = path.last() {
                self.low[*parent] = self.low[*parent].min(self.low[table]);
            }
            if self.index[table] == Some(self.low[table]) {
                let mut group = Vec::new();
                while let Some(member) = self.stack.pop() {
                    self.on[member] = false;
                    group.push(member);
                    if member == table {
                        break;
                    }
                }
                group.sort_unstable();
                self.groups.push(group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn who_refers_comes_first() {
        // 1 and 2 refer to 0, 3 to both.
        let groups = order(4, &[(1, 0), (2, 0), (3, 1), (3, 2)]);
        let place = |table: usize| groups.iter().position(|g| g.contains(&table));
        assert_eq!(groups.len(), 4);
        assert!(place(3) < place(1) && place(3) < place(2) && place(1) < place(0) && place(2) < place(0));
    }

    #[test]
    fn a_circle_is_one_group_and_a_table_may_refer_to_itself() {
        assert_eq!(order(4, &[(0, 1), (1, 2), (2, 0), (3, 0), (3, 3)]), [vec![3], vec![0, 1, 2]]);
        assert_eq!(order(2, &[]), [vec![0], vec![1]]);
    }

    #[test]
    fn a_long_chain_needs_no_deep_stack() {
        let chain: Vec<(usize, usize)> = (1..20_000).map(|i| (i, i - 1)).collect();
        let groups = order(20_000, &chain);
        assert_eq!((groups.len(), groups[0][0], groups[19_999][0]), (20_000, 19_999, 0));
    }
}
