//! A word of a command line that selects cases, rules, folders of cases or areas of rules.

use netroxy_judge::run::Job;
use netroxy_specification::catalog::Entry;

/// A word that selects, split into name and transport.
///
/// Every name that this program prints is such a word: a rule, or a case, also with its transport (`...@tls`) or the
/// number of its round (`...#2`), which is ignored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern<'a> {
    name: &'a str,
    transport: Option<&'a str>,
}

impl<'a> Pattern<'a> {
    /// Splits a word.
    pub(crate) fn new(word: &'a str) -> Self {
        let round = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let word = match word.rsplit_once('#') {
            Some((name, digits)) if round(digits) => name,
            _ => word,
        };
        let (name, transport) = match word.split_once('@') {
            Some((name, transport)) => (name, Some(transport)),
            None => (word, None),
        };
        Self {
            name: name.trim_end_matches(['/', '.']),
            transport,
        }
    }

    /// The word without transport and round.
    pub(crate) fn name(self) -> &'a str {
        self.name
    }

    /// The transport, if it does not exist.
    pub(crate) fn unknown_transport(self) -> Option<&'a str> {
        self.transport
            .filter(|transport| !["plain", "tls"].contains(transport))
    }

    /// Whether it selects this rule: by its id, a pattern, or its area, such as `keep`.
    pub(crate) fn rule(self, id: &str) -> bool {
        glob(self.name, id) || within(self.name, id, '.')
    }

    /// Whether it selects this case: by its id, a pattern, or its folder, each with or without the role.
    pub(crate) fn case(self, id: &str) -> bool {
        let means = |id: &str| glob(self.name, id) || within(self.name, id, '/');
        means(id) || id.split_once('/').is_some_and(|(_, id)| means(id))
    }

    /// Whether it selects this case, or a rule that the case judges.
    pub(crate) fn entry(self, entry: &Entry) -> bool {
        let mut rules = entry.case.rules.value.iter();
        self.case(&entry.id) || rules.any(|rule| self.rule(rule))
    }

    /// Whether it selects this run.
    pub(crate) fn job(self, job: &Job) -> bool {
        let named = |transport: &str| transport == job.transport.to_string();
        self.entry(&job.entry) && self.transport.is_none_or(named)
    }
}

/// Whether `name` is the part of an id before one of its dividers.
fn within(name: &str, id: &str, divider: char) -> bool {
    !name.is_empty()
        && id
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(divider))
}

/// Whether a text matches a pattern, in which `*` stands for any text.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => match text.strip_prefix(head) {
            None => false,
            Some(rest) => (0..=rest.len())
                .filter_map(|at| rest.get(at..))
                .any(|rest| glob(tail, rest)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(glob("server/*/bad-*", "server/auth/bad-password"));
        assert!(glob("tunnel.*", "tunnel.early-data"));
        assert!(glob("*", ""));
        assert!(!glob("tunnel.*", "map.order"));
        assert!(!glob("server/auth", "server/auth/x"));
    }

    #[test]
    fn a_folder_selects_its_cases_and_an_area_its_rules() {
        let case = |word, id| Pattern::new(word).case(id);
        for word in [
            "server/auth/login",
            "server/auth/login@tls",
            "server/auth/login#3",
            "server/auth/login@tls#12",
            "server/auth",
            "server/auth/",
            "server",
            "auth",
            "auth/login",
            "*/login",
        ] {
            assert!(case(word, "server/auth/login"), "{word}");
        }
        for word in [
            "server/au",
            "login",
            "",
            "/",
            "client/auth",
            "server/auth/log",
            "auth.x",
        ] {
            assert!(!case(word, "server/auth/login"), "{word}");
        }
        let rule = |word, id| Pattern::new(word).rule(id);
        for word in ["keep.srs", "keep", "keep.", "keep.*"] {
            assert!(rule(word, "keep.srs"), "{word}");
        }
        for word in ["kee", "srs", "", ".", "keep.sr"] {
            assert!(!rule(word, "keep.srs"), "{word}");
        }
        assert_eq!(Pattern::new("a@udp").unknown_transport(), Some("udp"));
        assert_eq!(Pattern::new("a@tls#1").unknown_transport(), None);
    }
}
