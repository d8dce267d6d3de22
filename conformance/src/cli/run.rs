//! `run`: judges a server or a client.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;

use super::baseline::load;
use super::select::select;
use super::session::{Conduct, Round, judge_all};
use super::{Complaint, EXIT_USAGE, Output, Pace, manifest_complaint};
use crate::baseline::ProfileName;
use crate::manifest::Manifest;
use crate::notation::ast::{Role, Side};
use crate::rules::Rule;
use crate::sut::{Running, Subject};

#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The side that is judged
    #[arg(value_enum)]
    pub(super) role: RoleName,
    /// Cases or rules to judge: names, or patterns with `*`; all when there are none
    #[arg(value_name = "ID")]
    pub(super) ids: Vec<String>,
    /// Manifest file, or the name of a built-in one; the embedded reference when not given
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    sut: Option<String>,
    /// Role pair: the server, as --sut
    #[arg(long, value_name = "FILE")]
    server: Option<String>,
    /// Role pair: the client, as --sut
    #[arg(long, value_name = "FILE")]
    client: Option<String>,
    /// A server that is running already, HOST:PORT
    #[arg(long, value_name = "HOST:PORT", requires = "user", requires = "pass")]
    addr: Option<String>,
    /// Its TLS port
    #[arg(long, value_name = "HOST:PORT", requires = "addr")]
    tls_addr: Option<String>,
    /// Its user name
    #[arg(long, requires = "addr")]
    user: Option<String>,
    /// Its password
    #[arg(long, requires = "addr")]
    pass: Option<String>,
    /// Which rules count
    #[arg(long, value_enum, default_value = "wire")]
    profile: Profile,
    /// What is allowed but not recommended fails too
    #[arg(long)]
    strict: bool,
    /// A case file of your own; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "ids")]
    pub(super) case_file: Vec<String>,
    /// What is known to fail: a file, or the name of a built-in baseline
    #[arg(long, value_name = "FILE", conflicts_with = "case_file")]
    baseline: Option<String>,
    /// Write down all that each case sends and receives, passwords too: DIR/ID.recording
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RoleName {
    Server,
    Client,
    /// A client with a server
    Pair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Profile {
    /// What peers need to work together, and what would corrupt data
    Wire,
    /// Every rule
    Hardened,
}

pub(super) async fn execute(run: &Run, rules: &[Rule]) -> Result<u8, Complaint> {
    let entries = select(run)?;
    let subject = Arc::new(subject(run)?);
    let options = run.pace.options(run.profile == Profile::Hardened);
    let profile = ProfileName::new(options.hardened);
    let baseline = run.baseline.as_deref();
    let baseline = baseline.map(|file| load(file, &subject, Some(profile), rules));
    let conduct = Conduct {
        order: run.pace.order()?,
        strict: run.strict,
        slowest: run.pace.slowest,
        output: run.output.clone(),
        record: run.record.clone(),
        baseline: baseline.transpose()?,
    };
    let round = Round {
        entries,
        subject,
        wanted: if run.case_file.is_empty() {
            run.ids.clone()
        } else {
            Vec::new()
        },
    };
    let done = judge_all(rules, vec![round], options, conduct).await?;
    Ok(done.code)
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Server => Self::Server,
            RoleName::Client => Self::Client,
            RoleName::Pair => Self::Pair,
        }
    }
}

pub(super) fn subject(run: &Run) -> Result<Subject, Complaint> {
    let side = match run.role {
        RoleName::Server => Side::Server,
        RoleName::Client => Side::Client,
        RoleName::Pair => return pair(run),
    };
    for (flag, file) in [("--server", &run.server), ("--client", &run.client)] {
        if let Some(file) = file {
            let message = format!("{flag} is for the role pair, and a {side} is to be judged");
            return Err(Complaint::new(EXIT_USAGE, message).hint(format!("use --sut {file}")));
        }
    }
    if let Some(addr) = &run.addr {
        if side == Side::Client {
            let complaint = Complaint::new(
                EXIT_USAGE,
                "--addr names a running server, and a client is to be judged",
            );
            return Err(complaint.hint("a client is started through a manifest: --sut FILE"));
        }
        let tls = run.tls_addr.as_deref().map(address).transpose()?;
        let (username, password) = (
            run.user.clone().unwrap_or_default(),
            run.pass.clone().unwrap_or_default(),
        );
        return Ok(Subject::Running(Running {
            plain: address(addr)?,
            tls,
            username,
            password,
        }));
    }
    Ok(Subject::Started(manifest(run.sut.as_deref(), side)?))
}

fn pair(run: &Run) -> Result<Subject, Complaint> {
    if run.sut.is_some() || run.addr.is_some() {
        let complaint = Complaint::new(EXIT_USAGE, "a pair is two programs");
        return Err(complaint.hint("name them by --server FILE and --client FILE"));
    }
    Ok(Subject::Pair(Box::new((
        manifest(run.server.as_deref(), Side::Server)?,
        manifest(run.client.as_deref(), Side::Client)?,
    ))))
}

/// The manifest of a side; that of the embedded reference when none is named.
pub(super) fn manifest(sut: Option<&str>, side: Side) -> Result<Manifest, Complaint> {
    let manifest = match sut {
        Some(sut) => Manifest::load(sut),
        None => Manifest::reference(side),
    };
    let manifest = manifest.map_err(manifest_complaint)?;
    if manifest.role != side {
        let message = format!(
            "{} is a {}, and a {side} is to be judged",
            manifest.name, manifest.role
        );
        return Err(Complaint::new(EXIT_USAGE, message));
    }
    Ok(manifest)
}

pub(super) fn address(text: &str) -> Result<SocketAddr, Complaint> {
    let wrong = |why: &str| {
        let complaint = Complaint::new(EXIT_USAGE, format!("`{text}` is no HOST:PORT: {why}"));
        complaint.hint("for example 127.0.0.1:10000, [::1]:10000 or localhost:10000")
    };
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| wrong("the port is missing"))?;
    if host.is_empty() {
        return Err(wrong("the host is missing"));
    }
    if !matches!(port.parse::<u16>(), Ok(1..)) {
        return Err(wrong(&format!(
            "`{port}` is no port, a number from 1 to 65535"
        )));
    }
    let mut found = text
        .to_socket_addrs()
        .map_err(|error| wrong(&format!("`{host}` cannot be found: {error}")))?;
    found
        .next()
        .ok_or_else(|| wrong(&format!("`{host}` has no address")))
}
