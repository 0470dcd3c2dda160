//! The rows that all sets of columns have.

/// Gives a set of columns its rows, each as a view of its own. How many there are says `facts`, the host's side of
/// the set, which must be in scope under that name.
macro_rules! rows {
    ($columns:ident of $view:ident) => {
        impl $columns {
            /// Those of the call under way.
            pub(crate) fn of_this_call() -> Self {
                Self { count: facts::count() as usize, ..Self::default() }
            }

            /// How many there are.
            pub fn len(&self) -> usize {
                self.count
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.count == 0
            }

            /// All of them, in the order in which they now stand.
            pub fn iter(&self) -> impl ExactSizeIterator<Item = $view<'_>> {
                (0..self.count).map(|row| $view { facts: self, row })
            }
        }
    };
}

pub(crate) use rows;
