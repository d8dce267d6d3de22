//! Flags that several commands share, and how their values are read.

use std::time::Duration;

use clap::{Args, ValueEnum};
use netroxy_judge::run::{Options, Order};

use super::complaint::Complaint;
use super::exit::EXIT_HARNESS;

/// How many cases run at a time, in which order, and how often.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Pace {
    /// How many cases run at a time; most cases wait for a deadline and use little CPU [default: 200, selftest 600;
    /// fewer if the limit of file descriptors is low]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) jobs: Option<u16>,
    /// Multiply every deadline, for slow machines [default: 1]
    #[arg(long, value_name = "X", value_parser = time_scale)]
    time_scale: Option<f64>,
    /// How many seconds a connection stays idle in the cases that check deadlines [default: as the manifest says]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=600))]
    still: Option<u16>,
    /// Run the cases in a random order
    #[arg(long)]
    pub(super) shuffle: bool,
    /// The seed of --shuffle, a number [default: random]
    #[arg(long, value_name = "N", value_parser = seed, requires = "shuffle")]
    pub(super) seed: Option<u64>,
    /// Run each case N times
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    repeat: u32,
    /// Stop at the first failure
    #[arg(long)]
    fail_fast: bool,
    /// Name the N slowest cases at the end, at most 10
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(super) slowest: usize,
}

/// Which rules count; the default is the same for every command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Profile {
    /// What peers need to work together, and what would corrupt data
    #[default]
    Wire,
    /// Every rule
    Hardened,
}

/// How many cases run at a time, and their deadlines, for commands that choose the order themselves.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Speed {
    /// How many cases run at a time, at most; most cases wait for a deadline and use little CPU
    #[arg(short, long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Multiply every deadline, for slow machines [default: 1]
    #[arg(long, value_name = "X", default_value_t = 1.0, hide_default_value = true, value_parser = time_scale)]
    time_scale: f64,
    /// How many seconds a connection stays idle in the cases that check deadlines [default: as the manifest says]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u16).range(1..=600))]
    still: Option<u16>,
}

impl Speed {
    pub(super) fn time_scale(self) -> f64 {
        self.time_scale
    }

    pub(super) fn options(self, hardened: bool) -> Options {
        Options {
            hardened,
            jobs: usize::from(self.jobs),
            time_scale: self.time_scale,
            still: self.still.map(|still| Duration::from_secs(still.into())),
        }
    }
}

impl Pace {
    /// The factor of every deadline.
    pub(super) fn time_scale(self) -> f64 {
        self.time_scale.unwrap_or(1.0)
    }

    pub(super) fn options(self, hardened: bool) -> Options {
        Options {
            hardened,
            jobs: usize::from(self.jobs.unwrap_or(200)),
            time_scale: self.time_scale(),
            still: self.still.map(|still| Duration::from_secs(still.into())),
        }
    }

    pub(super) fn order(self) -> Result<Order, Complaint> {
        let seed = match (self.shuffle, self.seed) {
            (false, _) => None,
            (true, Some(seed)) => Some(seed),
            (true, None) => Some(getrandom::u64().map_err(|error| {
                Complaint::new(EXIT_HARNESS, format!("no random seed: {error}"))
                    .hint("give a seed: --seed N")
            })?),
        };
        Ok(Order {
            seed,
            repeat: self.repeat,
            fail_fast: self.fail_fast,
        })
    }
}

/// Reads a factor for deadlines.
pub(super) fn time_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(scale) if (0.01..=1000.0).contains(&scale) => Ok(scale),
        Ok(_) | Err(_) => Err("expected a number from 0.01 to 1000".to_owned()),
    }
}

/// Reads a time such as `90s`, `15m` or `2h`, which is not zero. A number without a unit is in seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 90s, 15m or 2h".to_owned();
    let (number, unit) = match text.char_indices().next_back().ok_or_else(wrong)? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        _ => (text, 1),
    };
    match number.parse::<u32>() {
        Ok(number @ 1..) => Ok(Duration::from_secs(u64::from(number) * unit)),
        Ok(0) | Err(_) => Err(wrong()),
    }
}

/// Reads a seed, decimal or hexadecimal.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "expected a number below 2^64, decimal or with 0x".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_number_and_at_most_one_unit() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "0",
            "0s",
            "s",
            "10mm",
            "1.5h",
            "-1s",
            "5 s",
            "10d",
            "99999999999",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
