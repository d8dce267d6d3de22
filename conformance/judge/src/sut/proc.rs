//! The processes of the machine as Linux shows them in `/proc`. Other systems yield no processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The state of a process at the time it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proc {
    pub(super) id: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    /// It has ended, and its parent has not waited for it.
    pub(super) is_zombie: bool,
    /// The name of its program, which the kernel cuts to 15 bytes.
    pub(super) name: String,
    /// Processor time of its own and of its children that it has waited for, in ticks.
    ticks: u64,
    /// When it started, in ticks since boot. Together with the id it identifies the process.
    began: u64,
}

/// All processes of the machine.
pub(super) fn all() -> Vec<Proc> {
    let folders = fs::read_dir("/proc").into_iter().flatten();
    let names = folders.filter_map(|folder| folder.ok()?.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|id| {
            let text = fs::read(format!("/proc/{id}/stat")).ok()?;
            Proc::read(&String::from_utf8_lossy(&text))
        })
        .collect()
}

/// The processes that descend from one of `roots`, without `roots`.
pub(super) fn descendants<'a>(all: &'a [Proc], roots: &BTreeSet<i32>) -> Vec<&'a Proc> {
    let (mut known, mut found) = (roots.clone(), Vec::new());
    loop {
        let children = |one: &&Proc| known.contains(&one.parent) && !known.contains(&one.id);
        let more: Vec<&Proc> = all.iter().filter(children).collect();
        if more.is_empty() {
            return found;
        }
        known.extend(more.iter().map(|one| one.id));
        found.extend(more);
    }
}

impl Proc {
    /// Reads a line such as `17 (the name) S 1 17 17 0 -1 ...`. The name may contain any characters.
    fn read(text: &str) -> Option<Self> {
        let (head, rest) = text.rsplit_once(") ")?;
        let (id, name) = head.split_once(" (")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let small = |at: usize| fields.get(at)?.parse::<i32>().ok();
        Some(Self {
            id: id.trim().parse().ok()?,
            parent: small(1)?,
            group: small(2)?,
            is_zombie: matches!(fields.first(), Some(&("Z" | "X"))),
            name: name.to_owned(),
            ticks: number(11)? + number(12)? + number(13)? + number(14)?,
            began: number(19)?,
        })
    }

    /// Its id and its start, which no other process since boot shares.
    pub(super) fn identity(&self) -> (i32, u64) {
        (self.id, self.began)
    }

    /// The processor time of the process and of the children that it has waited for.
    pub(super) fn effort(&self) -> Duration {
        let second = rustix::param::clock_ticks_per_second().max(1);
        Duration::from_millis(self.ticks.saturating_mul(1000) / second)
    }

    /// Its environment, if this program may read it.
    pub(super) fn environment(&self) -> Environment {
        let bytes = fs::read(format!("/proc/{}/environ", self.id));
        match bytes {
            // During an exec the new environment does not exist yet. Some programs never get one.
            Ok(bytes) if bytes.is_empty() && !self.is_zombie => Environment::Empty,
            Ok(bytes) => Environment::Known(bytes),
            Err(_) => Environment::Hidden,
        }
    }

    /// Whether its working directory is `folder` or lies in it. A removed folder inside `folder` counts.
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        let link = fs::read_link(format!("/proc/{}/cwd", self.id));
        link.is_ok_and(|link: PathBuf| link.starts_with(folder))
    }
}

/// The environment that a process was started with.
#[derive(Debug)]
pub(super) enum Environment {
    Known(Vec<u8>),
    Empty,
    Hidden,
}

impl Environment {
    /// Whether it holds `NAME=value`.
    pub(super) fn has(&self, wanted: &str) -> bool {
        let Self::Known(bytes) = self else {
            return false;
        };
        bytes
            .split(|byte| *byte == 0)
            .any(|one| one == wanted.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "17 (a) b (c) S 5 16 16 0 -1 4194560 90 0 0 0 3 2 40 5 20 0 1 0 777 1000 2 3";

    #[test]
    fn a_line_is_read_although_the_name_holds_spaces_and_parentheses() {
        let read = Proc::read(LINE).unwrap();
        assert_eq!((read.id, read.parent, read.group), (17, 5, 16));
        assert_eq!((read.name.as_str(), read.ticks), ("a) b (c", 50));
        assert_eq!((read.is_zombie, read.identity()), (false, (17, 777)));
        let gone = Proc::read(&LINE.replace(") S ", ") Z ")).unwrap();
        assert!(gone.is_zombie);
        for cut in ["", "17", "17 (a", "17 (a) S", "17 (a) S 5 16 16 0 -1"] {
            assert_eq!(Proc::read(cut), None, "{cut}");
        }
    }

    #[test]
    fn descendants_of_all_generations_are_found_once() {
        let of = |id, parent| Proc {
            id,
            parent,
            ..Proc::read(LINE).unwrap()
        };
        // The search must end even if parents form a circle (40 and 41).
        let all = [
            of(1, 0),
            of(30, 20),
            of(20, 10),
            of(10, 1),
            of(40, 41),
            of(41, 40),
        ];
        let ids = |roots: &[i32]| -> Vec<i32> {
            let found = descendants(&all, &roots.iter().copied().collect());
            found.iter().map(|one| one.id).collect()
        };
        assert_eq!(ids(&[10]), [20, 30]);
        assert_eq!(ids(&[10, 20]), [30]);
        assert_eq!(ids(&[40]), [41]);
        assert!(ids(&[7]).is_empty());
    }
}
