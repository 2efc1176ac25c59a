//! How texts for people count.

use std::fmt::{self, Display};

/// A number of things, as texts for people say it: `1 host`, `2 hosts`. The word is one whose plural ends in an s more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted<N>(pub N, pub &'static str);

impl<N: Display + PartialEq + From<u8>> Display for Counted<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counted(number, thing) = self;
        let s = if *number == N::from(1) { "" } else { "s" };
        write!(f, "{number} {thing}{s}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        let said = [0, 1, 2].map(|number| Counted(number, "free port").to_string());
        assert_eq!(said, ["0 free ports", "1 free port", "2 free ports"]);
    }
}
