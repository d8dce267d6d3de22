//! The rules of the specification, read from its normative text.

mod text;

use std::fmt;

use serde::Serialize;
pub use text::extract;

/// One rule. Serialised it is an entry of `rules.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Such as `tunnel.early-data`.
    pub id: String,
    /// Its keyword.
    pub level: Level,
    /// `server`, `client` or `both`.
    pub subject: String,
    /// Where it comes from.
    pub origin: Origin,
    /// The first revision that contains it.
    pub since: String,
    /// The profile that contains it.
    pub profile: Profile,
    /// Whether breaking it corrupts data.
    pub corrupts: bool,
    /// Number and title of the section, such as `4.1. Lines`.
    pub section: String,
    /// The sentence.
    pub text: String,
    /// The reason, if the text gives one.
    pub rationale: Option<String>,
    /// Why no case can judge it.
    pub unjudged: Option<String>,
    /// The line of its id in the text, counted from 1.
    #[serde(skip)]
    pub line: usize,
}

/// The RFC 2119 keyword of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// MUST and MUST NOT.
    Must,
    /// SHOULD and SHOULD NOT.
    Should,
    /// MAY.
    May,
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The original README.
    Readme,
    /// Both original programs do so, and peers depend on it.
    Observed,
    /// Decided for this text.
    Clarified,
}

/// A selection of rules, see section 1.5 of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Peers that follow these rules interoperate.
    Wire,
    /// All rules.
    Hardened,
}

/// A rule that is not well formed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{FILE}:{line}: {fault}")]
pub struct RuleError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a rule. Each names the id of the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The paragraph has less than three lines.
    #[error("a rule needs an id, a sentence and attributes")]
    Short,
    /// The first line is no id.
    #[error("`{0}` is no id in brackets")]
    Id(String),
    /// Another rule has the same id.
    #[error("`{0}` is used twice")]
    Twice(String),
    /// The last line is not one of attributes.
    #[error("`{0}` has no line of attributes in braces after its sentence")]
    NoAttributes(String),
    /// The sentence has none of the keywords of [`Level`], or several.
    #[error("`{id}` has {found} keywords, it needs one")]
    Keywords {
        /// The rule.
        id: String,
        /// How many there are.
        found: usize,
    },
    /// An attribute has an unknown name or value.
    #[error("`{id}`: `{attribute}` is no attribute")]
    Attribute {
        /// The rule.
        id: String,
        /// Its name and value.
        attribute: String,
    },
    /// The origin is missing.
    #[error("`{0}` needs an origin: readme, observed or clarified")]
    NoOrigin(String),
    /// The subject is missing.
    #[error("`{0}` needs a subject: server, client or both")]
    NoSubject(String),
    /// The first revision is missing.
    #[error("`{0}` needs `since`, a revision up to {REVISION}")]
    NoSince(String),
    /// A reason stands after no rule.
    #[error("`Why:` explains the rule right above it, and there is none")]
    Why,
}

/// The revision of the protocol, such as `0.3`.
pub const REVISION: &str = env!("NETROXY_REVISION");

/// The folder of its specification, seen from the root of the repository.
pub const FOLDER: &str = env!("NETROXY_SPEC");

/// Where the text is, seen from the root of the repository.
pub const FILE: &str = concat!(env!("NETROXY_SPEC"), "/netroxy.md");

/// The normative text, whole.
pub const TEXT: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../",
    env!("NETROXY_SPEC"),
    "/netroxy.md"
));

/// The rules of the embedded text.
///
/// # Errors
/// The first rule that is not well formed.
pub fn embedded() -> Result<Vec<Rule>, RuleError> {
    extract(TEXT)
}

impl Rule {
    /// Whether profile wire contains it.
    pub fn is_wire(&self) -> bool {
        self.profile == Profile::Wire
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Readme => "readme",
            Self::Observed => "observed",
            Self::Clarified => "clarified",
        })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wire => "wire",
            Self::Hardened => "hardened",
        })
    }
}
