//! Texts that many records have in common.

use std::collections::HashSet;
use std::hash::Hash;

/// Texts kept for sharing. When there are more, sharing begins anew.
const MOST: usize = 1 << 14;

/// Names that were seen, so that records with the same one share its memory: each record that a store hands over
/// brings its own copy. No part of what a state says, so any two are equal.
#[derive(Debug, Clone)]
pub(super) struct Shared<T>(HashSet<T>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Shared(HashSet::new())
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Shared<T> {}

impl<T: Clone + Eq + Hash> Shared<T> {
    /// Make it the copy that others have.
    pub(super) fn share(&mut self, name: &mut T) {
        if let Some(known) = self.0.get(name) {
            *name = known.clone();
            return;
        }
        if self.0.len() >= MOST {
            self.0 = HashSet::new();
        }
        self.0.insert(name.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn equal_names_become_one_and_there_are_never_many() {
        let mut shared = Shared::default();
        let (mut one, mut other): (Arc<str>, Arc<str>) = ("a".into(), "a".into());
        shared.share(&mut one);
        shared.share(&mut other);
        assert!(Arc::ptr_eq(&one, &other));
        for number in 0..3 * MOST {
            shared.share(&mut Arc::from(number.to_string()));
            assert!(shared.0.len() <= MOST);
        }
        shared.share(&mut other);
        assert_eq!(&*other, "a");
    }
}
