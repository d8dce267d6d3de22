//! The resources of this program that a run must release: processes, descriptors and ports, working directories.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, io};

use netroxy_judge::sut::folder_prefix;

/// The resources of this program at one moment.
#[derive(Debug)]
pub(crate) struct Resources {
    /// The targets of the open descriptors, and how many descriptors each has.
    descriptors: BTreeMap<String, usize>,
    processes: BTreeMap<u32, String>,
    folders: Vec<PathBuf>,
}

impl Resources {
    /// The resources at this moment.
    ///
    /// # Errors
    /// When the system has no `/proc`.
    pub(crate) fn now() -> io::Result<Self> {
        Ok(Self {
            descriptors: descriptors()?,
            processes: processes()?,
            folders: folders(),
        })
    }

    /// Describes each resource that exists now and did not exist then. Waits up to `limit` for resources that are still
    /// being closed.
    ///
    /// # Errors
    /// When the system has no `/proc`.
    pub(crate) async fn left_behind(&self, limit: Duration) -> io::Result<Vec<String>> {
        let until = Instant::now() + limit;
        loop {
            netroxy_server::close_kept_pipes();
            let left = Self::now()?.beyond(self);
            if left.is_empty() || Instant::now() >= until {
                return Ok(left);
            }
            // This pause between two checks decides nothing.
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn beyond(&self, before: &Self) -> Vec<String> {
        let new = |id: &u32| !before.processes.contains_key(id);
        let processes = self.processes.iter().filter(|(id, _)| new(id));
        let mut left: Vec<String> = processes
            .map(|(id, what)| format!("process {id}, {what}"))
            .collect();
        let sockets = sockets();
        for (target, count) in &self.descriptors {
            let known = before.descriptors.get(target).copied().unwrap_or(0);
            let what = sockets.get(target).unwrap_or(target);
            left.extend((known..*count).map(|_| format!("an open descriptor, {what}")));
        }
        let folders = self.folders.iter();
        let folders = folders.filter(|folder| !before.folders.contains(folder));
        left.extend(folders.map(|folder| format!("folder {}", folder.display())));
        left
    }
}

const PAUSE: Duration = Duration::from_millis(20);

fn descriptors() -> io::Result<BTreeMap<String, usize>> {
    // Collects all links first: then the descriptor that lists them is closed again.
    let links: Vec<PathBuf> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    let mut counts = BTreeMap::new();
    for target in links.iter().filter_map(|link| fs::read_link(link).ok()) {
        let target = target.to_string_lossy().into_owned();
        *counts.entry(target).or_default() += 1;
    }
    Ok(counts)
}

/// The child processes, including adopted orphans of the programs that were started.
fn processes() -> io::Result<BTreeMap<u32, String>> {
    let us = std::process::id().to_string();
    let mut children = BTreeMap::new();
    for folder in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let Some(id) = folder
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(folder.path().join("stat")).unwrap_or_default();
        // The name is in parentheses and may contain anything.
        let Some((head, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        let mut fields = rest.split(' ');
        let (state, parent) = (fields.next(), fields.next());
        if parent != Some(us.as_str()) {
            continue;
        }
        let name = head.split_once('(').map_or("", |(_, name)| name);
        let what = match state {
            Some("Z") => format!("`{name}`, has ended and was not waited for"),
            _ => format!("`{name}`, is running"),
        };
        children.insert(id, what);
    }
    Ok(children)
}

/// The working directories of started programs.
fn folders() -> Vec<PathBuf> {
    let prefix = folder_prefix();
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten();
    let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    names
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(&prefix))
        })
        .collect()
}

/// Descriptions of sockets, by the target of the descriptor.
fn sockets() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (file, is_tcp) in [
        ("tcp", true),
        ("tcp6", true),
        ("udp", false),
        ("udp6", false),
    ] {
        let text = fs::read_to_string(format!("/proc/self/net/{file}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields.as_slice() else {
                continue;
            };
            let (Some(local), Some(remote)) = (address(local), address(remote)) else {
                continue;
            };
            let what = match (is_tcp, *state) {
                (true, LISTENS) => format!("a listener on {local}"),
                (true, _) => format!("a connection from {local} to {remote}"),
                (false, _) => format!("the lease of port {}", local.port()),
            };
            found.insert(format!("socket:[{inode}]"), what);
        }
    }
    found
}

const LISTENS: &str = "0A";

/// Reads an address of `/proc/net`: words of 32 bits in the byte order of this machine, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let words: Option<Vec<[u8; 4]>> = (0..address.len() / 8)
        .map(|at| {
            let word = u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16);
            Some(word.ok()?.to_ne_bytes())
        })
        .collect();
    let address: IpAddr = match words?.as_slice() {
        [word] => Ipv4Addr::from(*word).into(),
        words => Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into(),
    };
    Some(SocketAddr::new(
        address,
        u16::from_str_radix(port, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process::{Command, Stdio};

    use netroxy_judge::ports::Lease;

    use super::*;

    #[test]
    fn each_resource_that_is_left_is_named() {
        let before = Resources::now().unwrap();
        let lease = Lease::take().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, lease.port())).unwrap();
        let folder = tempfile::TempDir::with_prefix(folder_prefix()).unwrap();
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let port = lease.port();
        let wanted = [
            format!("an open descriptor, the lease of port {port}"),
            format!("an open descriptor, a listener on 127.0.0.1:{port}"),
            format!("folder {}", folder.path().display()),
            format!("process {}, `cat`, is running", child.id()),
        ];
        // Other tests of this program run at the same time.
        let left = || Resources::now().unwrap().beyond(&before);
        // Until its exec, the child has the name of this program.
        while !left().contains(&wanted[3]) {}
        let found = left();
        for one in &wanted {
            assert!(found.contains(one), "{one}: {found:#?}");
        }
        drop((listener, lease, folder, child.stdin.take()));
        let ended = format!(
            "process {}, `cat`, has ended and was not waited for",
            child.id()
        );
        while !left().contains(&ended) {}
        child.wait().unwrap();
        let found = left();
        for one in wanted.iter().chain([&ended]) {
            assert!(!found.contains(one), "{one}: {found:#?}");
        }
    }

    #[test]
    fn addresses_of_both_families_are_read() {
        let text = |text| address(text).map(|address| address.to_string());
        // 127.0.0.1 in the byte order of this machine.
        let local = format!("{:08X}:5208", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(text(&local).as_deref(), Some("127.0.0.1:21000"));
        let any = format!("{}:5208", "0".repeat(32));
        assert_eq!(text(&any).as_deref(), Some("[::]:21000"));
        assert_eq!(
            (text("nonsense"), text("0:0"), text("00000000:x")),
            (None, None, None)
        );
    }
}
