//! Sets of port numbers of a configuration: `"1024-65535"`, `"80, 443, 10000-10099"`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A set of remote ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSet(Vec<RangeInclusive<u16>>);

/// The error for a text that is no set of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be ports and ranges of ports from 1 to 65535, as in \"80, 10000-10099\"")]
pub struct InvalidPortSet;

impl PortSet {
    /// The ports that need no privilege, 1024 to 65535. A client may map them if the configuration does not say
    /// otherwise.
    #[must_use]
    pub fn unprivileged() -> Self {
        Self(vec![1024..=65535])
    }

    /// Whether the set contains a port.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|range| range.contains(&port))
    }
}

impl FromStr for PortSet {
    type Err = InvalidPortSet;

    fn from_str(text: &str) -> Result<Self, InvalidPortSet> {
        let port = |text: &str| match text.trim().parse() {
            Ok(0) | Err(_) => Err(InvalidPortSet),
            Ok(port) => Ok(port),
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = port(first)?..=port(last)?;
            (!range.is_empty()).then_some(range).ok_or(InvalidPortSet)
        };
        text.split(',')
            .map(range)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(f, "{comma}{first}")?,
                (first, last) => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for PortSet {
    /// Reads a text, or one number.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return Err(D::Error::custom(InvalidPortSet)),
        };
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges_are_parsed() {
        let set: PortSet = "80, 443,10000 - 10099".parse().unwrap();
        for (port, inside) in [
            (80, true),
            (81, false),
            (10000, true),
            (10099, true),
            (10100, false),
        ] {
            assert_eq!(set.contains(port), inside, "{port}");
        }
        assert_eq!(set.to_string(), "80, 443, 10000-10099");
        assert_eq!(
            serde_json::from_str::<PortSet>("80").unwrap().to_string(),
            "80"
        );
    }

    #[test]
    fn a_text_that_is_no_set_of_ports_is_an_error() {
        for text in [
            "", ",", "0", "70000", "9-8", "-", "1-", "a", "1,,2", "1-2-3",
        ] {
            assert_eq!(text.parse::<PortSet>(), Err(InvalidPortSet), "{text:?}");
        }
        for json in ["true", "{}", "-1", "1.5"] {
            assert!(serde_json::from_str::<PortSet>(json).is_err(), "{json}");
        }
    }
}
