//! Peers with a known bug.

use std::fmt;
use std::sync::Arc;

use netroxy_broken::{Bug, Manner};
use netroxy_judge::manifest::ManifestError;
use netroxy_judge::sut::Subject;
use netroxy_specification::notation::ast::Side;

use crate::peers::{self, fits};

/// A peer with a bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mutant {
    pub(crate) side: Side,
    pub(crate) bug: Bug,
}

impl Mutant {
    /// All mutants.
    pub(crate) fn all() -> Vec<Self> {
        let sides = [Side::Server, Side::Client].into_iter();
        sides
            .flat_map(|side| {
                let bugs = Bug::ALL.iter().copied();
                let bugs = bugs.filter(move |bug| fits(Manner::Bad(*bug), side));
                bugs.map(move |bug| Self { side, bug })
            })
            .collect()
    }

    /// The subjects with the bug: the peer alone, and with a partner without a bug.
    pub(super) fn subjects(self) -> Result<Vec<Arc<Subject>>, ManifestError> {
        let mutant = peers::broken(self.side, Manner::Bad(self.bug))?;
        let pair = match self.side {
            Side::Server => (mutant.clone(), peers::broken(Side::Client, Manner::Good)?),
            Side::Client => (peers::broken(Side::Server, Manner::Good)?, mutant.clone()),
        };
        let subjects = [Subject::Started(mutant), Subject::Pair(Box::new(pair))];
        Ok(subjects.map(Arc::new).to_vec())
    }
}

/// Such as `server crowd-lost`.
impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.side, self.bug)
    }
}
